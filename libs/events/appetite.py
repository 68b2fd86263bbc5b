"""How many records a consumer takes at once: what has come when it keeps up, more and more while it catches up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from libs.events.bus import Record

MOST_BYTES: Final = 12_000_000
"""Of the values of one batch: fifty thousand page views, or some thousand long orders."""
MOST_SECONDS: Final = 5.0
"""In one batch: positions move and beats are seen at least that often."""
FEWEST: Final = 100


@dataclass(slots=True)
class Appetite:
    """Grows while every fetch is full, shrinks when it is not; bounded in records, bytes and time."""

    least: int
    most: int
    size: int = 0

    def __post_init__(self) -> None:
        self.size = self.size or self.least

    def ate(self, records: Sequence[Record], seconds: float) -> None:
        """A batch is done: choose the size of the next."""
        taken = len(records)
        is_full = taken >= self.size
        wanted = min(self.most, 2 * self.size) if is_full else max(self.least, self.size // 2)
        weight = sum([len(record.value) for record in records])
        by_bytes = taken * MOST_BYTES // max(1, weight)
        by_time = int(taken * MOST_SECONDS / max(1e-6, seconds)) if seconds > MOST_SECONDS else wanted
        self.size = max(FEWEST, min(wanted, by_bytes, by_time))
