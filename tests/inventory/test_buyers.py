"""Many buyers for few units, with cancels, expiries, refunds, corrections and counts mixed in: exactly M are sold (P1).

The same with a guard taken out must fail: the twins.
"""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.inventory.domain import commands as c
from services.inventory.domain import holds
from services.inventory.domain.book import Book
from services.inventory.domain.promises import Shortage
from services.inventory.handlers import apply as applying
from services.inventory.handlers.expiry import expire_holds
from services.inventory.store import book as book_store
from tests.inventory.test_sale import Sale, _in_transaction, opened

MOST_AT_ONCE = 250


@dataclass
class Round:
    """One sale of `units` of a SKU: who paid and kept what he bought."""

    sale: Sale
    sku: str
    units: int
    rng: random.Random
    paid: set[str] = field(default_factory=set)
    stranger: list[int] = field(default_factory=list)
    two_faced: list[str] = field(default_factory=list)
    on_shelf: asyncio.Lock = field(default_factory=asyncio.Lock)
    """parcels and corrections of the shelf take turns: a unit that is lost cannot be packed"""
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))

    async def run(self, buyers: int) -> None:
        """Everything at once, then buyers until nothing is left."""
        await self.sale.stocked(self.units, self.sku)
        async with asyncio.TaskGroup() as everybody:
            for n in range(buyers):
                everybody.create_task(self.buyer(n))
            everybody.create_task(self.clerk(max(3, buyers // 50)))
        while True:
            await expire_holds(self.sale.runtime.worker)
            level = await self.sale.level(self.sku)
            if level["available"] == 0 and level["held"] == 0:
                return
            if level["available"] == 0:
                await asyncio.sleep(0.2)
            await asyncio.gather(*(self.last_buyer(f"{self.sku}-last-{n}") for n in range(level["available"])))

    async def last_buyer(self, name: str) -> None:
        name = f"{name}-{self.rng.random()}"
        await self.buy(0, name, self.sku, order_id=name, allocate=True)

    async def buy(self, n: int, name: str, *skus: str, **more: Any) -> bool:
        """Whether the units were held; whoever has them allocated in the same call has paid. A third asks twice."""
        lines = [(sku, 1) for sku in skus]
        calls = [self.sale.reserve(n + twin, name, *lines, **more) for twin in range(2 if n % 3 == 0 else 1)]
        status, *others = await asyncio.gather(*calls)
        self.expect(status, 201, 409)
        if others and others != [status]:
            self.two_faced.append(f"{name}: {status} and {others}")
        if status == 201 and more.get("allocate"):
            self.paid.add(name)
        return status == 201

    def expect(self, status: int, *known: int) -> None:
        if status not in known:
            self.stranger.append(status)

    async def buyer(self, n: int) -> None:
        """Takes a unit, and then pays, changes his mind, or forgets it; some send it back."""
        name, fate = f"{self.sku}-{n}", self.rng.random()
        async with self.at_once:
            if not await self.buy(n, name, self.sku, order_id=name, ttl_seconds=1 if fate < 0.3 else 900):
                return
            if fate < 0.15:
                return
            if fate < 0.3:
                await self.step(n, name, "release")
            elif await self.step(n, name, "allocate", order_id=name) == 200:
                self.paid.add(name)
                await self.second_thoughts(name)

    async def step(self, n: int, name: str, step: str, **body: str) -> int:
        status = (await self.sale.post(n, f"/v1/reservations/{name}/{step}", body)).status_code
        self.expect(status, 200, 409)
        return status

    async def second_thoughts(self, order: str) -> None:
        """A tenth cancels after paying, a tenth sends back what came; both units are for sale again."""
        fate = self.rng.random()
        if fate > 0.2:
            return
        commands: list[c.Command] = []
        cause, pieces = c.Cause("order", order, datetime.now(UTC), "test"), (c.Piece(self.sku, 1),)
        if fate < 0.1:
            commands = [c.Cancel("demo", cause, order)]
        else:
            commands = [
                c.Ship("demo", cause, order, pieces, order),
                c.AwaitReturn("demo", cause, order, pieces, order),
                c.TakeBack("demo", cause, order, pieces, order, "resellable"),
            ]
        async with self.on_shelf:
            await _in_transaction(self.sale.services[len(order) % 2][0], commands)
        self.paid.discard(order)

    async def clerk(self, turns: int) -> None:
        """Loses a unit and finds it, breaks one and mends it, counts the shelf; expired holds leave meanwhile."""
        for turn in range(turns):
            await expire_holds(self.sale.services[turn % 2][0].worker)
            async with self.on_shelf:
                level = await self.sale.level(self.sku)
                for quantity, reason in ((-1, "lost"), (1, "found"), (-1, "damaged"), (1, "damaged")):
                    body = {"sku": self.sku, "quantity": quantity, "reason": reason}
                    self.expect((await self.sale.post(turn, "/v1/adjustments", body)).status_code, 201)
                item = {"sku": self.sku, "on_hand": level["on_hand"], "version": level["version"]}
                count = {"as_of": datetime.now(UTC).isoformat(), "items": [item]}
                self.expect((await self.sale.post(turn, "/v1/counts", count)).status_code, 200)
            await asyncio.sleep(0.01)

    async def wrong(self) -> list[str]:
        """What does not hold after the round; empty when exactly the units there were are sold."""
        level = await self.sale.level(self.sku)
        found = [f"{violation}" for violation in await self.sale.violations()]
        if len(self.paid) != self.units:
            found.append(f"{len(self.paid)} paid for {self.units} units")
        if (level["on_hand"], level["allocated"], level["short"]) != (self.units, self.units, 0):
            found.append(f"the level says {level['on_hand']} on hand, {level['allocated']} allocated")
        found += [f"a call that was sent twice had two answers: {answers}" for answers in self.two_faced]
        return found + [f"an answer {status}" for status in self.stranger]


async def rounds(sale: Sale, count: int, buyers: int, units: int) -> list[str]:
    """Play rounds, each with a SKU of its own; what was wrong with the first that went wrong."""
    for n in range(count):
        one = Round(sale, f"BUY{n}", units, random.Random(n))
        await one.run(buyers)
        if wrong := await one.wrong():
            return wrong
    return []


async def test_exactly_as_many_are_sold_as_there_were_whatever_is_mixed_in(fresh_database: str) -> None:
    async with opened(fresh_database) as sale:
        assert await rounds(sale, 2, buyers=150, units=20) == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_2000_buyers_for_100_units_20_times(fresh_database: str) -> None:
    async with opened(fresh_database) as sale:
        assert await rounds(sale, 20, buyers=2_000, units=100) == []


# the same with a guard taken out


async def nobody_asks(sale: Sale, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks whether there is enough, and the last wall is down."""
    async with sale.runtime.engine.begin() as session:
        for name in ("ck_level_never_oversold", "ck_level_promised_not_negative"):
            await session.execute(text(f"ALTER TABLE inventory.level DROP CONSTRAINT {name}"))
    enough: list[Shortage] = []
    monkeypatch.setattr(holds, "_short", lambda *_: enough)


async def nobody_locks(sale: Sale, monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels are read without their lock: whoever commits last overwrites the others."""

    def unlocked(statement: str) -> TextClause:
        return text(statement.replace(" FOR UPDATE OF level", ""))

    monkeypatch.setattr(book_store, "sql", unlocked)


async def nobody_minds_a_double(sale: Sale, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that make the same reservation at once both take its units."""

    async def saved_anyway(session: AsyncConnection, book: Book) -> None:
        with suppress(book_store.Changed):
            await book_store.save_book(session, book)

    monkeypatch.setattr(applying, "save_book", saved_anyway)


@pytest.mark.parametrize("sabotage", [nobody_asks, nobody_locks, nobody_minds_a_double])
async def test_the_same_without_a_guard_is_found_out(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch, sabotage: Any
) -> None:
    async with opened(fresh_database) as sale:
        await sabotage(sale, monkeypatch)
        with suppress(TimeoutError, ExceptionGroup):  # a sale that breaks down, or never ends, is found out as well
            async with asyncio.timeout(20):
                assert await rounds(sale, 5, buyers=100, units=10) != []
