"""Questions that are answered by a list: repurchase cohorts, loyal customers, new products."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from libs.service.call import Answer, Call, CallContext
from libs.service.pagination import Page, listing
from libs.service.routes import Router
from services.kpi import questions
from services.kpi.answers import Point
from services.kpi.asking import begun_buckets, read_days, read_grain, read_kpi
from services.kpi.calendar import calendar_of
from services.kpi.completeness import Progress
from services.kpi.new_products import check_length, read_new_products
from services.kpi.reading import Answered, Asked, answer

First = Annotated[str | None, Query(alias="from", description="first store day, YYYY-MM-DD")]
Last = Annotated[str | None, Query(alias="to", description="last store day, included")]
Orders = Annotated[int, Query(ge=1, le=1_000_000, description="paid orders that a customer has at least")]


def add_lists(router: Router, progress: Progress) -> None:
    """Add these routes."""

    @router.get("/v1/cohorts/repurchase", scope="kpi:read")
    async def show_cohorts(call: Call, first: First = None, last: Last = None, grain: str | None = None) -> Response:
        """Customers by the bucket of their first paid order, and how many of them paid again within 30 days (KPI-3).

        A cohort younger than 30 days is immature and shown with what is known so far. `grain` month by default.
        """
        asked = await _cohorts(call, first, last, grain or "month")
        async with call.read() as tx:
            found = await answer(asked, progress, tx)
        return await call.reply(Answer(200, _cohorts_json(asked, found)))

    @router.get("/v1/customers", scope="kpi:read")
    async def list_customers(call: Call, page: Page, min_orders: Orders = 3) -> Response:
        """Customers with at least so many paid orders, by id: orders and what they paid (KPI-12). Ids only."""
        after, currency = page.after(str), (await call.store_info()).currency
        async with call.read() as tx:
            rows = await questions.list_customers(
                call.store, min_orders, currency, after[0] if after else "", page.fetch, tx.session
            )
        found, cursor = listing(page, rows, lambda customer: (customer.customer_id,))
        items = [
            {"customer_id": c.customer_id, "orders": c.orders, "paid_amount": c.paid_amount, "currency": currency}
            for c in found
        ]
        return await call.page(items, cursor)

    @router.get("/v1/new-products", scope="kpi:read")
    async def list_new_products(call: Call, first: First = None, last: Last = None) -> Response:
        """SKUs first listed on these days: of those who saw the page in the first 3 days, how many want it (KPI-7)."""
        now = call.runtime.clock()
        calendar = calendar_of((await call.store_info()).zone.key)
        days = read_days(first, last, calendar, now)
        check_length(days)
        async with call.read() as tx:
            items = await read_new_products(days, calendar, now, tx)
            state = await progress.load(call.store, ("catalog", "traffic"), tx.session)
        shown = {"from": days.first, "to": days.last, "items": items, "next_cursor": None}
        return await call.reply(Answer(200, {**shown, "completeness": state.json(state.is_current())}))


async def _cohorts(call: CallContext, first: str | None, last: str | None, grain: str) -> Asked:
    info, now = await call.store_info(), call.runtime.clock()
    calendar = calendar_of(info.zone.key)
    days, chosen = read_days(first, last, calendar, now), read_grain(grain)
    buckets = begun_buckets(calendar, chosen, days, now)
    return Asked(read_kpi("repurchase_30d", None), call.store, calendar, days, chosen, (), info.currency, buckets)


def _cohorts_json(asked: Asked, found: Answered) -> dict[str, Any]:
    return {
        "store": asked.store,
        "timezone": asked.calendar.zone.key,
        "grain": asked.grain,
        "from": asked.days.first,
        "to": asked.days.last,
        "items": [_cohort(point) for point in found.series.points],
        "completeness": found.completeness.json(found.complete),
    }


def _cohort(point: Point) -> dict[str, Any]:
    return {
        "cohort": point.bucket.key,
        "start": point.bucket.start,
        "end": point.bucket.end,
        "customers": point.denominator,
        "repurchased": point.numerator,
        "repurchase_30d": point.value,
        "complete": point.complete,
        "mature": point.mature,
    }
