"""Outside orders that cannot get their units, and what is done for their customers (INV-5)."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, cast

from fastapi import Path, Query
from sqlalchemy import Row
from starlette.responses import Response

from libs.events.contracts.base import Cents, Id, Sku
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call
from libs.service.pagination import Page, listing
from libs.service.routes import Body, Router
from services.inventory.bodies import Note
from services.inventory.handlers.oversells import Compensation, compensate
from services.inventory.overviews import compensation_body, oversold_body
from services.inventory.store import oversells

router = Router(tag="oversells")

MOST_ORDERS = 100


@router.get("/v1/oversells", scope="inventory:read")
async def list_all(call: Call, page: Page) -> Response:
    """SKUs that are short: the affected orders (at most 100 a SKU), what is proposed, what was done already."""
    await call.store_info()
    after = page.after(str)
    async with call.read() as tx:
        rows = await oversells.list_short(tx.session, tx.store, after=after[0] if after else None, limit=page.fetch)
        shown, cursor = listing(page, rows, lambda row: (row.sku,))
        orders = await oversells.list_short_orders(tx.session, tx.store, [row.sku for row in shown], most=MOST_ORDERS)
        named = sorted({order.order_id for order in orders if order.order_id is not None})
        done = await oversells.compensations_of(tx.session, tx.store, named)
    return await call.page([oversold_body(row, orders, _by_order(done)) for row in shown], cursor)


def _by_order(rows: Sequence[Row[Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row.order_id, row.sku].append(compensation_body(row))
    return found


class CompensationBody(Body):
    """What was done for the customer of an affected order."""

    compensation_id: Id | None = None
    order_id: Id
    remedy: Literal["urgent_restock", "delay_coupon", "priority_shipping", "cancel"]
    amount_cents: Cents | None = None
    note: Note | None = None


@router.post("/v1/oversells/{sku}/compensations", scope="inventory:write", status_code=201)
async def record(sku: Annotated[Sku, Path()], body: CompensationBody, call: Call) -> Response:
    """Record what an affected order's customer was given for the delay, or that the order was given up."""
    await call.store_info()
    name = call.id_or_derived(body.compensation_id)

    async def action(tx: Transaction) -> Answer:
        given = Compensation(name, body.order_id, sku, body.remedy, body.amount_cents, body.note, call.actor)
        await compensate(given, tx)
        return Answer(201, {**given.told(), "recorded_at": tx.now})

    return await call.once(action, natural=("compensation", name) if body.compensation_id is not None else None)


@router.get("/v1/compensations", scope="inventory:read")
async def list_compensations(call: Call, page: Page, sku: Annotated[Sku | None, Query()] = None) -> Response:
    """What was done for customers of short orders, newest first."""
    await call.store_info()
    before = cast(tuple[datetime, str] | None, page.after(datetime, str))
    async with call.read() as tx:
        rows = await oversells.list_compensations(tx.session, tx.store, sku=sku, before=before, limit=page.fetch)
    shown, cursor = listing(page, rows, lambda row: (row.recorded_at, row.compensation_id))
    return await call.page([compensation_body(row) for row in shown], cursor)
