"""The calls of inventory: parse, hand over, answer."""

from libs.service.routes import Router
from services.inventory.api import campaigns, catalogue, counts, goods, history, holds, ledger, levels, oversells

ROUTERS: tuple[Router, ...] = (
    catalogue.router,
    levels.router,
    holds.router,
    goods.router,
    counts.router,
    oversells.router,
    history.router,
    campaigns.router,
    ledger.router,
)
