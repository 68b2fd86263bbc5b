"""Channels over HTTP, and the delivery ledger: what was sent where, what was not, and why."""

import json
import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from starlette.responses import Response

from libs.events.contracts.base import Id
from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from libs.service.audit import audit
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import Validation, fault
from libs.service.pagination import Page, listing
from libs.service.routes import Body, Router
from services.alerts import wire
from services.alerts.channels import KINDS, Kind, mail
from services.alerts.channels.base import Notification
from services.alerts.routing import choose
from services.alerts.sender import Exchange, Sender
from services.alerts.store import incidents, ledger
from services.alerts.store.ledger import Channel
from services.alerts.targets import AllowList, check_url

ClockTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Secret = Annotated[str, Field(max_length=500, pattern=r"^[\x21-\x7e]*$")]
SHOWN_CHARACTERS = 2_000


def _two_times(span: list[str]) -> list[str]:
    if span[0] == span[1]:
        raise ValueError("a span begins and ends at different times")
    return span


Span = Annotated[list[ClockTime], Field(min_length=2, max_length=2), AfterValidator(_two_times)]


class Route(Body):
    """Which incidents a channel wants: of these rules, from this severity up, in these hours of the store's day."""

    rules: list[str] = Field(default_factory=lambda: ["*"], min_length=1, max_length=100)
    severity: Literal["info", "warning", "critical"] = "info"
    hours: list[Span] = Field(default_factory=list, max_length=10)


class Quiet(Body):
    """Hours of the store's day in which only the critical is told; what comes meanwhile is told at their end."""

    from_: Annotated[ClockTime, Field(alias="from")]
    to: ClockTime

    @model_validator(mode="after")
    def _is_a_span(self) -> Self:
        _two_times([self.from_, self.to])
        return self


class ChannelSetting(Body):
    """Where people are told."""

    kind: str
    url: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[\x21-\x7e]+$")]
    secret: Secret = ""
    language: Literal["zh", "en"] = "zh"
    routes: list[Route] = Field(default_factory=lambda: [Route()], max_length=50)
    mention: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(default_factory=list, max_length=50)
    format: Literal["own", "alertmanager"] = "own"
    quiet: Quiet | None = None
    enabled: bool = True


def channel_routes(sender: Sender, allowed: AllowList) -> Router:
    """Channels and the delivery ledger."""
    router = Router(tag="channels")

    @router.get("/v1/channels", scope="alerts:read")
    async def list_channels(call: Call) -> Response:
        """The channels, their secrets masked."""
        async with call.read() as tx:
            channels = await ledger.list_channels(call.store, tx)
        return await call.page([wire.channel_body(channel) for channel in channels], None)

    @router.get("/v1/channels/{name}", scope="alerts:read")
    async def show_channel(name: Id, call: Call) -> Response:
        """A channel, its secrets masked."""
        async with call.read() as tx:
            channel = await ledger.load_channel(call.store, name, tx)
        return await call.reply(Answer(200, wire.channel_body(channel), etag=channel.version))

    @router.put("/v1/channels/{name}", scope="alerts:write")
    async def set_channel(name: Id, body: ChannelSetting, call: Call) -> Response:
        """Make or change a channel."""
        _check(body, allowed)
        info = await call.store_info()
        return await call.once(lambda tx: _set_channel(_channel(name, body, call.store, info.zone.key), call, tx))

    @router.post("/v1/channels/{name}/test", scope="alerts:write")
    async def test_channel(name: Id, call: Call) -> Response:
        """Send a test message now, and show the request (secrets masked) and the answer, with what may help."""
        async with call.read() as tx:
            channel = await ledger.load_channel(call.store, name, tx)
        now = call.runtime.clock()
        told = {"type": "test", "timestamp": now.isoformat(), "data": {"store": call.store, "channel": name}}
        async with sender.client() as client:
            exchange = await sender.attempt(channel, Notification(f"nt_{uuid7(now)}", [told], sender.console), client)
        return await call.reply(Answer(200, _shown(exchange, channel)))

    @router.get("/v1/notifications", scope="alerts:read")
    async def list_notifications(
        call: Call, page: Page, channel: str | None = None, status: str | None = None
    ) -> Response:
        """The delivery ledger, the newest first: what was sent where, and what was not, and why."""
        after = page.after(datetime, str)
        async with call.read() as tx:
            found = await ledger.list_deliveries(
                call.store,
                channel=channel,
                status=status,
                after=(after[0], after[1]) if after else None,
                limit=page.fetch,
                tx=tx,
            )
        shown, cursor = listing(page, found, lambda d: (d.created_at, d.notification_id))
        return await call.page([wire.notification_body(d) for d in shown], cursor)

    @router.get("/v1/incidents/{incident_id}/notifications", scope="alerts:read")
    async def explain(incident_id: Id, call: Call) -> Response:
        """Why was I (not) told: every channel, how it chooses about this incident now, and what it was sent."""
        async with call.read() as tx:
            incident = await incidents.load_incident(call.store, incident_id, tx)
            channels = await ledger.list_channels(call.store, tx)
            sent = (await ledger.load_deliveries(call.store, [incident_id], tx))[incident_id]
        now = call.runtime.clock()
        shown = [
            {
                "channel": channel.name,
                "kind": channel.kind,
                "choice": choose(channel, incident, now).value,
                "notifications": [wire.notification_body(d) for d in sent if d.channel == channel.name],
            }
            for channel in channels
        ]
        return await call.page(shown, None)

    return router


def _check(body: ChannelSetting, allowed: AllowList) -> Kind:
    kind = KINDS.get(body.kind)
    if kind is None:
        raise _bad("kind", "kind", f"there is: {', '.join(KINDS)}")
    check_url(body.url, kind.hosts, kind.schemes, allowed)
    if kind.name == "mail":
        mail.check_url(body.url)
    kind.check_secret(body.secret)
    if body.format != "own" and kind.name != "webhook":
        raise _bad("format", "format", "only a webhook has one")
    return kind


def _bad(name: str, code: str, message: str) -> Validation:
    return Validation(f"{name}: {message}", errors=[fault(f"/{name}", code, message)])


def _channel(name: str, body: ChannelSetting, store: str, timezone: str) -> Channel:
    return Channel(
        store=store,
        name=name,
        kind=body.kind,
        url=body.url,
        secret=body.secret,
        language=body.language,
        routes=[route.model_dump() for route in body.routes],
        mention=body.mention,
        format=body.format,
        quiet=body.quiet.model_dump(by_alias=True) if body.quiet else None,
        timezone=timezone,
        enabled=body.enabled,
        version=0,
    )


async def _set_channel(channel: Channel, call: CallContext, tx: Transaction) -> Answer:
    saved = await ledger.save_channel(channel, tx)
    masked = wire.channel_body(saved)
    await audit(tx, call.actor, "channel.set", channel.name, None, masked)
    return Answer(200, masked, etag=saved.version)


_SIGNED = re.compile(r'("sign":")[^"]*')


def _shown(exchange: Exchange, channel: Channel) -> dict[str, Any]:
    """An exchange without its secrets."""
    written = _SIGNED.sub(rf"\g<1>{wire.MASK}", exchange.request.body.decode(errors="replace"))
    for secret in filter(None, (channel.secret, *channel.mention)):
        written = written.replace(secret, wire.MASK)
    answer = exchange.answer.decode(errors="replace")[:SHOWN_CHARACTERS]
    return {
        "request": {"url": wire.channel_body(channel)["url"], "body": _parsed(written)},
        "answer": {
            "status": exchange.status,
            "body": answer,
            "result": exchange.outcome.result.value,
            "detail": exchange.outcome.detail,
        },
    }


def _parsed(written: str) -> Any:
    try:
        return json.loads(written)
    except ValueError:
        return written
