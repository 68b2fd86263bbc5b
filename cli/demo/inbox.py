"""The chat target of the demo: a receiver on loopback that checks signatures and shows what it is told."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

PREFIX = "whsec_"


@dataclass
class Inbox:
    """What was told, in order; a repeat of a message is shown once."""

    show: Callable[[dict[str, Any]], None]
    secret: str = field(default_factory=lambda: PREFIX + base64.b64encode(secrets.token_bytes(24)).decode())
    url: str = ""
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            async with asyncio.timeout(10):
                headers, body = await _request(reader)
                status = self._take(headers, body)
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, ValueError, OSError):
            pass
        finally:
            writer.close()

    def _take(self, headers: dict[str, str], body: bytes) -> str:
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            return "401 Unauthorized"
        name = headers["webhook-id"]
        if name not in self.messages:
            self.messages[name] = json.loads(body)
            self.show(self.messages[name])
        return "204 No Content"


async def _request(reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    pairs = (line.partition(":") for line in head.split("\r\n")[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return headers, await reader.readexactly(int(headers.get("content-length", "0")))


@asynccontextmanager
async def listening(show: Callable[[dict[str, Any]], None]) -> AsyncIterator[Inbox]:
    """An inbox on a free port of loopback."""
    inbox = Inbox(show)
    server = await asyncio.start_server(inbox.answer, "127.0.0.1", 0)
    inbox.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/inbox"
    async with server:
        yield inbox
