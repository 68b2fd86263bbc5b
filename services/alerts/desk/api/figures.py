"""Service levels over HTTP: met, breached, how long it took (SRV-7)."""

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Query
from sqlalchemy import Row
from starlette.responses import Response

from libs.events.contracts.base import Day, Id
from libs.service.call import Answer, Call
from libs.service.errors import NotFound, Validation, fault
from libs.service.routes import Router
from libs.service.storetime import day_of, range_bounds
from services.alerts.desk.domain.policies import DEFAULT
from services.alerts.desk.store.reading import By, service_levels
from services.alerts.desk.store.rulers import load_rulers

LONGEST_DAYS = 400


def figure_routes() -> Router:
    """Service levels."""
    router = Router(tag="service desk")

    @router.get("/v1/sla", scope="alerts:read")
    async def show_service_levels(
        call: Call,
        since: Annotated[Day | None, Query(alias="from")] = None,
        until: Annotated[Day | None, Query(alias="to")] = None,
        policy: Id = DEFAULT,
        by: By | None = None,
    ) -> Response:
        """Clocks that started on these store days (default: today), by class, agent or hour of their start.

        Times are service time of the clocks that have stopped; paused clocks count as running.
        """
        zone = (await call.store_info()).zone
        async with call.read() as tx:
            first, last = _range(since, until, day_of(tx.now, zone))
            if policy not in {known.id for known in (await load_rulers(call.store, tx)).policies}:
                raise NotFound(f"there is no policy {policy}")
            begin, end = range_bounds(first, last, zone)
            rows = await service_levels(call.store, policy, begin, end, by, zone.key, tx)
        items = [{**_part(by, row.part, zone), **_figures(row)} for row in rows]
        return await call.reply(Answer(200, {"from": first, "to": last, "policy": policy, "by": by, "items": items}))

    return router


def _range(since: date | None, until: date | None, today: date) -> tuple[date, date]:
    first = since or until or today
    last = until or max(first, today)
    if last < first:
        raise Validation("to: before from", errors=[fault("/to", "range", "before from")])
    if (last - first).days >= LONGEST_DAYS:
        message = f"at most {LONGEST_DAYS} days"
        raise Validation(f"to: {message}", errors=[fault("/to", "range", message)])
    return first, last


def _part(by: By | None, part: Any, zone: ZoneInfo) -> dict[str, Any]:
    if by is None:
        return {}
    return {by: _hour(part, zone) if by == "hour" else part}


def _hour(start: datetime, zone: ZoneInfo) -> str:
    """Such as `2024-07-01T10`; the second time that DST shows an hour it carries its offset (D33)."""
    local = start.astimezone(zone)
    name = f"{local:%Y-%m-%dT%H}"
    return f"{name}{local.isoformat()[-6:]}" if local.fold else name


def _figures(row: Row[Any]) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "met": row.met,
        "breached": row.breached,
        "running": row.running,
        "average_seconds": _seconds(row.total_us, row.stopped),
        "p50_seconds": _seconds(row.p50_us, 1),
        "p90_seconds": _seconds(row.p90_us, 1),
    }


def _seconds(microseconds: Any, count: int) -> int | float | None:
    """Rounded half up to 6 decimals; None of nothing."""
    if microseconds is None or not count:
        return None
    exact = Decimal(microseconds) / 1_000_000 / count
    rounded = exact.quantize(Decimal("0.000001"), ROUND_HALF_UP)
    return int(rounded) if rounded == rounded.to_integral_value() else float(rounded)
