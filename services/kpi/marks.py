"""What one statement settles: the first variant that a visitor saw, the last stock level of an hour.

Both are a least or greatest of what was said, so repeats and order do not matter, and no entity has to be read first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

HOUR_US: Final = 3_600 * 1_000_000


class Assignment(NamedTuple):
    """A visitor saw a variant of an experiment."""

    store: str
    experiment: str
    visitor: str
    us: int
    event_id: str
    variant: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.store, self.experiment, self.visitor


class Level(NamedTuple):
    """A SKU's units on hand after a movement."""

    store: str
    sku: str
    hour: int
    us: int
    version: int
    on_hand: int

    @property
    def key(self) -> tuple[str, str, int]:
        return self.store, self.sku, self.hour


@dataclass(slots=True)
class Marks:
    """The marks of a batch, the one that counts for each key."""

    assignments: dict[tuple[str, str, str], Assignment] = field(default_factory=dict)
    levels: dict[tuple[str, str, int], Level] = field(default_factory=dict)

    def see(self, seen: Assignment) -> None:
        """The first variant counts: least time, then id (KPI-8)."""
        known = self.assignments.get(seen.key)
        if known is None or seen[3:] < known[3:]:
            self.assignments[seen.key] = seen

    def stand(self, level: Level) -> None:
        """The last level of the hour: greatest version."""
        known = self.levels.get(level.key)
        if known is None or level.version > known.version:
            self.levels[level.key] = level

    def adopt(self, other: "Marks", row: tuple[str | int, ...]) -> None:
        """Take over the mark of a row (table and key), if the other has it."""
        if row[0] == "assignment" and (seen := other.assignments.get(row[1:])) is not None:  # type: ignore[arg-type]
            self.see(seen)
        if row[0] == "stock_level" and (level := other.levels.get(row[1:])) is not None:  # type: ignore[arg-type]
            self.stand(level)

    def only(self, row: tuple[str | int, ...]) -> "Marks":
        """The mark of this row alone."""
        found = Marks()
        found.adopt(self, row)
        return found


async def save_marks(connection: Any, marks: Marks) -> None:
    """Write them in the order of their keys."""
    if marks.assignments:
        await connection.execute(_SAVE_ASSIGNMENTS, *_columns(sorted(marks.assignments.values())))
    if marks.levels:
        await connection.execute(_SAVE_LEVELS, *_columns(sorted(marks.levels.values())))


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


_SAVE_ASSIGNMENTS: Final = """
INSERT INTO kpi.assignment AS a (store, experiment, visitor, us, event_id, variant)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
ON CONFLICT (store, experiment, visitor) DO UPDATE
 SET us = excluded.us, event_id = excluded.event_id, variant = excluded.variant
 WHERE (excluded.us, excluded.event_id, excluded.variant) < (a.us, a.event_id, a.variant)
"""
_SAVE_LEVELS: Final = """
INSERT INTO kpi.stock_level AS l (store, sku, hour, us, version, on_hand)
SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[])
ON CONFLICT (store, sku, hour) DO UPDATE SET us = excluded.us, version = excluded.version, on_hand = excluded.on_hand
 WHERE excluded.version > l.version
"""
