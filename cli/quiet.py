"""Whether the platform is at rest: everything told has reached the bus, and everybody has applied what concerns him."""

import asyncio
from collections.abc import Mapping, Sequence
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
    """What one look saw. Each part is seen a moment after the one before."""

    waiting: Mapping[str, int]
    """service -> events in its outbox"""
    behind: Mapping[str, int]
    """consumer and topic -> events it has not applied"""
    bounds: Bounds
    positions: Mapping[tuple[str, str, int], int]
    """(consumer, topic, partition) -> the next offset that it will apply"""

    @property
    def is_calm(self) -> bool:
        return not any(self.waiting.values()) and not any(self.behind.values())

    def __str__(self) -> str:
        waiting = [f"{n} in the outbox of {service}" for service, n in self.waiting.items() if n]
        behind = [f"{name} is {n} behind" for name, n in self.behind.items() if n]
        return ", ".join(waiting + behind) or "at rest"


async def until_quiet(engine: AsyncEngine, bus: Bus, seconds: float) -> str | None:
    """Wait for rest, at most so long: None, or what still moved.

    One calm look proves nothing, since an event may hop on behind the back of its look. Two of them with the same log
    between do: nothing was published, so nothing was under way.
    """
    deadline, before = monotonic() + seconds, await look(engine, bus)
    while True:
        now = await look(engine, bus)
        if before.is_calm and now.is_calm and before.bounds == now.bounds:
            return None
        if monotonic() > deadline:
            return str(now)
        before = now
        await asyncio.sleep(LOOK_SECONDS)


async def look(engine: AsyncEngine, bus: Bus) -> Look:
    """Outboxes, then logs, then the consumers' positions."""
    async with engine.connect() as session:
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
