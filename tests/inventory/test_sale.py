"""A sale: many buyers at once for few units, over HTTP, in two processes' worth of lanes, against everything else.

Each run is proved by ledger and levels afterwards; a twin with the guarding line taken out must fail.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import TextClause, text

from libs.events.failures import Verdict, decide
from libs.service.auth import add_key
from libs.service.invariants import Violation
from libs.service.runtime import Runtime
from services.inventory.app import build
from services.inventory.domain import commands as c
from services.inventory.domain import holds
from services.inventory.domain.promises import Shortage
from services.inventory.handlers.apply import apply
from services.inventory.handlers.expiry import expire_holds
from services.inventory.invariants import violations
from services.inventory.settings import InventorySettings
from services.inventory.store import book as book_store


class Sale:
    """Two services on one database: their lanes know nothing of each other."""

    def __init__(self, services: list[tuple[Runtime, FastAPI]], key: str) -> None:
        self.services = services
        self.clients = [
            httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app=app),
                base_url="http://inventory",
                headers={"Authorization": f"Bearer {key}"},
                timeout=60,
            )
            for _, app in services
        ]

    @property
    def runtime(self) -> Runtime:
        return self.services[0][0]

    async def post(self, n: int, path: str, body: object) -> httpx2.Response:
        """A POST to one of the two services."""
        return await self.clients[n % 2].post(path, json=body)

    async def reserve(self, n: int, name: str, *lines: tuple[str, int], **more: Any) -> int:
        """The status of an attempt to hold."""
        wanted = {"reservation_id": name, "lines": [{"sku": s, "quantity": q} for s, q in lines], **more}
        return (await self.post(n, "/v1/reservations", wanted)).status_code

    async def stocked(self, units: int, *skus: str) -> None:
        """Put units of SKUs on sale."""
        for sku in skus:
            await self.clients[0].put(f"/v1/skus/{sku}", json={"title": sku, "safety": 0})
            assert (await self.post(0, "/v1/receipts", {"sku": sku, "quantity": units})).status_code == 201

    async def level(self, sku: str) -> dict[str, Any]:
        body: dict[str, Any] = (await self.clients[1].get(f"/v1/stock/{sku}")).json()
        return body

    async def violations(self) -> list[Violation]:
        async with self.runtime.worker.begin(read_only=True) as tx:
            return await violations(tx.session)


@asynccontextmanager
async def opened(database: str) -> AsyncIterator[Sale]:
    services = [build(InventorySettings(database_url=SecretStr(database))) for _ in range(2)]
    for runtime, _ in services:
        await runtime.start()
    async with services[0][0].engine.begin() as session:
        await session.execute(
            text(
                "INSERT INTO access.stores (store, name, timezone, currency, language)"
                " VALUES ('demo', 'Demo', 'Asia/Shanghai', 'CNY', 'zh') ON CONFLICT DO NOTHING"
            )
        )
        key = (await add_key(session, "demo", ("inventory:read", "inventory:write"))).key
    lanes = [asyncio.create_task(app.state.lane.run()) for _, app in services]
    sale = Sale(services, key)
    try:
        yield sale
    finally:
        for lane in lanes:
            lane.cancel()
        await asyncio.wait(lanes)
        for client in sale.clients:
            await client.aclose()
        for runtime, _ in services:
            await runtime.close()


@pytest.fixture(scope="module")
async def sale(database: str) -> AsyncIterator[Sale]:
    async with opened(database) as made:
        yield made


async def test_of_500_buyers_at_once_exactly_50_get_the_50_units(sale: Sale) -> None:
    await sale.stocked(50, "HOT")
    statuses = await asyncio.gather(*(sale.reserve(n, f"hot-{n}", ("HOT", 1), order_id=f"o-{n}") for n in range(500)))
    assert Counter(statuses) == {201: 50, 409: 450}
    level = await sale.level("HOT")
    assert (level["held"], level["available"]) == (50, 0)
    assert await sale.violations() == []


async def test_the_same_without_the_guarding_line_is_stopped_by_the_last_wall(
    sale: Sale, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enough(*_: object) -> list[Shortage]:
        return []

    await sale.stocked(5, "TWIN")
    monkeypatch.setattr(holds, "_short", enough)
    statuses = await asyncio.gather(*(sale.reserve(n, f"twin-{n}", ("TWIN", 1)) for n in range(20)))
    assert Counter(statuses) != {201: 5, 409: 15}, "the decision is what answers 409"
    assert statuses.count(201) == 5, "one bad call does not fail its neighbours, and the CHECK lets nothing through"
    assert await sale.violations() == []


async def test_the_same_without_the_lock_is_found_out(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels read without their lock are overwritten by whoever commits last."""

    def unlocked(statement: str) -> TextClause:
        return text(statement.replace(" FOR UPDATE OF level", ""))

    async with opened(fresh_database) as sale:
        await sale.stocked(50, "LOOSE")
        monkeypatch.setattr(book_store, "sql", unlocked)
        for round_ in range(10):
            await asyncio.gather(*(sale.reserve(n, f"loose-{round_}-{n}", ("LOOSE", 1)) for n in range(20)))
        assert await sale.violations() != []


async def test_lines_in_opposite_order_and_one_sku_twice_neither_deadlock_nor_oversell(sale: Sale) -> None:
    skus = [f"OPP{n}" for n in range(6)]
    await sale.stocked(40, *skus)
    rng = random.Random(7)

    async def buy(n: int) -> int:
        wanted = rng.sample(skus, 3)
        lines = [(sku, 1) for sku in (wanted if n % 2 else reversed(wanted))]
        if n % 5 == 0:
            lines.append(lines[0])
        return await sale.reserve(n, f"opp-{n}", *lines)

    statuses = await asyncio.gather(*(buy(n) for n in range(300)))
    assert set(statuses) == {201, 409}
    for sku in skus:
        level = await sale.level(sku)
        assert level["held"] + level["available"] == 40
    assert await sale.violations() == []


async def test_a_repeated_call_has_one_effect_wherever_it_arrives(sale: Sale) -> None:
    await sale.stocked(100, "REP")
    statuses = await asyncio.gather(*(sale.reserve(n, f"rep-{n % 10}", ("REP", 3)) for n in range(50)))
    assert set(statuses) == {201}
    assert (await sale.level("REP"))["held"] == 30


async def test_everything_at_once_leaves_every_invariant_whole(sale: Sale) -> None:
    """Buyers, payments, releases, expiry, receipts, corrections, counts; outside orders, parcels, returns."""
    skus = [f"MIX{n}" for n in range(4)]
    await sale.stocked(60, *skus)
    answers: Counter[int] = Counter()

    async def shopper(n: int) -> None:
        rng = random.Random(n)
        for step in range(12):
            name = f"mix-{n}-{step}"
            lines = [(rng.choice(skus), rng.randint(1, 3)) for _ in range(rng.randint(1, 3))]
            more = {"ttl_seconds": rng.choice((1, 900)), "order_id": f"om-{n}-{step}"}
            answers[await sale.reserve(n, name, *lines, **more)] += 1
            path, body = rng.choice(
                (
                    (f"/v1/reservations/{name}/allocate", {"order_id": f"om-{n}-{step}"}),
                    (f"/v1/reservations/{name}/release", {}),
                    ("/v1/receipts", {"sku": rng.choice(skus), "quantity": 3}),
                    ("/v1/adjustments", {"sku": rng.choice(skus), "quantity": -2, "reason": "lost"}),
                    ("/v1/counts", _count(rng, skus)),
                )
            )
            answers[(await sale.post(n + 1, path, body)).status_code] += 1

    async def marketplace(n: int) -> None:
        rng = random.Random(1000 + n)
        for step in range(12):
            order = f"mkt-{n}-{step}"
            pieces = tuple(c.Piece(rng.choice(skus), rng.randint(1, 2)) for _ in range(3))
            cause = c.Cause("order", order, datetime.now(UTC), "test")
            commands: list[c.Command] = [
                c.AcceptOutside("demo", cause, order, pieces, f"{order}~0"),
                c.Pay("demo", cause, order, pieces),
            ]
            commands += rng.choice(
                (
                    [
                        c.Ship("demo", cause, order, pieces, order),
                        c.AwaitReturn("demo", cause, order, pieces[:1], order),
                    ],
                    [c.Cancel("demo", cause, order)],
                    [c.Amend("demo", cause, order, pieces[:2])],
                )
            )
            await _in_transaction(sale.services[n % 2][0], commands)

    async def ticker(runtime: Runtime) -> None:
        while True:
            await expire_holds(runtime.worker)
            await asyncio.sleep(0.05)

    tickers = [asyncio.create_task(ticker(runtime)) for runtime, _ in sale.services]
    await asyncio.gather(*(shopper(n) for n in range(24)), *(marketplace(n) for n in range(6)))
    for task in tickers:
        task.cancel()
    await asyncio.wait(tickers)
    assert all(task.cancelled() for task in tickers)
    assert not {status for status in answers if status >= 500}, answers
    assert answers[201] > 50
    assert await sale.violations() == []


def _count(rng: random.Random, skus: list[str]) -> dict[str, Any]:
    as_of = datetime.now(UTC) - timedelta(milliseconds=rng.randint(0, 500))
    return {"as_of": as_of.isoformat(), "items": [{"sku": sku, "on_hand": rng.randint(20, 60)} for sku in skus[:2]]}


async def _in_transaction(runtime: Runtime, commands: list[c.Command]) -> None:
    """As the consumer does it: what is away for now is tried again."""
    for _ in range(20):
        try:
            async with runtime.worker.begin() as tx:
                await apply(commands, tx)
            return
        except Exception as error:
            if decide(error) is not Verdict.RETRY:
                raise
            await asyncio.sleep(0.02)
    raise AssertionError("never worked")
