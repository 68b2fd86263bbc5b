"""What surrounds every call, as pure ASGI: request id, the door, measures, and the last net under all errors."""

from functools import lru_cache
from time import monotonic
from typing import Any

from prometheus_client import Counter, Histogram
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.events.ids import uuid7
from libs.events.transaction import utc_now
from libs.service import problems
from libs.service.errors import Overloaded, Validation
from libs.service.logging import REQUEST_ID, get_logger
from libs.service.metrics import (
    REQUEST_SECONDS,
    REQUESTS,
    REQUESTS_REFUSED,
    REQUESTS_RUNNING,
    REQUESTS_WAITING,
)
from libs.service.overload import Gate

UNGUARDED = frozenset({"/healthz", "/readyz", "/metrics", "/version"})
"""Answered under any load: whoever watches the service must not be told that it is busy."""

SLOW_SECONDS = 1.0
"""A call that took longer is logged, at most one a second; the metrics have the rest."""


class Identified:
    """Gives every call an id: in the answer's header, in problems, in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Number the call."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = uuid7(utc_now())
        scope["opswire.request_id"] = request_id
        scope["opswire.began"] = monotonic()

        async def numbered(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode()), NOSNIFF]
            await send(message)

        token = REQUEST_ID.set(request_id)
        try:
            await self.app(scope, receive, numbered)
        finally:
            REQUEST_ID.reset(token)


NOSNIFF = (b"x-content-type-options", b"nosniff")


class Measured:
    """Counts and times calls by the route's template; an answer that never began counts as 499 (the caller left)."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self.app = app
        self.service = service
        self._next_log = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Measure the call."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 499

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            self._count(scope, status, monotonic())

    def _count(self, scope: Scope, status: int, now: float) -> None:
        seconds = now - scope["opswire.began"]
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        count_call(self.service, method, route, status, seconds)
        if seconds > SLOW_SECONDS and now > self._next_log:
            self._next_log = now + 1
            get_logger(__name__).info("slow", method=method, route=route, status=status, seconds=round(seconds, 3))


def count_call(service: str, method: str, route: str, status: int, seconds: float) -> None:
    """Count and time a call by its route's template."""
    _requests(service, method, route, status).inc()
    _request_seconds(service, method, route).observe(seconds)


@lru_cache(10_000)
def _requests(service: str, method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(service, method, route, str(status))


@lru_cache(10_000)
def _request_seconds(service: str, method: str, route: str) -> Histogram:
    return REQUEST_SECONDS.labels(service, method, route)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class Boundary:
    """Turns what nobody caught into an answer that tells nothing; refuses addresses with a NUL in them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in any case."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            if "\0" in scope["path"] or b"%00" in scope.get("query_string", b""):
                raise Validation("the address contains a NUL")
            await self.app(scope, receive, watched)
        except Exception as error:
            if started:
                raise
            await problems.answer(error, Request(scope))(scope, receive, send)


class Guarded:
    """Lets in what can be answered in time, and refuses the rest at once (P9)."""

    def __init__(self, app: ASGIApp, service: str, gate: Gate) -> None:
        self.app = app
        self.gate = gate
        self.service = service
        REQUESTS_RUNNING.labels(service).set_function(lambda: gate.running)
        REQUESTS_WAITING.labels(service).set_function(lambda: gate.waiting)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a turn, keep it until the answer is complete (a stream of events: until it begins)."""
        if scope["type"] != "http" or scope["path"] in UNGUARDED:
            await self.app(scope, receive, send)
            return
        try:
            await self.gate.enter()
        except Overloaded as refused:
            REQUESTS_REFUSED.labels(self.service).inc()
            await problems.answer(refused, Request(scope))(scope, receive, send)
            return
        turn = _Turn(self.gate)

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_stream(message):
                turn.end()
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            turn.end()


class _Turn:
    """A turn that ends once."""

    def __init__(self, gate: Gate) -> None:
        self._gate: Gate | None = gate

    def end(self) -> None:
        if self._gate is not None:
            self._gate.leave()
            self._gate = None


def _is_stream(message: Message) -> bool:
    headers: list[tuple[bytes, bytes]] = message["headers"]
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)


def wrap(app: Any, service: str, gate: Gate) -> None:
    """Put the layers around a FastAPI app; the last one added is the outermost."""
    app.add_middleware(Boundary)
    app.add_middleware(Measured, service=service)
    app.add_middleware(Guarded, service=service, gate=gate)
    app.add_middleware(Identified)
