"""Incidents over HTTP: read, opened by hand, moved along."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from starlette.responses import Response

from libs.events.contracts.base import Id, Instant, Label
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound
from libs.service.pagination import Page, listing
from libs.service.privacy import mask_text
from libs.service.routes import Body, Router
from services.alerts import wire
from services.alerts.api.shared import Words, language_of
from services.alerts.domain.incidents import Incident
from services.alerts.handlers import moving
from services.alerts.rules import RULE
from services.alerts.store import incidents, ledger

CauseCode = Literal[
    "stock_data",
    "stock_out",
    "price",
    "listing",
    "campaign",
    "traffic_mix",
    "competitor",
    "payment",
    "service",
    "logistics",
    "system",
    "false_alarm",
]


class OpenIncident(Body):
    """An incident opened by a person (ALR-16)."""

    title: Annotated[Label, AfterValidator(mask_text)]
    description: Words
    severity: Literal["info", "warning", "critical"] = "warning"
    about: dict[Id, Id] = Field(default_factory=dict, max_length=10)


class Resolve(Body):
    """The record that closes an incident (template 4)."""

    cause_code: CauseCode
    cause: Words
    measures: Words
    owner: Annotated[str, Field(min_length=1, max_length=200)]
    completed_at: Instant | None = None


class Assign(Body):
    """Whom an incident is given to."""

    owner: Annotated[str, Field(min_length=1, max_length=200)]


class Comment(Body):
    """A line for the timeline."""

    text: Words


async def _whole(incident: Incident, call: CallContext, tx: Transaction) -> dict[str, Any]:
    """An incident with its timeline and notifications."""
    timeline = await incidents.load_timeline(incident.store, incident.incident_id, tx)
    sent = await ledger.list_deliveries(
        incident.store,
        channel=None,
        status=None,
        incident_id=incident.incident_id,
        after=None,
        limit=100,
        tx=tx,
    )
    return wire.incident_body(incident, language_of(call), timeline=timeline, notifications=reversed(sent))


Move = Callable[[Transaction], Awaitable[Incident]]


async def _move(call: CallContext, move: Move) -> Response:
    """Move an incident along and answer with it whole; `If-Match` guards its version."""

    async def action(tx: Transaction) -> Answer:
        incident = await move(tx)
        return Answer(200, await _whole(incident, call, tx), etag=incident.version)

    return await call.once(action)


def incident_routes() -> Router:
    """Reading and moving incidents."""
    router = Router(tag="incidents")

    @router.get("/v1/incidents", scope="alerts:read")
    async def list_incidents(
        call: Call,
        page: Page,
        status: Literal["open", "acknowledged", "investigating", "resolved"] | None = None,
        rule: str | None = None,
    ) -> Response:
        """Incidents, the newest first; `rule` matches any alert in an incident."""
        if rule is not None and rule not in RULE:
            raise NotFound(f"there is no rule {rule}")
        after = page.after(datetime, str)
        async with call.read() as tx:
            found = await incidents.list_incidents(
                call.store,
                status=status,
                rule=rule,
                after=(after[0], after[1]) if after else None,
                limit=page.fetch,
                tx=tx,
            )
            shown, cursor = listing(page, found, lambda i: (i.opened_at, i.incident_id))
            items = [await _whole(incident, call, tx) for incident in shown]
        return await call.page(items, cursor)

    @router.get("/v1/incidents/{incident_id}", scope="alerts:read")
    async def show_incident(incident_id: Id, call: Call) -> Response:
        """An incident: figures, evidence, timeline, notifications."""
        async with call.read() as tx:
            incident = await incidents.load_incident(call.store, incident_id, tx)
            body = await _whole(incident, call, tx)
        return await call.reply(Answer(200, body, etag=f"{incident.version}-{len(body['timeline'])}"))

    @router.post("/v1/incidents", scope="alerts:write", status_code=201)
    async def open_incident(body: OpenIncident, call: Call) -> Response:
        """Open an incident by hand: a page crash, a platform penalty, a wave of complaints (ALR-16)."""

        async def action(tx: Transaction) -> Answer:
            incident = await moving.open_by_hand(
                body.title, body.description, body.severity, body.about, of=call.store, by=call.actor, tx=tx
            )
            return Answer(201, await _whole(incident, call, tx), etag=incident.version)

        return await call.once(action)

    @router.post("/v1/incidents/{incident_id}/acknowledge", scope="alerts:write")
    async def acknowledge(incident_id: Id, call: Call) -> Response:
        """Say that somebody has seen it (ALR-12)."""
        return await _move(call, lambda tx: moving.acknowledge(incident_id, of=call.store, by=call.actor, tx=tx))

    @router.post("/v1/incidents/{incident_id}/investigate", scope="alerts:write")
    async def investigate(incident_id: Id, call: Call) -> Response:
        """Say that the cause is being looked for (ALR-12)."""
        return await _move(call, lambda tx: moving.investigate(incident_id, of=call.store, by=call.actor, tx=tx))

    @router.post("/v1/incidents/{incident_id}/assign", scope="alerts:write")
    async def assign(incident_id: Id, body: Assign, call: Call) -> Response:
        """Give it to somebody."""
        return await _move(call, lambda tx: moving.assign(incident_id, body.owner, of=call.store, by=call.actor, tx=tx))

    @router.post("/v1/incidents/{incident_id}/comment", scope="alerts:write")
    async def comment(incident_id: Id, body: Comment, call: Call) -> Response:
        """Write into its timeline."""
        return await _move(call, lambda tx: moving.comment(incident_id, body.text, of=call.store, by=call.actor, tx=tx))

    @router.post("/v1/incidents/{incident_id}/resolve", scope="alerts:write")
    async def resolve(incident_id: Id, body: Resolve, call: Call) -> Response:
        """Close it with its record: cause code, cause, measures, owner (ALR-14)."""

        async def move(tx: Transaction) -> Incident:
            completed_at = body.completed_at or tx.now
            record = {
                **body.model_dump(exclude={"completed_at"}),
                "completed_at": completed_at.isoformat(),
            }
            return await moving.resolve(incident_id, record, of=call.store, by=call.actor, tx=tx)

        return await _move(call, move)

    return router
