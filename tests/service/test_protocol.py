"""Connections that send a head slowly, or nothing at all, are given up."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from libs.service import protocol
from libs.service.lifecycle import Server
from libs.service.overload import Gate
from libs.service.protocol import BoundedProtocol, guarded

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


# a full door


@pytest.fixture
async def full_port() -> AsyncIterator[int]:
    """A server that takes nobody in."""
    gate = Gate(concurrency=0, burst=0, queue_seconds=1)
    config = uvicorn.Config(_app, port=0, http=guarded(gate, "example"), lifespan="off", log_config=None)
    server = Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


async def test_a_full_door_refuses_on_a_connection_that_lives_on(full_port: int) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{full_port}") as client:
        answers = [
            await client.get("/v1/x%22y?store=%25"),
            await client.post("/v1/x", content=b"x" * 300_000, headers={"Accept-Language": "zh"}),
            await client.get("/v1/x"),
        ]
        alive = await client.get("/healthz")
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    problem = answers[0].json()
    assert problem["request_id"] == answers[0].headers["x-request-id"] != answers[2].headers["x-request-id"]
    assert (problem["code"], problem["status"], problem["instance"]) == ("overloaded", 503, "/v1/x%22y")
    assert answers[1].json()["title"] == "服务繁忙，请稍后重试"
    assert alive.text == "ok"


async def test_a_full_door_closes_when_the_caller_wants_it_so(full_port: int) -> None:
    reader, writer = await _open(full_port)
    writer.write(b"GET /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    heard = await asyncio.wait_for(reader.read(), 5)
    assert heard.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close" in heard
    writer.close()


async def test_requests_in_a_row_over_a_full_door_are_each_refused(full_port: int) -> None:
    reader, writer = await _open(full_port)
    one = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
    writer.write(one * 3 + b"GET /v1/x HTTP/1.1\r\nConnection: close\r\n\r\n")
    heard = await asyncio.wait_for(reader.read(), 5)
    assert heard.count(b"HTTP/1.1 503 ") == 4
    writer.close()
