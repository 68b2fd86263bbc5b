"""How members of a group share the partitions, and hand them over when one leaves, dies or freezes."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from libs.events.bus import Bus, Subscription
from libs.events.contracts.base import Topic
from libs.events.postgres_group import fair_share
from tests.bus.kinds import Buses, a_topic, fetch_until, numbered
from tests.bus.member import TABLES, Orders, connect
from tests.support.guardian import ROOT

HAND_OVER_SECONDS = 30.0
"""Kafka waits 6 s for a silent member; the rest is for a busy machine."""


async def fetch_while(subscriptions: list[Subscription], wanted: Callable[[], bool], seconds: float = 30.0) -> None:
    """Keep all members fetching until it is as wanted."""
    async with asyncio.timeout(seconds):
        while not wanted():
            await asyncio.gather(*(one.fetch(max_records=100, timeout=0.2) for one in subscriptions))


async def open_topic(buses: Buses, partitions: int) -> tuple[Bus, Topic]:
    bus, topic = await buses.open(), a_topic(partitions)
    await bus.ensure_topics([topic])
    return bus, topic


async def test_two_members_share_the_partitions_fairly(buses: Buses) -> None:
    bus, topic = await open_topic(buses, 4)
    one, other = buses.join(bus, "g", [topic]), buses.join(await buses.open(), "g", [topic])
    await fetch_while([one, other], lambda: len(one.assigned) == len(other.assigned) == 2)
    assert not one.assigned & other.assigned
    await bus.publish(numbered(topic, 200, keys=50))
    batches = await asyncio.gather(fetch_until(one, 1), fetch_until(other, 1))
    for subscription, records in zip((one, other), batches, strict=True):
        assert {(r.topic, r.partition) for r in records} <= subscription.assigned


async def test_with_more_members_than_partitions_some_wait(buses: Buses) -> None:
    bus, topic = await open_topic(buses, 2)
    members = [buses.join(bus, "g", [topic]) for _ in range(3)]
    await fetch_while(members, lambda: sorted(len(m.assigned) for m in members) == [0, 1, 1])
    busy = next(m for m in members if m.assigned)
    rest = [m for m in members if m is not busy]
    await busy.close()
    await fetch_while(rest, lambda: sorted(len(m.assigned) for m in rest) == [1, 1])


async def test_who_leaves_hands_over_at_once(buses: Buses) -> None:
    bus, topic = await open_topic(buses, 4)
    one, other = buses.join(bus, "g", [topic]), buses.join(await buses.open(), "g", [topic])
    await fetch_while([one, other], lambda: len(one.assigned) == len(other.assigned) == 2)
    began = time.monotonic()
    await one.close()
    await fetch_while([other], lambda: len(other.assigned) == 4)
    assert time.monotonic() - began < 6


async def test_a_partition_taken_over_begins_where_the_database_says(buses: Buses) -> None:
    bus, topic = await open_topic(buses, 2)
    await bus.publish(numbered(topic, 100, keys=50))
    applied: dict[tuple[str, int], int] = {}

    async def positions(_assigned: Any) -> dict[tuple[str, int], int]:
        return dict(applied)

    one = buses.join(bus, "g", [topic], positions)
    for record in await fetch_until(one, 100):
        applied[record.topic, record.partition] = record.offset + 1
    other = buses.join(await buses.open(), "g", [topic], positions)
    await fetch_while([one, other], lambda: len(one.assigned) == len(other.assigned) == 1)
    await bus.publish(numbered(topic, 100, keys=50, start=100))
    fetched = [*await fetch_until(one, 1), *await fetch_until(other, 1)]
    fetched += await one.fetch(max_records=1000, timeout=1)
    fetched += await other.fetch(max_records=1000, timeout=1)
    assert sorted(int(r.value) for r in fetched) == list(range(100, 200))


def test_shares_differ_by_one_at_most_and_cover_everything() -> None:
    partitions = list(range(10, 21))
    for count in range(1, 14):
        members = [100 + n for n in range(count)]
        shares = [fair_share(partitions, members, me) for me in members]
        assert sorted(p for share in shares for p in share) == partitions
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


# members as processes


@dataclass
class Process:
    """A member in a process of its own, and what it has said."""

    process: asyncio.subprocess.Process
    said: list[str] = field(default_factory=list)

    async def hear(self, line: str, seconds: float = HAND_OVER_SECONDS) -> None:
        """Wait until it says a line that begins so."""
        async with asyncio.timeout(seconds):
            while True:
                assert self.process.stdout is not None
                heard = (await self.process.stdout.readline()).decode().strip()
                self.said.append(heard)
                assert heard, f"the member ended; it said {self.said}"
                if heard.startswith(line):
                    return

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@dataclass
class Stage:
    """A topic, a database for positions and effects, and members that may be killed."""

    bus: Bus
    topic: Topic
    orders: Orders
    database: Any
    members: list[Process] = field(default_factory=list)

    async def start(self, **changes: Any) -> Process:
        orders = json.dumps({**asdict(self.orders), **changes})
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bus.member", orders, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        self.members.append(Process(process))
        return self.members[-1]

    async def effects(self, count: int, seconds: float = HAND_OVER_SECONDS) -> list[int]:
        """Wait until at least `count` effects are there, and return their numbers."""
        numbers: list[int] = []
        async with asyncio.timeout(seconds):
            while len(set(numbers)) < count:
                await asyncio.sleep(0.1)
                rows = await self.database.fetch(
                    "SELECT value FROM effect WHERE topic = $1 ORDER BY n", self.topic.name
                )
                numbers = [int(row["value"]) for row in rows]
        return numbers

    async def end(self) -> None:
        for member in self.members:
            with contextlib.suppress(ProcessLookupError):
                member.process.kill()
            await member.process.wait()
        await self.database.close()


@pytest.fixture
async def stage(buses: Buses, bus_database: str) -> AsyncIterator[Stage]:
    bus, topic = await open_topic(buses, 4)
    database = await connect(bus_database)
    await database.execute(TABLES)
    orders = Orders(buses.kind, buses.address, buses.prefix, topic.name, "g", bus_database)
    found = Stage(bus, topic, orders, database)
    yield found
    await found.end()


async def test_a_killed_member_hands_over(stage: Stage) -> None:
    victim, heir = await stage.start(), await stage.start()
    await asyncio.gather(victim.hear("assigned 2"), heir.hear("assigned 2"))
    await stage.bus.publish(numbered(stage.topic, 100, keys=50))
    await stage.effects(100)
    victim.signal(signal.SIGKILL)
    await stage.bus.publish(numbered(stage.topic, 100, keys=50, start=100))
    await heir.hear("assigned 4")
    assert sorted(await stage.effects(200)) == list(range(200))


@pytest.mark.parametrize("fenced", [True, False], ids=["behind the fence", "its twin without a fence"])
async def test_a_frozen_member_that_wakes_after_the_hand_over_does_no_harm(stage: Stage, fenced: bool) -> None:
    zombie, heir = await stage.start(pause_seconds=2.0, fenced=fenced), await stage.start(fenced=fenced)
    await asyncio.gather(zombie.hear("assigned 2"), heir.hear("assigned 2"))
    await stage.bus.publish(numbered(stage.topic, 100, keys=50))
    await zombie.hear("fetched")
    zombie.signal(signal.SIGSTOP)
    await heir.hear("assigned 4")
    await stage.effects(100)
    zombie.signal(signal.SIGCONT)
    await zombie.hear("applied")
    await heir.hear("assigned 2")
    await stage.bus.publish(numbered(stage.topic, 100, keys=50, start=100))
    counted = Counter(await stage.effects(200))
    assert sorted(counted) == list(range(200)), "nothing is lost"
    assert (max(counted.values()) == 1) is fenced, "only the fence keeps the zombie's batch from counting twice"
