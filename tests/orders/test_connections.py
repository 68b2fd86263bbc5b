"""The call from orders to inventory: what came of it is known, or it is an error (D12)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from libs.service.errors import Conflict, OutOfStock, Overloaded, Validation
from services.orders import stock
from services.orders.connections import Connections
from services.orders.domain.state import Units
from services.orders.stock import HoldRequest, HttpStock, missing_units

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WISH = HoldRequest("o-1~0", "o-1", (Units("A001", 2),), 900)


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[str]:
    """A server on loopback; its address."""
    made = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = made.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        made.close()


def answers(*replies: bytes, closes: bool = False) -> Serve:
    """Answer call after call; the last one for ever."""
    left = list(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                writer.write(left.pop(0) if len(left) > 1 else left[0])
                await writer.drain()
                if closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return serve


def reply(status: int, body: bytes) -> bytes:
    return (
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )


HELD = reply(201, b'{"reservation_id": "o-1~0", "status": "held", "expires_at": "2024-07-01T12:15:00+08:00"}')


async def hold(url: str) -> stock.Reservation:
    port = HttpStock(url, lambda: "ow_x")
    try:
        return await port.hold("demo", WISH)
    finally:
        await port._connections.close()


async def test_a_hold_is_told_with_its_end() -> None:
    async with server(answers(HELD)) as url:
        made = await hold(url)
    assert (made.status, made.expires_at is not None, made.is_short) == ("held", True, False)


async def test_connections_are_kept_and_made_anew_when_the_server_closed_them() -> None:
    async with server(answers(HELD, closes=True)) as url:
        connections = Connections(url, most=2)
        for _ in range(3):
            try:
                answer = await connections.post("/x", b"{}", authorization="x", seconds=2)
            except (OSError, EOFError):
                answer = await connections.post("/x", b"{}", authorization="x", seconds=2)
            assert answer.status == 201
        await connections.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"220 smtp ready\r\n\r\n",
        b"x" * 70_000,
        reply(201, b"[]"),
        reply(201, b"{}"),
        reply(200, b"not JSON"),
        reply(409, b"[]"),
        reply(503, b"{}"),
        reply(429, b"{}"),
        reply(500, b"{}"),
    ],
)
async def test_an_answer_that_tells_nothing_is_overload_after_one_retry(raw: bytes) -> None:
    async with server(answers(raw, closes=True)) as url:
        with pytest.raises(Overloaded) as refused:
            await hold(url)
    assert refused.value.headers["Retry-After"]


async def test_the_retry_gets_the_answer_that_was_lost() -> None:
    async with server(answers(b"", HELD, closes=True)) as url:
        assert (await hold(url)).status == "held"


async def test_a_server_that_says_nothing_is_given_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock, "CALL_SECONDS", 0.05)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with server(silent) as url:
        with pytest.raises(Overloaded):
            await hold(url)


async def test_nobody_listening_is_overload() -> None:
    with pytest.raises(Overloaded):
        await hold("http://127.0.0.1:9")


async def test_refusals_keep_their_places() -> None:
    short = (
        b'{"code": "out_of_stock", "status": 409, "detail": "0 of 1",'
        b' "errors": [{"pointer": "/lines/0/quantity", "sku": "A001", "wanted": 2, "available": 1}]}'
    )
    async with server(answers(reply(409, short))) as url:
        with pytest.raises(OutOfStock) as refused:
            await hold(url)
    assert refused.value.errors[0]["pointer"] == "/lines/0/quantity"
    assert missing_units(refused.value) == (Units("A001", 1),)
    unknown = b'{"code": "validation", "errors": [{"pointer": "/lines/0/sku", "code": "sku_unknown", "message": "no"}]}'
    async with server(answers(reply(422, unknown))) as url:
        with pytest.raises(Validation):
            await hold(url)
    async with server(answers(reply(409, b'{"code": "conflict"}'))) as url:
        with pytest.raises(Conflict):
            await hold(url)
    async with server(answers(reply(401, b'{"code": "unauthenticated"}'))) as url:
        with pytest.raises(Overloaded):
            await hold(url)


async def test_an_expired_hold_is_told_by_its_status() -> None:
    expired = b'{"code": "wrong_state", "state": "expired", "possible": []}'
    async with server(answers(reply(409, expired))) as url:
        port = HttpStock(url, lambda: "ow_x")
        assert (await port.allocate("demo", "o-1~0", "o-1")).status == "expired"
        await port._connections.close()


def test_an_address_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="no address"):
        Connections("inventory:8002", most=1)
