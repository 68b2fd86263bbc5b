"""Where the objects of the orders service meet."""

from datetime import timedelta

from fastapi import FastAPI

from libs.service.app import create_app
from libs.service.runtime import Runtime, open_runtime
from services.orders import api, imports_api, returns_api, tables, webhooks_api
from services.orders.domain.review import Limits
from services.orders.handlers import reactions
from services.orders.handlers.placing import Kit
from services.orders.handlers.webhooks import Mapper
from services.orders.sealing import Sealer
from services.orders.settings import OrdersSettings
from services.orders.stock import HttpStock, Stock
from services.orders.till import Till


def build(settings: OrdersSettings, stock: Stock | None = None) -> tuple[Runtime, FastAPI]:
    """The service, not yet started; with its stock kept by inventory over HTTP, unless another port to it is given."""
    runtime = open_runtime(settings, "orders", tables.SHARED)
    if stock is None:
        stock = HttpStock(settings.inventory_url, lambda: runtime.installation.internal_key)
        runtime.loop("inventory connections", stock.run)
    kit = Kit(
        stock=stock,
        sealer=Sealer(lambda: runtime.installation.sealing_key),
        limits=Limits(settings.review_quantity, settings.review_amount_cents),
        keep_personal=timedelta(days=settings.personal_data_days),
    )
    till = Till(runtime.api, tables.SHARED.idempotency, kit, lambda: runtime.clock())
    runtime.loop("till: looking", till.looking.run)
    runtime.loop("till: making", till.making.run)
    runtime.consume(reactions.REACTIONS)
    runtime.every("timers of orders", 1.0, lambda: reactions.run_timers(runtime.worker, stock))
    runtime.every("forget personal data", 600.0, lambda: reactions.forget_personal_data(runtime.worker))
    mapper = Mapper(runtime.worker, kit, lambda: runtime.installation.pseudonyms, runtime.stores.get)
    runtime.every("map webhooks", 0.5, mapper.run)
    runtime.every("forget webhooks", 600.0, mapper.purge)
    app = create_app(runtime, [api.router, returns_api.router, imports_api.router, webhooks_api.router])
    app.state.kit = kit
    app.state.till = till
    app.state.mapper = mapper
    return runtime, app
