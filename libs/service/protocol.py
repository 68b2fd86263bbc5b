"""HTTP on the socket, bounded: a head too large or without end is refused, and refusals are problems too (P8)."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from libs.events.ids import uuid7
from libs.events.transaction import utc_now
from libs.service import errors, problems, wire

HEAD_BYTES = 64 << 10
HEAD_SECONDS = 20.0


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a limit to the bytes and the time of a request's head."""

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
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is another head; its time begins with its first byte."""
        super().on_message_complete()
        self._in_head = True

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a problem like everything else."""
        self._refuse(errors.InvalidRequest(msg))

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
        made = {**problems.document(problem), "instance": "", "request_id": uuid7(utc_now())}
        body = wire.encode(made)
        head = (
            f"HTTP/1.1 {problem.status} {made['title']}\r\ncontent-type: {problems.MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {made['request_id']}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
