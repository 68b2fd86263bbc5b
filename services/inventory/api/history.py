"""Who asked for units, when, and what each saw; and demand that found no stock."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

from fastapi import Path, Query
from starlette.responses import Response

from libs.events.contracts.base import Day, Sku
from libs.events.transaction import Transaction
from libs.service.call import Call, CallContext
from libs.service.errors import NotFound, Validation, fault
from libs.service.pagination import Page, PageRequest, encode, listing
from libs.service.routes import Router
from libs.service.storetime import range_bounds
from services.inventory.overviews import asked_body, lost_body, refusal_body, refused_body
from services.inventory.store import history, reads

router = Router(tag="history")

USUAL_SPAN = timedelta(days=30)


class Window(NamedTuple):
    """From when on, and until when (not included)."""

    since: datetime | None
    until: datetime | None


async def _window(call: CallContext, first: Day | None, last: Day | None) -> Window:
    zone = (await call.store_info()).zone
    if first is None and last is None:
        return Window(None, None)
    if first is not None and last is not None and first > last:
        raise Validation("`from` is after `to`", errors=[fault("/from", "order", "after `to`")])
    since = range_bounds(first, first, zone)[0] if first else None
    return Window(since, range_bounds(last, last, zone)[1] if last else None)


From = Annotated[Day | None, Query(alias="from")]
To = Annotated[Day | None, Query(alias="to")]


@router.get("/v1/stock/{sku}/history", scope="inventory:read")
async def show(sku: Annotated[Sku, Path()], call: Call, page: Page, first: From = None, last: To = None) -> Response:
    """Every movement and every refusal of a SKU, newest first, with the units that were free then (`saw`, `left`).

    `from` and `to` are store days of when it was recorded. Units withheld by policy count as free.
    """
    window = await _window(call, first, last)
    async with call.read() as tx:
        if await reads.load_level(tx.session, tx.store, sku) is None:
            raise NotFound("no stock is kept of this SKU")
        items, cursor = await _asked(tx, sku, page, window)
    return await call.page(items, cursor)


async def _asked(tx: Transaction, sku: str, page: PageRequest, window: Window) -> tuple[list[Any], str | None]:
    seen = page.after(int, int, int)
    point = history.Point(*seen) if seen else await history.start_of(tx.session, tx.store, sku, window.until)
    moved = await history.movements_before(
        tx.session, tx.store, sku, before=point.movement_id, since=window.since, limit=page.fetch
    )
    refused = await history.refusals_before(
        tx.session, tx.store, sku, before=point.refusal_id, since=window.since, limit=page.fetch
    )
    merged = sorted([*refused, *moved], key=lambda row: row.recorded_at, reverse=True)
    items = []
    for row in merged[: page.limit]:
        if "refusal_id" in row._fields:
            items.append(refused_body(row))
            point = point._replace(refusal_id=int(row.refusal_id))
        else:
            point = point._replace(movement_id=int(row.movement_id), free=point.free - int(row.free))
            items.append(asked_body(row, saw=point.free))
    return items, encode(point) if len(merged) > page.limit else None


@router.get("/v1/refusals", scope="inventory:read")
async def list_refusals(
    call: Call, page: Page, sku: Annotated[Sku | None, Query()] = None, first: From = None, last: To = None
) -> Response:
    """Who was refused units, newest first."""
    window = await _window(call, first, last)
    before = page.after(int)
    async with call.read() as tx:
        rows = await history.refusals_before(
            tx.session,
            tx.store,
            sku,
            before=before[0] if before else history.NEWEST,
            since=window.since,
            until=window.until,
            limit=page.fetch,
        )
    shown, cursor = listing(page, rows, lambda row: (row.refusal_id,))
    return await call.page([refusal_body(row) for row in shown], cursor)


@router.get("/v1/lost-demand", scope="inventory:read")
async def lost_demand(call: Call, page: Page, first: From = None, last: To = None) -> Response:
    """Units that were asked for and not there, by SKU; without `from`, of the last 30 days."""
    window = await _window(call, first, last)
    after = page.after(str)
    async with call.read() as tx:
        rows = await history.sum_refusals(
            tx.session,
            tx.store,
            since=window.since or tx.now - USUAL_SPAN,
            until=window.until or datetime.max.replace(tzinfo=UTC),
            after=after[0] if after else None,
            limit=page.fetch,
        )
    shown, cursor = listing(page, rows, lambda row: (row.sku,))
    return await call.page([lost_body(row) for row in shown], cursor)
