"""Channels over HTTP, and the delivery ledger."""

from datetime import datetime
from typing import Annotated, Literal

import httpx2
from pydantic import Field
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
from services.alerts.channels import KINDS
from services.alerts.sender import Sender
from services.alerts.store import ledger
from services.alerts.store.ledger import Channel
from services.alerts.targets import AllowList, check_url


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
            channel = await ledger.load_channel(call.store, name, tx)
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

    return router


async def _set_channel(name: str, body: ChannelSetting, call: CallContext, tx: Transaction) -> Answer:
    channel = await ledger.save_channel(
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
