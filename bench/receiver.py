"""Webhook targets of the bench: one that takes messages and notes when, one that takes them and never answers."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter

from standardwebhooks import Webhook

from bench.load import content_length

SECRET = "whsec_" + base64.b64encode(b"a secret of the bench, 32 bytes.").decode()


@dataclass
class Receiver:
    """A server on loopback; `arrivals` are SKU -> when its first message was here, `repeats` counts the others."""

    answers: bool = True
    url: str = ""
    arrivals: dict[str, float] = field(default_factory=dict)
    messages: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    repeats: int = 0
    _waiting: "dict[str, asyncio.Future[float]]" = field(default_factory=dict)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        """Take messages while the body runs."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        try:
            yield self
        finally:
            server.close()

    def expect(self, sku: str) -> "asyncio.Future[float]":
        """The time at which the message about this SKU arrives."""
        self._waiting[sku] = future = asyncio.get_running_loop().create_future()
        return future

    def verify(self) -> int:
        """How many messages were signed as they should be. Raises WebhookVerificationError for one that is not."""
        for headers, body in self.messages:
            Webhook(SECRET).verify(body, headers)
        return len(self.messages)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(content_length(head))
                now = perf_counter()
                if not self.answers:
                    await reader.read()  # until the caller gives up
                    break
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                self._take(head, body, now)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass  # the caller has left, or the bench is over
        writer.close()

    def _take(self, head: bytes, body: bytes, now: float) -> None:
        document = json.loads(body)
        about = document.get("data", {}).get("about") if isinstance(document.get("data"), dict) else None
        if about is None:
            return  # the bare chain's
        self.messages.append((_headers(head), body))
        sku = about["sku"]
        if sku in self.arrivals:
            self.repeats += 1
            return
        self.arrivals[sku] = now
        waiting = self._waiting.pop(sku, None)
        if waiting is not None:
            waiting.set_result(now)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
