"""Violations over HTTP: what a platform charged the store with (ALR-16, D79)."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from libs.events.contracts import ViolationRecorded
from libs.events.contracts.base import Day, Id, Instant, Label, Sku
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call
from libs.service.errors import Conflict, NotFound, Validation, fault
from libs.service.pagination import Page, listing
from libs.service.routes import Body, Router
from libs.service.storetime import day_bounds, start_of_day
from services.alerts.store import violations
from services.alerts.store.violations import Violation, Wanted

LATEST = 5
"""Minutes that a violation may lie in the future (D5)."""


class NewViolation(Body):
    """The store broke a rule of a platform."""

    violation_id: Id | None = None
    rule: Label
    sku: Sku | None = None
    points: Annotated[float | int, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
    penalised: bool
    appeal_due: Instant | None = None
    at: Instant


def violation_routes() -> Router:
    """Keeping and reading violations."""
    router = Router(tag="violations")

    @router.post("/v1/violations", scope="alerts:write", status_code=201)
    async def record_violation(body: NewViolation, call: Call) -> Response:
        """Keep a violation: rule, SKU, points, whether it was penalised, and until when an appeal is possible."""
        violation_id = call.id_or_derived(body.violation_id)
        natural = ("violation", body.violation_id) if body.violation_id else None
        await call.store_info()

        async def action(tx: Transaction) -> Answer:
            violation = Violation(
                store=call.store,
                recorded_at=tx.now,
                by=call.actor,
                **body.model_dump(exclude={"violation_id"}),
                violation_id=violation_id,
            )
            await _keep(violation, tx)
            return Answer(201, _violation_body(violation, tx.now), location=f"/v1/violations/{violation_id}")

        return await call.once(action, natural=natural)

    @router.get("/v1/violations", scope="alerts:read")
    async def list_violations(
        call: Call,
        page: Page,
        sku: str | None = None,
        rule: str | None = None,
        penalised: bool | None = None,
        appeal: bool = False,
        first: Annotated[Day | None, Query(alias="from")] = None,
        last: Annotated[Day | None, Query(alias="to")] = None,
    ) -> Response:
        """Violations, the latest first; with `appeal=true` those that can still be appealed against."""
        zone = (await call.store_info()).zone
        after = page.after(datetime, str)
        async with call.read() as tx:
            wanted = Wanted(
                sku=sku,
                rule=rule,
                penalised=penalised,
                appeal_open_at=tx.now if appeal else None,
                since=start_of_day(first, zone) if first else None,
                until=day_bounds(last, zone)[1] if last else None,
            )
            found = await violations.list_violations(
                call.store, wanted, after=(after[0], after[1]) if after else None, limit=page.fetch, tx=tx
            )
            shown, cursor = listing(page, found, lambda v: (v.at, v.violation_id))
            bodies = [_violation_body(violation, tx.now) for violation in shown]
        return await call.page(bodies, cursor)

    @router.get("/v1/violations/{violation_id}", scope="alerts:read")
    async def show_violation(violation_id: Id, call: Call) -> Response:
        """A violation."""
        await call.store_info()
        async with call.read() as tx:
            violation = await violations.load_violation(call.store, violation_id, tx)
            if violation is None:
                raise NotFound("there is no such violation")
            body = _violation_body(violation, tx.now)
        return await call.reply(Answer(200, body))

    return router


async def _keep(violation: Violation, tx: Transaction) -> None:
    if (violation.at - tx.now).total_seconds() > LATEST * 60:
        raise Validation("at: in the future", errors=[fault("/at", "future", "more than 5 minutes ahead")])
    if violation.appeal_due is not None and violation.appeal_due < violation.at:
        raise Validation("appeal_due: before at", errors=[fault("/appeal_due", "order", "before the violation")])
    if await violations.load_violation(violation.store, violation.violation_id, tx) is not None:
        raise Conflict("there is a violation with this id already")
    await violations.add_violation(violation, tx)
    fields = ("violation_id", "rule", "sku", "points", "penalised", "appeal_due")
    tx.emit(ViolationRecorded(**{name: getattr(violation, name) for name in fields}), time=violation.at)


def _violation_body(violation: Violation, now: datetime) -> Mapping[str, Any]:
    body = asdict(violation)
    return {**body, "can_be_appealed": violation.appeal_due is not None and now < violation.appeal_due}
