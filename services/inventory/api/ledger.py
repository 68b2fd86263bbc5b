"""The ledger and what is read from it: movements, slow movers, reorders, reconciliation."""

from datetime import timedelta
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from libs.events.contracts.base import Day, Sku
from libs.service.call import Answer, Call
from libs.service.pagination import Page, listing
from libs.service.routes import Router
from libs.service.storetime import day_bounds, day_of
from services.inventory.answers import movement_body
from services.inventory.domain.policy import Policies
from services.inventory.overviews import reconciled_body, reorder_body, slow_body
from services.inventory.store import catalogue, reads, reconciling, selling

router = Router(tag="ledger")


@router.get("/v1/movements", scope="inventory:read")
async def movements(call: Call, page: Page, sku: Annotated[Sku | None, Query()] = None) -> Response:
    """Ledger entries, newest first."""
    await call.store_info()
    before = page.after(int)
    async with call.read() as tx:
        rows = await reads.list_movements(
            tx.session, tx.store, sku=sku, before=before[0] if before else None, limit=page.fetch
        )
    shown, cursor = listing(page, rows, lambda row: (row.movement_id,))
    return await call.page([movement_body(row) for row in shown], cursor)


@router.get("/v1/slow-movers", scope="inventory:read")
async def slow_movers(call: Call, page: Page, days: Annotated[int | None, Query(ge=1, le=3650)] = None) -> Response:
    """Stock of which nothing was sold for so many days (INV-9; default: the store's policy, 30)."""
    await call.store_info()
    after = page.after(str)
    async with call.read() as tx:
        policies = Policies(await catalogue.load_policies(tx.session, tx.store), tx.now)
        limit_days = days or policies.slow_mover_days
        rows = await selling.list_slow_movers(
            tx.session,
            tx.store,
            before=tx.now - timedelta(days=limit_days),
            after=after[0] if after else None,
            limit=page.fetch,
        )
        now = tx.now
    shown, cursor = listing(page, rows, lambda row: (row.sku,))
    return await call.page([slow_body(row, now) for row in shown], cursor)


@router.get("/v1/reorder", scope="inventory:read")
async def reorder(call: Call, page: Page, every: Annotated[bool, Query(alias="all")] = False) -> Response:
    """SKUs whose stock lasts shorter than their supplier needs, with a quantity to order (INV-8).

    `all`: the days of cover of every SKU that sold in the last 7 days.
    """
    await call.store_info()
    after = page.after(str)
    async with call.read() as tx:
        policies = Policies(await catalogue.load_policies(tx.session, tx.store), tx.now)
        rows = await selling.list_sales(
            tx.session,
            tx.store,
            now=tx.now,
            lead_days=policies.lead_days,
            every=every,
            after=after[0] if after else None,
            limit=page.fetch,
        )
    shown, cursor = listing(page, rows, lambda row: (row.sku,))
    return await call.page([reorder_body(row) for row in shown], cursor)


@router.get("/v1/reconciliation", scope="inventory:read")
async def reconciliation(call: Call, page: Page, day: Annotated[Day | None, Query()] = None) -> Response:
    """Each SKU's store day by the ledger, and whatever does not agree (INV-11; default: today)."""
    zone = (await call.store_info()).zone
    after = page.after(str)
    async with call.read() as tx:
        wanted = day or day_of(tx.now, zone)
        start, end = day_bounds(wanted, zone)
        rows = await reconciling.reconcile(
            tx.session, tx.store, start=start, end=end, after=after[0] if after else None, limit=page.fetch
        )
    shown, cursor = listing(page, rows, lambda row: (row.sku,))
    items = [reconciled_body(row) for row in shown]
    return await call.reply(
        Answer(
            200,
            {
                "day": str(wanted),
                "start": start,
                "end": end,
                "items": items,
                "mismatch_count": sum(len(item["mismatches"]) for item in items),
                "next_cursor": cursor,
            },
        )
    )
