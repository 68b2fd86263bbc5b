"""How good the rules are, by the records that people closed their incidents with (ALR-14)."""

from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from libs.events.contracts.base import Day
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound, Validation, fault
from libs.service.routes import Router
from libs.service.storetime import day_of, range_bounds
from services.alerts.rules import RULE, RULES
from services.alerts.store.precision import Tally, load_tallies

USUAL = timedelta(days=28)

From = Annotated[Day | None, Query(alias="from")]
To = Annotated[Day | None, Query(alias="to")]


def precision_routes() -> Router:
    """Reading how precise rules are, and how often they page."""
    router = Router(tag="rules")

    @router.get("/v1/precision", scope="alerts:read")
    async def list_precision(call: Call, first: From = None, last: To = None) -> Response:
        """Every rule: incidents, false alarms, precision, pages a week; of the last four weeks by default."""
        first, last = await _days(call, first, last)
        tallies = await _load(call, first, last, None)
        items = [_body(tallies.get(rule.id, _none(rule.id)), first, last) for rule in RULES]
        return await call.page(items, None)

    @router.get("/v1/rules/{rule_id}/precision", scope="alerts:read")
    async def show_precision(rule_id: str, call: Call, first: From = None, last: To = None) -> Response:
        """One rule: incidents, false alarms, precision, pages a week."""
        if rule_id not in RULE:
            raise NotFound(f"there is no rule {rule_id}")
        first, last = await _days(call, first, last)
        tallies = await _load(call, first, last, rule_id)
        return await call.reply(Answer(200, _body(tallies.get(rule_id, _none(rule_id)), first, last)))

    return router


async def _days(call: CallContext, first: date | None, last: date | None) -> tuple[date, date]:
    zone = (await call.store_info()).zone
    last = last or day_of(call.runtime.clock(), zone)
    first = first or last - USUAL + timedelta(days=1)
    if first > last:
        raise Validation("from: after to", errors=[fault("/from", "order", "it is after `to`")])
    return first, last


async def _load(call: CallContext, first: date, last: date, rule: str | None) -> dict[str, Tally]:
    since, until = range_bounds(first, last, (await call.store_info()).zone)
    async with call.read() as tx:
        return await load_tallies(call.store, since, until, tx, rule=rule)


def _none(rule: str) -> Tally:
    return Tally(rule, 0, 0, 0, 0)


def _body(tally: Tally, first: date, last: date) -> dict[str, Any]:
    weeks = ((last - first).days + 1) / 7
    return {
        "rule": tally.rule,
        "from": first.isoformat(),
        "to": last.isoformat(),
        "incidents": tally.incidents,
        "resolved": tally.resolved,
        "false_alarms": tally.false_alarms,
        "precision": tally.precision,
        "pages": tally.pages,
        "pages_per_week": round(tally.pages / weeks, 6),
    }
