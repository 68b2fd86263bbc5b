"""HTTP on the socket, bounded: a head too large or without end is refused, and refusals are problems too (P8).

When the door is full (P9), the refusal is written here as well, without a task and without the app: under ten times the
load it is nine of ten answers, and what they cost is what the tenth lacks.
"""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from libs.events.ids import uuid7
from libs.service import errors, problems, wire
from libs.service.languages import language_of
from libs.service.metrics import REQUESTS_REFUSED
from libs.service.middleware import UNGUARDED
from libs.service.overload import FULL, Gate

HEAD_BYTES = 64 << 10
HEAD_SECONDS = 20.0


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a limit to the bytes and the time of a request's head, and with the service's gate."""

    gate: ClassVar[Gate | None] = None
    service: ClassVar[str] = ""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._in_head = True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head, for so long."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self._refuse(errors.HeadTooLarge(f"at most {HEAD_BYTES >> 10} KiB of address and headers"))

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._in_head = False
        self._head_bytes = 0
        self._stop_timer()
        if self._is_to_be_refused():
            self._refuse_for_now()
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is another head; its time begins with its first byte."""
        super().on_message_complete()
        self._in_head = True

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a problem like everything else."""
        self._refuse(errors.InvalidRequest(msg))

    def _is_to_be_refused(self) -> bool:
        if self.gate is None or not self.gate.is_full():
            return False
        before: Any = self.cycle
        is_next = before is None or before.response_complete
        return is_next and self.url.partition(b"?")[0].decode("latin-1") not in UNGUARDED

    def _refuse_for_now(self) -> None:
        """503, and the connection lives on; the rest of the request is read and thrown away."""
        REQUESTS_REFUSED.labels(self.service).inc()
        keeps = self.parser.should_keep_alive() and self.parser.get_http_version() == "1.1"
        self.cycle = _ANSWERED
        self.transport.write(_overloaded(self.url, self.headers, keeps=keeps))
        if keeps:
            self.on_response_complete()
        else:
            self.transport.close()

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._refuse(errors.BodyTimeout("the request did not arrive in time"))
        else:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, problem: errors.Problem) -> None:
        """Answer without an app, and close."""
        made = {**problems.document(problem), "instance": "", "request_id": uuid7()}
        body = wire.encode(made)
        head = (
            f"HTTP/1.1 {problem.status} {made['title']}\r\ncontent-type: {problems.MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {made['request_id']}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()


_ANSWERED: Any = SimpleNamespace(response_complete=True, message_event=asyncio.Event())
"""What uvicorn takes for the request's cycle: one that is over."""


def guarded(gate: Gate, service: str) -> type[BoundedProtocol]:
    """The protocol of one service."""
    return type("GuardedProtocol", (BoundedProtocol,), {"gate": gate, "service": service})


def _overloaded(url: bytes, headers: list[tuple[bytes, bytes]], *, keeps: bool) -> bytes:
    languages = next((value for name, value in headers if name == b"accept-language"), b"")
    request_id = uuid7().encode()
    path = json.dumps(url.partition(b"?")[0].decode("ascii", "replace")).encode()
    body = _BODIES[language_of(languages.decode("latin-1"))] % (path, request_id)
    return _HEAD % (len(body), request_id, b"keep-alive" if keeps else b"close") + body


def _body(language: str) -> bytes:
    """The problem with room for `instance` and `request_id`."""
    made = {**problems.document(errors.Overloaded(FULL)), "title": problems.TITLES["overloaded"][language == "zh"]}
    return wire.encode(made).replace(b"%", b"%%")[:-1] + b',"instance":%s,"request_id":"%s"}'


_BODIES = {language: _body(language) for language in ("en", "zh")}
_HEAD = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
    b"retry-after: 1\r\nx-request-id: %s\r\nconnection: %s\r\n\r\n"
)
