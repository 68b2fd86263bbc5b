"""The express way of `POST /v1/reservations`: what a shop under sale sends a thousand times a second (INV-4, D61).

A plain call that is right in every respect is answered here, without the framework's machinery; everything else, every
refusal included, goes the usual way, so that there is one place that says what is wrong.
`tests/inventory/test_express.py` holds both ways to one corpus.
"""

import re
from asyncio import timeout
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.events.ids import uuid7
from libs.service import problems
from libs.service.auth import EVERY_STORE, Principal
from libs.service.errors import BodyTimeout, Overloaded, Problem
from libs.service.idempotency import Kept
from libs.service.logging import REQUEST_ID
from libs.service.metrics import REQUESTS_REFUSED
from libs.service.middleware import NOSNIFF, count_call
from libs.service.routes import BODY_SECONDS
from libs.service.runtime import Runtime
from libs.service.stores import StoreInfo
from services.inventory.answers import standing_json
from services.inventory.bodies import HOLD_SECONDS
from services.inventory.domain import commands as c
from services.inventory.lane import Request as Wish
from services.inventory.lane import StockLane

PATH = "/v1/reservations"
MOST_BYTES = 16 << 10
MOST_LINES = 100
GONE = 499
"""What a call is counted as whose caller left before the answer."""
_STORE = re.compile(rb"(?:store=([A-Za-z0-9._-]{1,64}))?")
_UNUSUAL = frozenset({b"idempotency-key", b"if-match", b"expect", b"content-encoding"})

Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,128}\Z")]
ReservationId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:~-]{1,160}\Z")]
CustomerId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:@+ -]{1,128}\Z")]
Sku = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    sku: Sku
    quantity: Annotated[int, msgspec.Meta(gt=0, le=10**9)]


class _Body(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """`ReservationBody`, somewhat narrower."""

    lines: Annotated[list[_Line], msgspec.Meta(min_length=1, max_length=MOST_LINES)]
    reservation_id: ReservationId | None = None
    order_id: Id | None = None
    customer_id: CustomerId | None = None
    campaign: Id | None = None
    ttl_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = HOLD_SECONDS
    allocate: bool = False
    replaces: ReservationId | None = None
    backorder: bool = False


_decode = msgspec.json.Decoder(_Body).decode
_NAMES = tuple(f'"{name}"'.encode() for name in _Body.__struct_fields__)


@dataclass(frozen=True, slots=True)
class _Caller:
    principal: Principal
    store: StoreInfo


class Express:
    """What stands before the app: it does for a plain reservation what door, request id and measures do for others."""

    def __init__(self, app: ASGIApp, runtime: Runtime, lane: StockLane) -> None:
        self.app = app
        self.runtime = runtime
        self.lane = lane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a plain reservation, or pass on what was read of the call."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        began = monotonic()
        try:
            messages = await _read(receive)
        except TimeoutError:
            await problems.answer(BodyTimeout("the request did not arrive in time"), Request(scope))(
                scope, receive, send
            )
            return
        wish = await self._wish(scope, messages)
        if wish is None:
            await self.app(scope, _again(messages, receive), send)
            return
        status = GONE
        scope["opswire.request_id"] = request_id = uuid7()
        REQUEST_ID.set(request_id)
        try:
            status = await self._serve(wish, scope, receive, send)
        finally:
            count_call(self.runtime.name, "POST", PATH, status, monotonic() - began)

    async def _serve(self, wish: "_Wish", scope: Scope, receive: Receive, send: Send) -> int:
        gate = self.runtime.gate
        try:
            await gate.enter()
        except Overloaded as refused:
            REQUESTS_REFUSED.labels(self.runtime.name).inc()
            return await _fail(refused, scope, receive, send)
        try:
            kept = await self._answer(*wish)
            await _send(kept, scope["opswire.request_id"], send)
        except Exception as error:  # noqa: BLE001  as everywhere, errors become answers at the edge
            return await _fail(error, scope, receive, send)
        finally:
            gate.leave()
        return kept.status

    async def _wish(self, scope: Scope, messages: list[Message]) -> "_Wish | None":
        """The wish of a plain call; None for any other."""
        headers = dict(scope["headers"])
        body = _body_of(headers, messages)
        caller = await self._caller(headers, scope["query_string"]) if body is not None else None
        if body is None or caller is None:
            return None
        return self._reserve(body, caller), caller.store

    async def _caller(self, headers: dict[bytes, bytes], query: bytes) -> _Caller | None:
        kind, _, key = headers.get(b"authorization", b"").partition(b" ")
        named = _STORE.fullmatch(query)
        if kind != b"Bearer" or named is None:
            return None
        try:
            principal = await self.runtime.keyring.principal(key.decode("latin-1"))
            name = named[1].decode() if named[1] else principal.store
            allowed = principal.store in (EVERY_STORE, name) and name != EVERY_STORE
            if principal.is_public or not principal.may("inventory:write") or not allowed:
                return None
            return _Caller(principal, await self.runtime.stores.get(name))
        except Problem:
            return None

    def _reserve(self, body: _Body, caller: _Caller) -> c.Reserve:
        now = self.runtime.clock()
        name = body.reservation_id or uuid7(now)
        customer = body.customer_id
        if customer is not None:
            customer = self.runtime.installation.pseudonyms.replace(customer)
        return c.Reserve(
            caller.store.store,
            c.Cause("reservation", name, now, caller.principal.actor),
            name,
            tuple(c.Piece(line.sku, line.quantity) for line in body.lines),
            now + timedelta(seconds=body.ttl_seconds),
            body.order_id,
            customer,
            body.campaign,
            body.allocate,
            body.replaces,
            body.backorder,
        )

    async def _answer(self, command: c.Reserve, store: StoreInfo) -> Kept:
        def finish(outcome: c.Outcome) -> Kept:
            assert isinstance(outcome, c.Standing)
            return Kept(201, standing_json(outcome, store.zone))

        return (await self.lane.ask(Wish(command, (), finish))).kept


_Wish = tuple[c.Reserve, StoreInfo]


async def _read(receive: Receive) -> list[Message]:
    """The whole call, or as much of it as an express call may have. Raises TimeoutError when it does not come."""
    messages, size = [], 0
    async with timeout(BODY_SECONDS):
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if not message.get("more_body", False) or size > MOST_BYTES:
                return messages


def _again(messages: list[Message], receive: Receive) -> Receive:
    """The call from its beginning, for whoever comes next."""
    read = iter(messages)

    async def again() -> Message:
        message = next(read, None)
        return message if message is not None else await receive()

    return again


def _body_of(headers: dict[bytes, bytes], messages: list[Message]) -> _Body | None:
    """The body, if nothing about the call is unusual."""
    last = messages[-1]
    if last["type"] != "http.request" or last.get("more_body", False) or _UNUSUAL & headers.keys():
        return None
    if headers.get(b"content-type", b"application/json") != b"application/json":
        return None
    content = last["body"] if len(messages) == 1 else b"".join(message.get("body", b"") for message in messages)
    if b"\\" in content or any(content.count(name) > 1 for name in _NAMES):
        return None
    try:
        body = _decode(content)
    except msgspec.DecodeError:
        return None
    if content.count(b'"sku"') != len(body.lines) or content.count(b'"quantity"') != len(body.lines):
        return None
    return None if body.order_id is None and (body.allocate or body.backorder) else body


async def _send(kept: Kept, request_id: str, send: Send) -> None:
    headers = [
        (b"content-length", str(len(kept.body)).encode()),
        (b"content-type", b"application/json"),
        (b"x-request-id", request_id.encode()),
        NOSNIFF,
    ]
    await send({"type": "http.response.start", "status": kept.status, "headers": headers})
    await send({"type": "http.response.body", "body": kept.body})


async def _fail(error: Exception, scope: Scope, receive: Receive, send: Send) -> int:
    """Answer with the problem, as the usual way would."""
    answer = problems.answer(error, Request(scope))
    answer.headers["x-request-id"] = scope["opswire.request_id"]
    answer.raw_headers.append(NOSNIFF)
    await answer(scope, receive, send)
    return answer.status_code
