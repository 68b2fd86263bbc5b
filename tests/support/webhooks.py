"""Webhook targets: one that checks the signature as a real one does, and one that hangs."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four b").decode()


@dataclass(frozen=True, slots=True)
class Arrival:
    """One accepted call."""

    message_id: str
    body: dict[str, Any]
    at: float
    """monotonic seconds"""


@dataclass(slots=True)
class Target:
    """What arrived, in order, repeats included."""

    url: str = ""
    arrivals: list[Arrival] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request: 204 for what is signed with SECRET, 401 for anything else."""
        with suppress(OSError, asyncio.IncompleteReadError):
            headers, body = await _request(reader)
            status = self._take(headers, body)
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    def _take(self, headers: dict[str, str], body: bytes) -> str:
        try:
            told = Webhook(SECRET).verify(body, headers)
        except WebhookVerificationError:
            return "401 Unauthorized"
        self.arrivals.append(Arrival(headers["webhook-id"], told, monotonic()))
        return "204 No Content"


async def _request(reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    pairs = (line.partition(":") for line in head.split("\r\n")[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return headers, await reader.readexactly(int(headers.get("content-length", "0")))


@asynccontextmanager
async def signed_target() -> AsyncIterator[Target]:
    """A target on a free port of loopback."""
    target = Target()
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    target.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield target
    finally:
        server.close()


@asynccontextmanager
async def hanging_target() -> AsyncIterator[str]:
    """Takes the connection and never answers; its address."""
    ended = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        ended.set()
        server.close()
