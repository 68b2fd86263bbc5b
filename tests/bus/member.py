"""A member of a group as a process of its own: fetches, and counts each record in PostgreSQL behind a position row.

    python -m tests.bus.member '{"kind": "kafka", "address": ..., "prefix": ..., "topic": ..., ...}'

Prints a line after each step: `assigned N` when its share changed, `fetched N` before it applies a batch, `applied`.
With `"fenced": false` the position row is neither locked nor compared: the run that must go wrong.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from libs.events.bus import BusUnavailable, Positions, Record, TopicPartition
from tests.bus.kinds import Buses

TABLES = """
CREATE TABLE IF NOT EXISTS place (topic text, partition int, next_offset bigint, PRIMARY KEY (topic, partition));
CREATE TABLE IF NOT EXISTS effect (topic text, partition int, record_offset bigint, value bytea, n bigserial);
"""


@dataclass(frozen=True)
class Orders:
    """What the test wants of this member."""

    kind: str
    address: str
    prefix: str
    topic: str
    group: str
    url: str
    fenced: bool = True
    pause_seconds: float = 0.0
    """Between fetching and applying, where a freeze does the most harm."""


def connect(url: str) -> Any:
    return asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))


def say(*words: object) -> None:
    print(*words, flush=True)


class Member:
    def __init__(self, orders: Orders, connection: Any) -> None:
        self.orders = orders
        self.connection = connection

    async def run(self) -> None:
        buses = Buses(self.orders.kind, self.orders.address, self.orders.prefix)
        bus = await buses.open(session_seconds=3.0)
        subscription = bus.subscribe(self.orders.group, [self.orders.topic], self.positions)
        share = -1
        while True:
            try:
                records = await subscription.fetch(max_records=50, timeout=0.3)
            except BusUnavailable as error:
                say("unavailable", error)
                await asyncio.sleep(0.2)
                continue
            if len(subscription.assigned) != share:
                share = len(subscription.assigned)
                say("assigned", share)
            if records:
                say("fetched", len(records))
                await asyncio.sleep(self.orders.pause_seconds)
                await self.apply(records)
                say("applied")

    async def positions(self, assigned: Sequence[TopicPartition]) -> Positions:
        rows = await self.connection.fetch("SELECT topic, partition, next_offset FROM place")
        known = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        return {partition: known[partition] for partition in assigned if partition in known}

    async def apply(self, records: Sequence[Record]) -> None:
        async with self.connection.transaction():
            for partition in sorted({record.partition for record in records}):
                await self.apply_partition(partition, [r for r in records if r.partition == partition])

    async def apply_partition(self, partition: int, records: Sequence[Record]) -> None:
        topic = self.orders.topic
        await self.connection.execute("INSERT INTO place VALUES ($1, $2, 0) ON CONFLICT DO NOTHING", topic, partition)
        position = 0
        if self.orders.fenced:
            position = await self.connection.fetchval(
                "SELECT next_offset FROM place WHERE topic = $1 AND partition = $2 FOR UPDATE", topic, partition
            )
        ahead = [r for r in records if r.offset >= position]
        await self.connection.executemany(
            "INSERT INTO effect (topic, partition, record_offset, value) VALUES ($1, $2, $3, $4)",
            [(topic, partition, r.offset, r.value) for r in ahead],
        )
        if ahead:
            await self.connection.execute(
                "UPDATE place SET next_offset = $3 WHERE topic = $1 AND partition = $2",
                topic, partition, ahead[-1].offset + 1,
            )  # fmt: skip


async def main(orders: Orders) -> None:
    connection = await connect(orders.url)
    await Member(orders, connection).run()


if __name__ == "__main__":
    asyncio.run(main(Orders(**json.loads(sys.argv[1]))))
