"""The HTTP front door of alerts: incidents, rules, channels and the delivery ledger."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import httpx2
from pydantic import AfterValidator, Field
from starlette.responses import Response

from libs.events.contracts import PolicyChanged
from libs.events.contracts.base import Id, Instant, Label
from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from libs.service.audit import audit
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound, Validation, fault
from libs.service.pagination import Page, listing
from libs.service.privacy import mask_text
from libs.service.routes import Body, MaskedText, Router
from services.alerts import handlers, store, wire
from services.alerts.channels import KINDS
from services.alerts.domain import Incident
from services.alerts.rules import RULE, RULES, Rule
from services.alerts.sender import Sender
from services.alerts.store import Channel
from services.alerts.targets import AllowList, check_url
from services.alerts.texts import Language

Words = Annotated[MaskedText, Field(min_length=1, max_length=2000)]
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


class RuleSetting(Body):
    """What a store sets of a rule."""

    enabled: bool = True
    parameters: dict[str, float | int] = Field(default_factory=dict)
    scope: dict[str, str] = Field(default_factory=dict, max_length=1)
    valid_from: Instant | None = None


class Route(Body):
    """Which incidents a channel wants: of these rules, from this severity up."""

    rules: list[str] = Field(default_factory=lambda: ["*"], min_length=1, max_length=100)
    severity: Literal["info", "warning", "critical"] = "info"


class ChannelSetting(Body):
    """Where people are told."""

    kind: str
    url: Annotated[str, Field(min_length=1, max_length=2000)]
    secret: Annotated[str, Field(max_length=500)] = ""
    language: Literal["zh", "en"] = "zh"
    routes: list[Route] = Field(default_factory=lambda: [Route()], max_length=50)
    mention: list[Annotated[str, Field(max_length=64)]] = Field(default_factory=list, max_length=50)
    enabled: bool = True


def _language(call: CallContext) -> Language:
    return "en" if call.language == "en" else "zh"


async def _whole(incident: Incident, call: CallContext, tx: Transaction) -> dict[str, Any]:
    """An incident with its timeline and notifications."""
    timeline = await store.load_timeline(incident.store, incident.incident_id, tx)
    sent = await store.list_deliveries(
        incident.store,
        channel=None,
        status=None,
        incident_id=incident.incident_id,
        after=None,
        limit=100,
        tx=tx,
    )
    return wire.incident_body(incident, _language(call), timeline=timeline, notifications=reversed(sent))


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
            found = await store.list_incidents(
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
            incident = await store.load_incident(call.store, incident_id, tx)
            body = await _whole(incident, call, tx)
        return await call.reply(Answer(200, body, etag=f"{incident.version}-{len(body['timeline'])}"))

    @router.post("/v1/incidents", scope="alerts:write", status_code=201)
    async def open_incident(body: OpenIncident, call: Call) -> Response:
        """Open an incident by hand: a page crash, a platform penalty, a wave of complaints (ALR-16)."""

        async def action(tx: Transaction) -> Answer:
            incident = await handlers.open_by_hand(
                body.title, body.description, body.severity, body.about, of=call.store, by=call.actor, tx=tx
            )
            return Answer(201, await _whole(incident, call, tx), etag=incident.version)

        return await call.once(action)

    @router.post("/v1/incidents/{incident_id}/acknowledge", scope="alerts:write")
    async def acknowledge(incident_id: Id, call: Call) -> Response:
        """Say that somebody has seen it (ALR-12)."""
        return await _move(call, lambda tx: handlers.acknowledge(incident_id, of=call.store, by=call.actor, tx=tx))

    @router.post("/v1/incidents/{incident_id}/investigate", scope="alerts:write")
    async def investigate(incident_id: Id, call: Call) -> Response:
        """Say that the cause is being looked for (ALR-12)."""
        return await _move(call, lambda tx: handlers.investigate(incident_id, of=call.store, by=call.actor, tx=tx))

    @router.post("/v1/incidents/{incident_id}/assign", scope="alerts:write")
    async def assign(incident_id: Id, body: Assign, call: Call) -> Response:
        """Give it to somebody."""
        return await _move(
            call, lambda tx: handlers.assign(incident_id, body.owner, of=call.store, by=call.actor, tx=tx)
        )

    @router.post("/v1/incidents/{incident_id}/comment", scope="alerts:write")
    async def comment(incident_id: Id, body: Comment, call: Call) -> Response:
        """Write into its timeline."""
        return await _move(
            call, lambda tx: handlers.comment(incident_id, body.text, of=call.store, by=call.actor, tx=tx)
        )

    @router.post("/v1/incidents/{incident_id}/resolve", scope="alerts:write")
    async def resolve(incident_id: Id, body: Resolve, call: Call) -> Response:
        """Close it with its record: cause code, cause, measures, owner (ALR-14)."""

        async def move(tx: Transaction) -> Incident:
            completed_at = body.completed_at or tx.now
            record = {
                **body.model_dump(exclude={"completed_at"}),
                "completed_at": completed_at.isoformat(),
            }
            return await handlers.resolve(incident_id, record, of=call.store, by=call.actor, tx=tx)

        return await _move(call, move)

    return router


def rule_routes() -> Router:
    """Reading and setting rules."""
    router = Router(tag="rules")

    @router.get("/v1/rules", scope="alerts:read")
    async def list_rules(call: Call) -> Response:
        """The catalogue of rules, with what the store has set."""
        async with call.read() as tx:
            settings = await store.load_rule_settings(call.store, tx)
        items = [_rule_body(rule, [s for s in settings if s.rule == rule.id]) for rule in RULES]
        return await call.page(items, None)

    @router.put("/v1/rules/{rule_id}", scope="alerts:write")
    async def set_rule(rule_id: str, body: RuleSetting, call: Call) -> Response:
        """Switch a rule on or off, or set its numbers, for the store or a category."""
        rule = RULE.get(rule_id)
        if rule is None:
            raise NotFound(f"there is no rule {rule_id}")
        _check_parameters(rule, body.parameters)
        return await call.once(lambda tx: _set_rule(rule, body, call, tx))

    return router


def _check_parameters(rule: Rule, parameters: Mapping[str, float]) -> None:
    unknown = sorted(set(parameters) - set(rule.parameters))
    if unknown:
        known = ", ".join(sorted(rule.parameters)) or "none"
        errors = [fault(f"/parameters/{name}", "unknown", f"{rule.id} has: {known}") for name in unknown]
        raise Validation(f"{rule.id} has no parameter {unknown[0]}", errors=errors)
    wrong = [name for name, value in parameters.items() if value < 0]
    if wrong:
        raise Validation(
            "a parameter is negative", errors=[fault(f"/parameters/{name}", "negative", "0 or more") for name in wrong]
        )


async def _set_rule(rule: Rule, body: RuleSetting, call: CallContext, tx: Transaction) -> Answer:
    scope = ",".join(f"{name}={value}" for name, value in sorted(body.scope.items()))
    before = await store.load_rule_setting(call.store, rule.id, scope, tx)
    since = body.valid_from or tx.now
    after: dict[str, Any] = {"enabled": body.enabled, "parameters": dict(body.parameters)}
    was = {"enabled": before.enabled, "parameters": before.parameters} if before else None
    await store.save_rule_setting(
        call.store, rule.id, scope, enabled=body.enabled, parameters=body.parameters, since=since, tx=tx
    )
    tx.emit(
        PolicyChanged(
            policy_id=rule.id,
            kind=rule.id,
            scope=dict(body.scope) or None,
            before=was,
            after=after,
            by=call.actor,
            valid_from=since,
        )
    )
    await audit(tx, call.actor, "rule.set", f"{rule.id}{scope}", was, after)
    setting = await store.load_rule_setting(call.store, rule.id, scope, tx)
    return Answer(200, _rule_body(rule, [setting]))


def _rule_body(rule: Rule, settings: list[Any]) -> dict[str, Any]:
    whole = next((s for s in settings if s.scope == ""), None)
    return {
        "rule": rule.id,
        "source": rule.source,
        "severity": rule.severity.value,
        "text": {"zh": rule.zh, "en": rule.en},
        "enabled": whole.enabled if whole else True,
        "parameters": {**rule.parameters, **(whole.parameters if whole else {})},
        "scopes": [
            {"scope": s.scope, "enabled": s.enabled, "parameters": s.parameters, "valid_from": s.valid_from}
            for s in settings
            if s.scope
        ],
    }


def channel_routes(sender: Sender, allowed: AllowList) -> Router:
    """Channels and the delivery ledger."""
    router = Router(tag="channels")

    @router.get("/v1/channels", scope="alerts:read")
    async def list_channels(call: Call) -> Response:
        """The channels, their secrets masked."""
        async with call.read() as tx:
            channels = await store.list_channels(call.store, tx)
        return await call.page([wire.channel_body(channel) for channel in channels], None)

    @router.get("/v1/channels/{name}", scope="alerts:read")
    async def show_channel(name: Id, call: Call) -> Response:
        """A channel, its secrets masked."""
        async with call.read() as tx:
            channel = await store.load_channel(call.store, name, tx)
        return await call.reply(Answer(200, wire.channel_body(channel), etag=channel.version))

    @router.put("/v1/channels/{name}", scope="alerts:write")
    async def set_channel(name: Id, body: ChannelSetting, call: Call) -> Response:
        """Make or change a channel."""
        kind = KINDS.get(body.kind)
        if kind is None:
            message = f"there is: {', '.join(KINDS)}"
            raise Validation(f"kind: {message}", errors=[fault("/kind", "kind", message)])
        check_url(body.url, kind.hosts, allowed)
        kind.check_secret(body.secret)
        return await call.once(lambda tx: _set_channel(name, body, call, tx))

    @router.post("/v1/channels/{name}/test", scope="alerts:write")
    async def test_channel(name: Id, call: Call) -> Response:
        """Send a test message now, and show the answer."""
        async with call.read() as tx:
            channel = await store.load_channel(call.store, name, tx)
        now = call.runtime.clock()
        body = {"type": "test", "timestamp": now.isoformat(), "data": {"store": call.store, "channel": name}}
        async with httpx2.AsyncClient(timeout=sender.timeout_seconds, follow_redirects=False) as client:
            outcome = await sender.attempt(channel, f"nt_{uuid7(now)}", body, client)
        request = {"url": wire.channel_body(channel)["url"], "body": body}
        answer = {"result": outcome.result.value, "detail": outcome.detail}
        return await call.reply(Answer(200, {"request": request, "answer": answer}))

    @router.get("/v1/notifications", scope="alerts:read")
    async def list_notifications(
        call: Call, page: Page, channel: str | None = None, status: str | None = None
    ) -> Response:
        """The delivery ledger, the newest first: what was sent where, and what was not, and why."""
        after = page.after(datetime, str)
        async with call.read() as tx:
            found = await store.list_deliveries(
                call.store,
                channel=channel,
                status=status,
                incident_id=None,
                after=(after[0], after[1]) if after else None,
                limit=page.fetch,
                tx=tx,
            )
        shown, cursor = listing(page, found, lambda d: (d.created_at, d.notification_id))
        return await call.page([wire.notification_body(d) for d in shown], cursor)

    return router


async def _set_channel(name: str, body: ChannelSetting, call: CallContext, tx: Transaction) -> Answer:
    channel = await store.save_channel(
        Channel(
            store=call.store,
            name=name,
            kind=body.kind,
            url=body.url,
            secret=body.secret,
            language=body.language,
            routes=[route.model_dump() for route in body.routes],
            mention=body.mention,
            enabled=body.enabled,
            version=0,
        ),
        tx,
    )
    masked = wire.channel_body(channel)
    await audit(tx, call.actor, "channel.set", name, None, masked)
    return Answer(200, masked, etag=channel.version)
