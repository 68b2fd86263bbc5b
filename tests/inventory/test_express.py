"""The express way of reservations answers what the usual way answers, and refuses what it refuses."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from services.inventory import express
from services.inventory.express import Express
from tests.inventory.conftest import Depot

BY_THE_USUAL_WAY = {"usual": "1"}
"""A query that the express way does not know, and the usual way does not mind."""

LINE = {"sku": "X1", "quantity": 1}
PLAIN: dict[str, Any] = {"reservation_id": "r", "lines": [LINE]}

CORPUS: list[bytes] = [
    json.dumps(body).encode()
    for body in (
        PLAIN,
        {**PLAIN, "order_id": "o-1", "customer_id": "c-9", "campaign": "summer", "ttl_seconds": 60},
        {**PLAIN, "order_id": "o-1", "allocate": True},
        {**PLAIN, "order_id": "o-1", "allocate": True, "backorder": True},
        {**PLAIN, "lines": [LINE, {"sku": "X2", "quantity": 2}, LINE]},
        {**PLAIN, "order_id": None},
        {**PLAIN, "customer_id": "13800005678"},
        {**PLAIN, "customer_id": "张三"},
        {**PLAIN, "customer_id": "a\u0000b"},
        {**PLAIN, "allocate": True},
        {**PLAIN, "allocate": 1},
        {**PLAIN, "ttl_seconds": 0},
        {**PLAIN, "ttl_seconds": 86_401},
        {**PLAIN, "ttl_seconds": "60"},
        {**PLAIN, "ttl_seconds": 60.0},
        {**PLAIN, "ttl_seconds": True},
        {**PLAIN, "lines": []},
        {**PLAIN, "lines": None},
        {**PLAIN, "lines": {}},
        {**PLAIN, "lines": [{**LINE, "quantity": 0}]},
        {**PLAIN, "lines": [{**LINE, "quantity": -1}]},
        {**PLAIN, "lines": [{**LINE, "quantity": 10**9 + 1}]},
        {**PLAIN, "lines": [{**LINE, "quantity": 1.5}]},
        {**PLAIN, "lines": [{**LINE, "quantity": "1"}]},
        {**PLAIN, "lines": [{"sku": "X1"}]},
        {**PLAIN, "lines": [{**LINE, "price": 1}]},
        {**PLAIN, "lines": [{**LINE, "sku": "X 1"}]},
        {**PLAIN, "lines": [{**LINE, "sku": "X1\n"}]},
        {**PLAIN, "lines": [{**LINE, "sku": "none"}]},
        {**PLAIN, "lines": [{**LINE, "quantity": 10**6}]},
        {**PLAIN, "lines": [LINE] * 101},
        {**PLAIN, "reservation_id": "a b"},
        {**PLAIN, "reservation_id": "r\n"},
        {**PLAIN, "reservation_id": ""},
        {**PLAIN, "reservation_id": "x" * 161},
        {**PLAIN, "reservation_id": 7},
        {**PLAIN, "replaces": "other~0"},
        {**PLAIN, "colour": "red"},
        {**PLAIN, "store": "demo"},
        {**PLAIN, "store": "other"},
        {"lines": [LINE]},
        {},
        [],
        [PLAIN],
        None,
        "x",
    )
] + [
    b"",
    b" ",
    b"{",
    b"\xff",
    b"\xef\xbb\xbf{}",
    b'{"reservation_id": "r", "reservation_id": "r", "lines": [{"sku": "X1", "quantity": 1}]}',
    b'{"reservation_id": "r", "reservation\\u005fid": "r", "lines": [{"sku": "X1", "quantity": 1}]}',
    b'{"reservation_id": "r", "lines": [{"sku": "X1", "sku": "X1", "quantity": 1}]}',
    b'{"reservation_id": "r", "lines": [{"sku": "X1", "quantity": 1, "quantity": 1}]}',
    b'{"reservation_id": "r", "lines": [{"sku": "X1", "quantity": NaN}]}',
    b'{"reservation_id": "r", "lines": [{"sku": "X1", "quantity": 1e0}]}',
    b'{"reservation_id": "r", "lines": [{"sku": "X1", "quantity": 01}]}',
    b'{"reservation_id": "\\ud800", "lines": [{"sku": "X1", "quantity": 1}]}',
    b'{"reservation_id": "r", "lines": [{"sku": "X1", "quantity": 1}],}',
    b'{"reservation_id": "r", "lines": [{"sku": "X1", "quantity": 1}]} x',
    b'{"reservation_id": "r", "lines": [{"sku": "X1", "quantity": 1}]}' + b" " * 20_000,
    b'{"reservation_id": "r", "lines": [{"sku": "X1", "quantity": ' + b"9" * 400 + b"}]}",
]


@pytest.fixture(scope="module")
async def stocked(depot: Depot) -> Depot:
    await depot.stocked("X1", 10_000)
    await depot.stocked("X2", 10_000)
    return depot


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which calls the express way has answered itself."""
    found: list[str] = []
    answer = Express._answer

    async def watched(self: Express, command: Any, store: Any) -> Any:
        found.append(command.reservation_id)
        return await answer(self, command, store)

    monkeypatch.setattr(Express, "_answer", watched)
    return found


async def both(depot: Depot, body: bytes, name: str, **more: Any) -> tuple[httpx2.Response, httpx2.Response]:
    """The same wish by both ways, under two names where it names one `r`."""
    headers = {"Content-Type": "application/json", **more.pop("headers", {})}
    async with depot.client(more.pop("key", "demo")) as client:
        express, usual = [
            await client.post(
                "/v1/reservations",
                content=body.replace(b'"r"', f'"{name}-{way}"'.encode()).replace(b'"o-1"', f'"{name}-{way}"'.encode()),
                headers=headers,
                params=params,
            )
            for way, params in (("a", more.get("params", {})), ("b", {**more.get("params", {}), **BY_THE_USUAL_WAY}))
        ]
    return express, usual


def told(response: httpx2.Response, name: str) -> Any:
    """What an answer says, without what differs from call to call."""
    said = response.text
    for way in ("a", "b"):
        said = said.replace(f"{name}-{way}", name)
    body = json.loads(said)
    if isinstance(body, dict):
        body.pop("request_id", None)
        if "status" in body and response.status_code == 201 and len(body["reservation_id"]) == 36:
            body.pop("reservation_id")
    return body


@pytest.mark.parametrize("n", range(len(CORPUS)))
async def test_both_ways_answer_the_same(stocked: Depot, n: int) -> None:
    name = f"corpus-{n}"
    express, usual = await both(stocked, CORPUS[n], name)
    assert express.status_code == usual.status_code, CORPUS[n]
    assert told(express, name) == told(usual, name)
    assert {h for h in express.headers if h != "x-request-id"} == {h for h in usual.headers if h != "x-request-id"}


async def test_a_plain_call_takes_the_express_way_and_an_unusual_one_does_not(stocked: Depot, seen: list[str]) -> None:
    await both(stocked, json.dumps(PLAIN).encode(), "way")
    assert seen == ["way-a"]
    await both(stocked, json.dumps(PLAIN).encode(), "key", headers={"Idempotency-Key": "k"})
    assert seen == ["way-a"]


@pytest.mark.parametrize(
    ("key", "params"),
    [
        ("reader", {}),
        ("other", {}),
        ("other", {"store": "demo"}),
        ("demo", {"store": "demo"}),
        ("demo", {"store": "other"}),
        ("operator", {}),
        ("operator", {"store": "demo"}),
        ("operator", {"store": "*"}),
        ("operator", {"store": "nowhere"}),
    ],
)
async def test_both_ways_let_in_and_keep_out_the_same_callers(stocked: Depot, key: str, params: dict[str, str]) -> None:
    name = f"{key}-{params.get('store', 'none').replace('*', 'all')}"
    express, usual = await both(stocked, json.dumps(PLAIN).encode(), name, key=key, params=params)
    assert express.status_code == usual.status_code
    assert told(express, name) == told(usual, name)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic abc", "Bearer ow_a_b"])
async def test_neither_way_opens_without_a_good_key(stocked: Depot, header: str) -> None:
    for params in ({}, BY_THE_USUAL_WAY):
        async with stocked.client() as client:
            client.headers.pop("Authorization")
            response = await client.post(
                "/v1/reservations", json=PLAIN, params=params, headers={"Authorization": header} if header else {}
            )
        assert response.status_code == 401


async def test_a_call_in_pieces_is_read_whole_and_replayed_whole(stocked: Depot, seen: list[str]) -> None:
    async def pieces(body: bytes) -> AsyncIterator[bytes]:
        for n in range(0, len(body), 7):
            yield body[n : n + 7]

    async with stocked.client() as client:
        for name, more in (("pieces-a", {}), ("pieces-b", BY_THE_USUAL_WAY)):
            body = json.dumps({**PLAIN, "reservation_id": name}).encode()
            response = await client.post(
                "/v1/reservations", content=pieces(body), params=more, headers={"Content-Type": "application/json"}
            )
            assert response.status_code == 201, response.text
    assert seen == ["pieces-a"]


async def test_a_body_that_never_comes_is_not_waited_for(stocked: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(express, "BODY_SECONDS", 0.05)
    sent: list[Any] = []

    async def silence() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/reservations", "headers": [], "query_string": b""}
    await stocked.app(scope, silence, send)
    assert sent[0]["status"] == 408


async def test_the_express_way_is_numbered_measured_and_guarded_like_the_usual_one(
    stocked: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"reservation_id": "guarded", "lines": [LINE]}).encode()
    for answer in await both(stocked, body.replace(b"guarded", b"r"), "numbered"):
        assert answer.headers["x-request-id"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    gate = stocked.runtime.gate
    monkeypatch.setattr(gate, "concurrency", 0)
    monkeypatch.setattr(gate, "burst", 0)
    for answer in await both(stocked, body.replace(b"guarded", b"r"), "full"):
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        assert answer.headers["retry-after"]
    assert gate.running == 0
