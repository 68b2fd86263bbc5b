"""Where the objects of the inventory service meet."""

from fastapi import FastAPI

from libs.service.app import create_app
from libs.service.runtime import Runtime, open_runtime
from services.inventory import tables
from services.inventory.api import ROUTERS
from services.inventory.express import Express
from services.inventory.handlers.campaigns import end_campaigns
from services.inventory.handlers.expiry import expire_holds
from services.inventory.handlers.policies import put_policies_into_force
from services.inventory.handlers.reactions import reactions
from services.inventory.handlers.reconciling import reconcile_days
from services.inventory.lane import StockLane
from services.inventory.pace import FEW, Pace
from services.inventory.settings import InventorySettings


def build(settings: InventorySettings) -> tuple[Runtime, FastAPI]:
    """The service, not yet started."""
    runtime = open_runtime(settings, "inventory", tables.SHARED)
    lane = StockLane(runtime.api, tables.SHARED.idempotency)
    pace = Pace(lane)
    runtime.loop("lane", lane.run)
    pace.consumer = runtime.consume(reactions(pace.adjust), max_records=FEW)
    runtime.every("expire holds", 0.4, lambda: expire_holds(runtime.worker))
    runtime.every("end campaigns", 1.0, lambda: end_campaigns(runtime.worker))
    runtime.every("policies into force", 1.0, lambda: put_policies_into_force(runtime.worker))
    runtime.every("reconcile days", 60.0, lambda: _reconcile(runtime))
    app = create_app(runtime, list(ROUTERS))
    app.state.lane = lane
    app.front = Express(app.usual, runtime, lane)
    return runtime, app


async def _reconcile(runtime: Runtime) -> int:
    return await reconcile_days(runtime.worker, await runtime.stores.every())
