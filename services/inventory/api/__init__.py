"""The calls of inventory: parse, hand over, answer."""

from libs.service.routes import Router
from services.inventory.api import campaigns, catalogue, goods, holds, ledger, levels

ROUTERS: tuple[Router, ...] = (
    catalogue.router,
    levels.router,
    holds.router,
    goods.router,
    campaigns.router,
    ledger.router,
)
