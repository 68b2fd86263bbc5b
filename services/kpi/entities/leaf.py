"""A leaf: an entity that depends on nothing but its own events, so that one rule and one table serve all of them.

Each kind says which events it hears, under which key they meet, how they merge, and what the merged state adds to the
figures. Merging is a choice of the greatest or least stamp, so order and repeats of events do not matter.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from libs.events.contracts.base import Event
from services.kpi.calendar import Calendar
from services.kpi.entities.fact import Fact, Stamp
from services.kpi.figures import Contribution

T = TypeVar("T")
S = TypeVar("S")

SEPARATOR: Final = "|"
"""Between the parts of a key; the parts that hold free text are escaped."""


class LeafKey(NamedTuple):
    """Which leaf: of a store, of a kind, by its id."""

    store: str
    kind: str
    id: str


class Ground(NamedTuple):
    """What of its store a leaf's contribution may depend on."""

    store: str
    calendar: Calendar
    currency: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """One kind: its events, their key, `merge` and `contribution`, both pure."""

    kind: str
    events: tuple[type[Event], ...]
    key: Callable[[Any], str | None]
    """None where an event of these types is not about such a leaf"""
    state: type[Any]
    merge: Callable[[Any, Sequence[Fact]], Any]
    contribution: Callable[[Any, Ground], Contribution]


def latest(known: tuple[Stamp, T] | None, stamp: Stamp, value: T) -> tuple[Stamp, T]:
    """The one with the greater (time, recordedtime, id) (D10)."""
    return (stamp, value) if known is None or stamp > known[0] else known


def earliest(known: tuple[Stamp, T] | None, stamp: Stamp, value: T) -> tuple[Stamp, T]:
    """The one with the least (time, recordedtime, id)."""
    return (stamp, value) if known is None or stamp < known[0] else known


def key_of(event: Event, fields: Sequence[str]) -> str:
    """The fields' values as one key."""
    values = [getattr(event, field) for field in fields]
    return SEPARATOR.join("" if value is None else str(value).replace(SEPARATOR, "\x1e") for value in values)


def copy_of(old: S | None, new: Callable[[], S], **copied: Callable[[Any], Any]) -> S:
    """The state to be changed: a copy of the old one with these containers copied too, or a new one."""
    if old is None:
        return new()
    changes: Mapping[str, Any] = {name: make(getattr(old, name)) for name, make in copied.items()}
    return msgspec.structs.replace(old, **changes)  # type: ignore[type-var]
