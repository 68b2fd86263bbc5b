"""Whether the platform is at rest: everything told has reached the bus, and everybody has applied what concerns him."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cli.local.topology import SERVICES
from libs.events.bus import Bus

LOOK_SECONDS = 0.25

Bounds = Mapping[str, Mapping[int, tuple[int, int]]]
"""topic -> partition -> (first offset kept, next offset)"""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw: outboxes and positions at one moment of the database, the logs a moment later."""

    waiting: Mapping[str, int]
    """service -> events in its outbox"""
    behind: Mapping[str, int]
    """consumer and topic -> events it has not applied"""
    bounds: Bounds
    positions: Mapping[tuple[str, str, int], int]
    """(consumer, topic, partition) -> the next offset that it will apply"""

    @property
    def is_calm(self) -> bool:
        """Whether nothing is under way.

        An event leaves an outbox after it is in its log, and what it causes is in an outbox when a position passes it.
        So when outboxes are empty and positions are, at the same moment, at ends that the logs have later, there is
        nothing in between.
        """
        return not any(self.waiting.values()) and not any(self.behind.values())

    def __str__(self) -> str:
        waiting = [f"{n} in the outbox of {service}" for service, n in self.waiting.items() if n]
        behind = [f"{name} is {n} behind" for name, n in self.behind.items() if n]
        return ", ".join(waiting + behind) or "at rest"


async def until_quiet(engine: AsyncEngine, bus: Bus, seconds: float) -> str | None:
    """Wait for rest, at most so long: None, or what still moved."""
    deadline = monotonic() + seconds
    while not (seen := await look(engine, bus)).is_calm:
        if monotonic() > deadline:
            return str(seen)
        await asyncio.sleep(LOOK_SECONDS)
    return None


async def look(engine: AsyncEngine, bus: Bus) -> Look:
    """Outboxes and the consumers' positions, then logs."""
    async with one_moment(engine) as session:
        waiting = {name: await _waiting(session, name) for name in SERVICES}
        consumed = await _consumed(session)
        positions = await _positions(session)
    bounds = {topic: await bus.bounds(topic) for topic in sorted({topic for _, topic in consumed})}
    behind = {
        f"{consumer} on {topic}": sum(
            max(0, end - max(first, positions.get((consumer, topic, n), 0)))
            for n, (first, end) in bounds[topic].items()
        )
        for consumer, topic in consumed
    }
    return Look(waiting, behind, bounds, positions)


@asynccontextmanager
async def one_moment(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A read-only transaction that sees one state of the database, and may take its time."""
    async with engine.connect() as plain:
        session = await plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
            await session.execute(text(f"SET LOCAL {setting} = 0"))
        yield session


async def _waiting(session: AsyncConnection, service: str) -> int:
    return int(await session.scalar(text(f"SELECT count(*) FROM {service}.outbox")) or 0)


async def _consumed(session: AsyncConnection) -> Sequence[tuple[str, str]]:
    """(consumer, topic) of everything that is consumed by anybody."""
    found: set[tuple[str, str]] = set()
    for name in SERVICES:
        for table in ("position", "watermark"):
            rows = await session.execute(text(f"SELECT DISTINCT consumer, topic FROM {name}.{table}"))
            found.update((row.consumer, row.topic) for row in rows)
    return sorted(found)


async def _positions(session: AsyncConnection) -> dict[tuple[str, str, int], int]:
    found: dict[tuple[str, str, int], int] = {}
    for name in SERVICES:
        rows = await session.execute(text(f"SELECT consumer, topic, partition, next_offset FROM {name}.position"))
        found |= {(row.consumer, row.topic, row.partition): row.next_offset for row in rows}
    return found
