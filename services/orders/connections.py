"""Connections to inventory that are kept open: as little as HTTP/1.1 needs between two of our own services.

Placing an order is mostly this call; a general client took half of the processor time of placing. Calls are repeatable
by their ids, so a broken connection is simply an error to the caller, who tries again.
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urlsplit

IDLE_SECONDS = 15.0
"""Shorter than the server keeps an idle connection open."""
MOST_HEAD = 64 << 10
MOST_BODY = 4 << 20

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,9})\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    body: bytes


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used_at: float = 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether the server has it open still, as far as one can tell."""
        return monotonic() - self.used_at < IDLE_SECONDS and not self.reader.at_eof()


class Connections:
    """At most `most` calls at once to one server; the others wait for a connection."""

    def __init__(self, url: str, *, most: int) -> None:
        """Raises ValueError for an address that is not http or https."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is no address of a service")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._path = parts.path.rstrip("/")
        self._idle: deque[_Connection] = deque()
        self._turns = asyncio.Semaphore(most)

    async def post(self, path: str, body: bytes, *, authorization: str, seconds: float) -> Reply:
        """POST JSON and read the whole answer. `seconds` counts from the moment that a connection is free.

        Raises OSError, EOFError, TimeoutError: whether the call arrived is unknown then.
        """
        head = (
            f"POST {self._path}{path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nAuthorization: {authorization}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        async with self._turns, asyncio.timeout(seconds), self._connection() as connection:
            connection.writer.write(head.encode("ascii") + body)
            return await self._reply(connection)

    async def close(self) -> None:
        """Let go of the connections."""
        while self._idle:
            self._idle.pop().writer.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        """An open connection; kept for the next call unless anything went wrong."""
        connection = self._take_idle() or await self._open()
        try:
            yield connection
        except BaseException:
            connection.writer.close()
            raise
        if connection.writer.is_closing():
            return
        connection.used_at = monotonic()
        self._idle.append(connection)

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh:
                return connection
            connection.writer.close()
        return None

    async def _open(self) -> _Connection:
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=MOST_HEAD)
        return _Connection(reader, writer)

    async def _reply(self, connection: _Connection) -> Reply:
        try:
            head = await connection.reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            raise ConnectionError("the answer has no end of its head") from error
        status, length = _STATUS.match(head), _LENGTH.search(head)
        if status is None or length is None or int(length[1]) > MOST_BODY:
            raise ConnectionError("the answer is none that our services give")
        reply = Reply(int(status[1]), await connection.reader.readexactly(int(length[1])))
        if _CLOSES.search(head):
            connection.writer.close()
        return reply
