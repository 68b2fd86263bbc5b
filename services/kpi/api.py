"""Questions about figures: the catalogue, series, completeness, corrections, targets."""

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from libs.service.call import Answer, Call
from libs.service.pagination import Page, listing
from libs.service.routes import Router
from services.kpi import kpis, questions
from services.kpi.answers import complete, kpi_json, points_json
from services.kpi.asking import (
    Days,
    begun_buckets,
    read_as_of,
    read_by,
    read_currency,
    read_day,
    read_days,
    read_grain,
    read_kpi,
)
from services.kpi.calendar import Calendar, calendar_of
from services.kpi.completeness import Completeness, Progress
from services.kpi.funnel import Funnel, check_split, read_funnel, steps_json
from services.kpi.goals import Judge
from services.kpi.listed import First, Last, add_lists
from services.kpi.questions import Correction
from services.kpi.reading import Answered, Asked, answer


def router_of(progress: Progress, topics: Sequence[str]) -> Router:
    """The routes of questions; `topics` are all that the service consumes."""
    router = Router(tag="figures")

    @router.get("/v1/kpis", scope="kpi:read")
    async def list_kpis(call: Call, page: Page) -> Response:
        """The catalogue: id, name in both languages, formula, unit, dimensions kept, variants."""
        after = page.after(str)
        rest = [kpi for kpi in sorted(kpis.KPIS, key=lambda kpi: kpi.id) if not after or kpi.id > after[0]]
        found, cursor = listing(page, rest[: page.fetch], lambda kpi: (kpi.id,))
        return await call.page([kpi_json(kpi) for kpi in found], cursor)

    @router.get("/v1/kpis/{kpi}", scope="kpi:read")
    async def show_kpi(
        kpi: str,
        call: Call,
        first: First = None,
        last: Last = None,
        grain: str | None = None,
        by: str | None = None,
        as_of: str | None = None,
        version: str | None = None,
        currency: str | None = None,
    ) -> Response:
        """A figure over store days: numerator, denominator and value of every bucket, split by the dimensions `by`.

        `as_of` answers with what had been applied by then (minutes for 35 days, then hours).
        """
        figure, now = read_kpi(kpi, version), call.runtime.clock()
        info = await call.store_info()
        calendar = calendar_of(info.zone.key)
        chosen, past = read_grain(grain), read_as_of(as_of, now)
        days = read_days(first, last, calendar, past or now)
        asked = Asked(
            kpi=figure,
            store=call.store,
            calendar=calendar,
            days=days,
            grain=chosen,
            by=read_by(figure, by, chosen),
            currency=read_currency(currency, info.currency),
            buckets=begun_buckets(calendar, chosen, days, past or now),
            as_of=past,
            home=info.currency,
        )
        async with call.read() as tx:
            found = await answer(asked, progress, tx)
        return await call.reply(Answer(200, _shown(asked, found)))

    @router.get("/v1/completeness", scope="kpi:read")
    async def show_completeness(call: Call) -> Response:
        """Per topic: up to when everything is in, how far behind that is, and what lies in quarantine."""
        async with call.read() as tx:
            state = await progress.load(call.store, topics, tx.session)
        return await call.reply(Answer(200, state.json(state.is_current())))

    @router.get("/v1/corrections", scope="kpi:read")
    async def list_corrections(call: Call, page: Page, first: First = None) -> Response:
        """What changed after a bucket had been measured, and why; `from` is the bucket's first day (D71)."""
        calendar = calendar_of((await call.store_info()).zone.key)
        since = 0 if first is None else calendar.day_start(read_day("from", first, calendar).toordinal())
        after = page.after(int)
        async with call.read() as tx:
            rows = await questions.list_corrections(call.store, since, after[0] if after else 0, page.fetch, tx.session)
        found, cursor = listing(page, rows, lambda correction: (correction.id,))
        return await call.page([_correction(correction, calendar) for correction in found], cursor)

    @router.get("/v1/funnel", scope="kpi:read")
    async def show_funnel(call: Call, first: First = None, last: Last = None, by: str | None = None) -> Response:
        """Distinct visitors who did each step in the days, in any order, and their rate of the visit (D39)."""
        calendar = calendar_of((await call.store_info()).zone.key)
        days = read_days(first, last, calendar, call.runtime.clock())
        check_split(by, days)
        async with call.read() as tx:
            funnel = await read_funnel(days, calendar, tx, by)
            state = await progress.load(call.store, ("orders", "traffic"), tx.session)
        return await call.reply(Answer(200, _funnel(funnel, by, days, state, calendar)))

    @router.get("/v1/achievement", scope="kpi:read")
    async def show_achievement(call: Call, first: First = None, last: Last = None) -> Response:
        """Targets whose period meets the days, against what came of them up to `to` (KPI-9)."""
        info, now = await call.store_info(), call.runtime.clock()
        calendar = calendar_of(info.zone.key)
        days = read_days(first, last, calendar, now)
        async with call.read() as tx:
            items = await Judge(calendar, info.currency, progress, now).judge(days, tx)
        return await call.reply(Answer(200, {"items": items, "next_cursor": None}))

    add_lists(router, progress)
    return router


def _shown(asked: Asked, found: Answered) -> dict[str, Any]:
    kpi = asked.kpi
    head: dict[str, Any] = {
        "id": kpi.id,
        "version": kpi.version,
        "unit": kpi.unit.value,
        "store": asked.store,
        "timezone": asked.calendar.zone.key,
        "grain": asked.grain,
        "by": list(asked.by),
        "from": asked.days.first,
        "to": asked.days.last,
        "as_of": asked.as_of,
        "excluded": found.excluded,
    }
    if kpi.money:
        head |= {"currency": asked.currency, "other_currencies": found.series.other_currencies}
    points = points_json(found.series.points, asked.by, kpi.coverage is not None)
    return {**head, "series": points, "completeness": found.completeness.json(found.complete)}


# corrections


def _funnel(funnel: Funnel, by: str | None, days: Days, state: Completeness, calendar: Calendar) -> dict[str, Any]:
    shown: dict[str, Any] = {"from": days.first, "to": days.last, "steps": steps_json(funnel.count())}
    if by:
        groups = funnel.count_by(by).items()
        shown["groups"] = [{"dimensions": {by: value}, "steps": steps_json(counts)} for value, counts in groups]
    is_done = complete(calendar.buckets("day", days.last, days.last)[0], state.until())
    return {**shown, "completeness": state.json(is_done)}


def _correction(correction: Correction, calendar: Calendar) -> dict[str, Any]:
    shown = {
        "bucket": calendar.bucket_at(correction.grain, correction.bucket).key,
        "grain": correction.grain,
        "dimensions": dict(correction.dimensions),
        "measure": correction.measure,
        "from": correction.from_value,
        "to": correction.to_value,
        "corrected_at": correction.corrected_at,
        "causes": list(correction.causes),
        "cause_count": correction.cause_count,
    }
    return {**shown, "currency": correction.currency} if correction.currency else shown
