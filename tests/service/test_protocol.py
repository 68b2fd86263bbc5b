"""Connections that send a head slowly, or nothing at all, are given up."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from libs.service import protocol
from libs.service.lifecycle import Server
from libs.service.protocol import BoundedProtocol

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers when the body is complete."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server whose patience with heads is 0.3 s."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    server = Server(uvicorn.Config(_app, port=0, http=BoundedProtocol, lifespan="off", log_config=None))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


async def _open(port: int) -> Connection:
    return await asyncio.open_connection("127.0.0.1", port)


async def test_a_head_that_never_ends_is_given_up(port: int) -> None:
    reader, writer = await _open(port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    heard = await asyncio.wait_for(reader.read(), 5)
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in heard
    writer.close()


async def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    reader, writer = await _open(port)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_second_head_has_its_own_time_and_a_slow_body_is_no_slow_head(port: int) -> None:
    reader, writer = await _open(port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
    await asyncio.sleep(0.5)
    writer.write(b"ab")
    assert (await asyncio.wait_for(reader.readuntil(b"ok"), 5)).startswith(b"HTTP/1.1 200")
    await asyncio.sleep(0.5)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await asyncio.wait_for(reader.readuntil(b"ok"), 5)).startswith(b"HTTP/1.1 200")
    writer.write(b"GET / HT")
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 408")
    writer.close()
