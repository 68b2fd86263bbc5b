"""What merging works on: one event with its place in time."""

from typing import NamedTuple

from libs.events.contracts.base import Event

Stamp = tuple[int, int, str]
"""(time, recordedtime, id): where events replace one another, the greatest wins (D10)."""


class Fact(NamedTuple):
    """One event about an entity; times in microseconds since 1970."""

    us: int
    recorded_us: int
    id: str
    event: Event

    @property
    def stamp(self) -> Stamp:
        return self.us, self.recorded_us, self.id
