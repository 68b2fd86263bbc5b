"""Incidents over HTTP: read, opened by hand, moved along."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import AfterValidator, Field
from starlette.responses import Response

from libs.events.contracts.base import Day, Id, Instant, Label
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound
from libs.service.pagination import Page, listing
from libs.service.privacy import mask_text
from libs.service.routes import Body, Router
from libs.service.storetime import day_bounds, start_of_day
from services.alerts import wire
from services.alerts.api.shared import Words, language_of
from services.alerts.domain.incidents import Incident
from services.alerts.handlers import moving
from services.alerts.rules import RULE
from services.alerts.store import incidents, ledger
from services.alerts.store.incidents import Wanted

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
    about: dict[Label, Label] = Field(default_factory=dict, max_length=10)


class Resolve(Body):
    """The record that closes an incident (template 4)."""

    cause_code: CauseCode
    cause: Words
    measures: Words
    owner: Label
    completed_at: Instant | None = None
    description: Words | None = None
    scope: Words | None = None


class Assign(Body):
    """Whom an incident is given to."""

    owner: Label


class Comment(Body):
    """A line for the timeline."""

    text: Words


async def _whole(incident: Incident, call: CallContext, tx: Transaction) -> dict[str, Any]:
    """An incident with its timeline and notifications."""
    return (await _whole_list([incident], call, tx))[0]


async def _whole_list(found: Sequence[Incident], call: CallContext, tx: Transaction) -> list[dict[str, Any]]:
    """Incidents with their timelines and notifications, read at once."""
    ids = [incident.incident_id for incident in found]
    timelines = await incidents.load_timelines(call.store, ids, tx)
    sent = await ledger.load_deliveries(call.store, ids, tx)
    language = language_of(call)
    return [
        wire.incident_body(
            incident,
            language,
            timeline=timelines[incident.incident_id],
            notifications=sent[incident.incident_id],
        )
        for incident in found
    ]


Move = Callable[[Transaction], Awaitable[Incident]]


async def _move(incident_id: str, call: CallContext, move: Move) -> Response:
    """Move an incident along and answer with it whole; `If-Match` guards what was read."""

    async def action(tx: Transaction) -> Answer:
        if "if-match" in call.request.headers:
            present = await incidents.load_incident(call.store, incident_id, tx, lock=True)
            call.require_match(_etag(await _whole(present, call, tx)))
        return _answer(200, await _whole(await move(tx), call, tx))

    await call.store_info()
    return await call.once(action)


def _answer(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, body, etag=_etag(body))


def _etag(body: Mapping[str, Any]) -> str:
    """Changes with the incident, its timeline and its messages."""
    attempts = sum(message["attempts"] + 1 for message in body["notifications"])
    return f"{body['version']}-{len(body['timeline'])}-{attempts}"


def incident_routes() -> Router:
    """Reading and moving incidents."""
    router = Router(tag="incidents")

    @router.get("/v1/incidents", scope="alerts:read")
    async def list_incidents(
        call: Call,
        page: Page,
        status: Literal["open", "acknowledged", "investigating", "resolved"] | None = None,
        rule: str | None = None,
        severity: Literal["info", "warning", "critical"] | None = None,
        owner: str | None = None,
        sku: str | None = None,
        channel: str | None = None,
        campaign: str | None = None,
        order_id: str | None = None,
        first: Annotated[Day | None, Query(alias="from")] = None,
        last: Annotated[Day | None, Query(alias="to")] = None,
    ) -> Response:
        """Incidents, the newest first; `rule` matches any alert in an incident, `from` and `to` are store days."""
        if rule is not None and rule not in RULE:
            raise NotFound(f"there is no rule {rule}")
        zone = (await call.store_info()).zone
        named = {"sku": sku, "channel": channel, "campaign": campaign, "order_id": order_id}
        wanted = Wanted(
            status=status,
            rule=rule,
            severity=severity,
            owner=owner,
            about={name: value for name, value in named.items() if value is not None},
            since=start_of_day(first, zone) if first else None,
            until=day_bounds(last, zone)[1] if last else None,
        )
        after = page.after(datetime, str)
        async with call.read() as tx:
            found = await incidents.list_incidents(
                call.store, wanted, after=(after[0], after[1]) if after else None, limit=page.fetch, tx=tx
            )
            shown, cursor = listing(page, found, lambda i: (i.opened_at, i.incident_id))
            bodies = await _whole_list(shown, call, tx)
        return await call.page(bodies, cursor)

    @router.get("/v1/incidents/{incident_id}", scope="alerts:read")
    async def show_incident(incident_id: Id, call: Call) -> Response:
        """An incident: figures, evidence, timeline, notifications."""
        await call.store_info()
        async with call.read() as tx:
            incident = await incidents.load_incident(call.store, incident_id, tx)
            body = await _whole(incident, call, tx)
        return await call.reply(_answer(200, body))

    @router.post("/v1/incidents", scope="alerts:write", status_code=201)
    async def open_incident(body: OpenIncident, call: Call) -> Response:
        """Open an incident by hand: a page crash, a platform penalty, a wave of complaints (ALR-16)."""

        async def action(tx: Transaction) -> Answer:
            incident = await moving.open_by_hand(
                body.title, body.description, body.severity, body.about, of=call.store, by=call.actor, tx=tx
            )
            return _answer(201, await _whole(incident, call, tx))

        await call.store_info()
        return await call.once(action)

    @router.post("/v1/incidents/{incident_id}/acknowledge", scope="alerts:write")
    async def acknowledge(incident_id: Id, call: Call) -> Response:
        """Say that somebody has seen it (ALR-12)."""
        return await _move(
            incident_id, call, lambda tx: moving.acknowledge(incident_id, of=call.store, by=call.actor, tx=tx)
        )

    @router.post("/v1/incidents/{incident_id}/investigate", scope="alerts:write")
    async def investigate(incident_id: Id, call: Call) -> Response:
        """Say that the cause is being looked for (ALR-12)."""
        return await _move(
            incident_id, call, lambda tx: moving.investigate(incident_id, of=call.store, by=call.actor, tx=tx)
        )

    @router.post("/v1/incidents/{incident_id}/assign", scope="alerts:write")
    async def assign(incident_id: Id, body: Assign, call: Call) -> Response:
        """Give it to somebody."""
        return await _move(
            incident_id, call, lambda tx: moving.assign(incident_id, body.owner, of=call.store, by=call.actor, tx=tx)
        )

    @router.post("/v1/incidents/{incident_id}/comment", scope="alerts:write")
    async def comment(incident_id: Id, body: Comment, call: Call) -> Response:
        """Write into its timeline."""
        return await _move(
            incident_id, call, lambda tx: moving.comment(incident_id, body.text, of=call.store, by=call.actor, tx=tx)
        )

    @router.post("/v1/incidents/{incident_id}/resolve", scope="alerts:write")
    async def resolve(incident_id: Id, body: Resolve, call: Call) -> Response:
        """Close it with its record: cause code, cause, measures, owner (ALR-14)."""

        record = body.model_dump(exclude_none=True, mode="json")
        return await _move(
            incident_id, call, lambda tx: moving.resolve(incident_id, record, of=call.store, by=call.actor, tx=tx)
        )

    return router
