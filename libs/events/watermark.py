"""How far in the data is: beats tell it, positions prove it (D27)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

Ends = Mapping[int, int]
"""partition -> end offset that it had when a beat was read."""

KEPT_PENDING = 2
"""The oldest unproven beat, so that it can be proven, and the newest, so that a lag is caught up in one step."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A beat that was read: complete up to `until` once the positions have passed `ends`."""

    until: datetime
    ends: Ends

    def reached(self, positions: Ends) -> bool:
        return all(positions.get(partition, 0) >= end for partition, end in self.ends.items())


def settle(
    until: datetime | None, pending: Iterable[Pending], positions: Ends
) -> tuple[datetime | None, tuple[Pending, ...]]:
    """The watermark that is proven now, and the beats that still wait."""
    waiting: list[Pending] = []
    for beat in pending:
        if not beat.reached(positions):
            waiting.append(beat)
        elif until is None or beat.until > until:
            until = beat.until
    waiting.sort(key=lambda beat: beat.until)
    kept = waiting if len(waiting) <= KEPT_PENDING else [waiting[0], waiting[-1]]
    return until, tuple(kept)


async def apply_beats(
    session: AsyncConnection,
    watermark: Table,
    position: Table,
    consumer: str,
    beats: Mapping[str, Iterable[Pending]],
) -> dict[str, datetime | None]:
    """Add the beats of these topics, settle what the positions prove, and return their watermarks."""
    answer: dict[str, datetime | None] = {}
    for topic in sorted(beats):
        stored, waiting = await _lock(session, watermark, consumer, topic)
        positions = await _positions(session, position, consumer, topic)
        until, kept = settle(stored, [*waiting, *beats[topic]], positions)
        if until != stored or kept != waiting:
            await _save(session, watermark, consumer, topic, until, kept)
        answer[topic] = until
    return answer


async def load_watermarks(session: AsyncConnection, watermark: Table, consumer: str) -> dict[str, datetime | None]:
    """topic -> up to when everything accepted has been applied by `consumer`; None before the first proven beat."""
    rows = await session.execute(
        text(f"SELECT topic, until FROM {watermark.fullname} WHERE consumer = :consumer"), {"consumer": consumer}
    )
    return {row.topic: row.until for row in rows}


async def _lock(
    session: AsyncConnection, table: Table, consumer: str, topic: str
) -> tuple[datetime | None, tuple[Pending, ...]]:
    key = {"consumer": consumer, "topic": topic}
    await session.execute(
        text(f"INSERT INTO {table.fullname} (consumer, topic) VALUES (:consumer, :topic) ON CONFLICT DO NOTHING"), key
    )
    row = (
        await session.execute(
            text(
                f"SELECT until, pending FROM {table.fullname} WHERE consumer = :consumer AND topic = :topic FOR UPDATE"
            ),
            key,
        )
    ).one()
    return row.until, tuple(_load(beat) for beat in _json(row.pending))


async def _positions(session: AsyncConnection, table: Table, consumer: str, topic: str) -> dict[int, int]:
    rows = await session.execute(
        text(f"SELECT partition, next_offset FROM {table.fullname} WHERE consumer = :consumer AND topic = :topic"),
        {"consumer": consumer, "topic": topic},
    )
    return {row.partition: row.next_offset for row in rows}


async def _save(
    session: AsyncConnection,
    table: Table,
    consumer: str,
    topic: str,
    until: datetime | None,
    pending: Iterable[Pending],
) -> None:
    await session.execute(
        text(
            f"UPDATE {table.fullname} SET until = :until, pending = CAST(:pending AS jsonb)"
            " WHERE consumer = :consumer AND topic = :topic"
        ),
        {
            "consumer": consumer,
            "topic": topic,
            "until": until,
            "pending": json.dumps([_dump(beat) for beat in pending]),
        },
    )


def _dump(beat: Pending) -> dict[str, Any]:
    return {"until": beat.until.isoformat(), "ends": {str(n): end for n, end in beat.ends.items()}}


def _load(row: dict[str, Any]) -> Pending:
    return Pending(datetime.fromisoformat(row["until"]), {int(n): end for n, end in row["ends"].items()})


def _json(value: Any) -> Any:
    """Raw SQL gives jsonb as text or as a value, depending on the driver's codecs."""
    return json.loads(value) if isinstance(value, str) else value
