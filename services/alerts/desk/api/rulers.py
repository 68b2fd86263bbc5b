"""Calendars and service-level policies over HTTP (D65)."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.responses import Response

from libs.events.contracts.base import Id, Instant
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound, Validation, fault
from libs.service.routes import Body, Router
from services.alerts import documents
from services.alerts.api.shared import put_document
from services.alerts.desk.domain.policies import BUILT_IN, DEFAULT
from services.alerts.desk.domain.settings import Unfit, read_calendar, read_policy, shown_limits
from services.alerts.desk.store.rulers import CALENDAR, SLA_POLICY
from services.alerts.domain.documents import Document, Setting

Pair = Annotated[list[str], Field(min_length=2, max_length=2)]
Shifts = Annotated[list[Pair], Field(max_length=24)]
LONGEST_LIMIT = 90 * 24 * 3600


class CalendarBody(Body):
    """When people serve: split shifts by weekday, holidays, and days that are worked all the same."""

    timezone: Annotated[str, Field(min_length=1, max_length=64)]
    week: dict[str, Shifts]
    holidays: Annotated[list[str], Field(max_length=1000)] = Field(default_factory=list)
    workdays: Annotated[dict[str, Shifts], Field(max_length=1000)] = Field(default_factory=dict)
    valid_from: Instant | None = None


class LimitBody(Body):
    """How long something may take, in service hours."""

    service_class: Annotated[Literal["pre_sale", "in_sale", "after_sale", "complex"], Field(alias="class")]
    kind: Literal["first_response", "next_response", "solution"]
    seconds: Annotated[int, Field(ge=1, le=LONGEST_LIMIT)]


class PolicyBody(Body):
    """A ruler for conversations; several may measure the same one."""

    calendar: Id | None = None
    limits: Annotated[list[LimitBody], Field(min_length=1, max_length=12)]
    warn_at: Annotated[float | int, Field(gt=0, le=1)] = 0.8
    valid_from: Instant | None = None


def ruler_routes() -> Router:
    """Reading and setting calendars and policies."""
    router = Router(tag="service desk")

    @router.get("/v1/calendars", scope="alerts:read")
    async def list_calendars(call: Call) -> Response:
        """The calendars that are valid now."""
        return await call.page(await _valid(call, CALENDAR), None)

    @router.get("/v1/calendars/{calendar_id}", scope="alerts:read")
    async def show_calendar(calendar_id: Id, call: Call) -> Response:
        """A calendar as it was set last."""
        return await _show(call, CALENDAR, calendar_id)

    @router.put("/v1/calendars/{calendar_id}", scope="alerts:write")
    async def set_calendar(calendar_id: Id, body: CalendarBody, call: Call) -> Response:
        """Set a calendar, from a time on. Overlapping shifts, unknown zones and days that do not exist are refused."""
        value = body.model_dump(exclude={"valid_from"})
        _checked(lambda: read_calendar(value))
        return await put_document(call, Setting(CALENDAR, calendar_id, value, valid_from=body.valid_from), _shown)

    @router.get("/v1/sla-policies", scope="alerts:read")
    async def list_policies(call: Call) -> Response:
        """The policies that are valid now; `default` is always there."""
        return await call.page(await _valid(call, SLA_POLICY), None)

    @router.get("/v1/sla-policies/{policy_id}", scope="alerts:read")
    async def show_policy(policy_id: Id, call: Call) -> Response:
        """A policy as it was set last."""
        return await _show(call, SLA_POLICY, policy_id)

    @router.put("/v1/sla-policies/{policy_id}", scope="alerts:write")
    async def set_policy(policy_id: Id, body: PolicyBody, call: Call) -> Response:
        """Set a policy, from a time on. Clocks that run then keep the old result and get the new one beside it."""
        value = body.model_dump(by_alias=True, exclude={"valid_from"}, exclude_none=True)
        _checked(lambda: read_policy(policy_id, value, BUILT_IN.since))
        await _require_calendar(body.calendar, call)
        return await put_document(call, Setting(SLA_POLICY, policy_id, value, valid_from=body.valid_from), _shown)

    return router


def _checked(read: Callable[[], object]) -> None:
    try:
        read()
    except Unfit as problem:
        errors = [fault(problem.pointer, "setting", problem.message)]
        raise Validation(f"{problem.pointer}: {problem.message}", errors=errors) from None


async def _require_calendar(calendar: str | None, call: CallContext) -> None:
    if calendar is None:
        return
    await call.store_info()
    async with call.read() as tx:
        if await documents.latest(call.store, CALENDAR, calendar, tx) is None:
            raise Validation("no such calendar", errors=[fault("/calendar", "unknown", "there is no such calendar")])


async def _show(call: CallContext, kind: str, key: str) -> Response:
    await call.store_info()
    async with call.read() as tx:
        document = await documents.latest(call.store, kind, key, tx)
    if document is not None:
        return await call.reply(Answer(200, _shown(document), etag=document.version))
    if (kind, key) == (SLA_POLICY, DEFAULT):
        return await call.reply(Answer(200, _built_in(), etag=0))
    raise NotFound(f"there is no such {kind.replace('_', ' ')}")


async def _valid(call: CallContext, kind: str) -> list[dict[str, Any]]:
    await call.store_info()
    async with call.read() as tx:
        found = [_shown(document) for document in await documents.list_valid(call.store, kind, tx)]
    if kind == SLA_POLICY and all(policy["policy_id"] != DEFAULT for policy in found):
        return [_built_in(), *found]
    return found


_NAMES = {CALENDAR: "calendar_id", SLA_POLICY: "policy_id"}


def _shown(document: Document) -> dict[str, Any]:
    return {
        _NAMES[document.kind]: document.key,
        **(document.value or {}),
        "valid_from": document.valid_from,
        "version": document.version,
    }


def _built_in() -> dict[str, Any]:
    limits = list(shown_limits(BUILT_IN))
    return {"policy_id": DEFAULT, "limits": limits, "warn_at": BUILT_IN.warn_at, "valid_from": None, "version": 0}
