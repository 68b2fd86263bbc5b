"""When something happened on a topic is noted by the minute; traffic by its headers alone, since there is so much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, cast

from libs.events.bus import Record
from libs.events.codec import Envelope, Undecodable, UnknownType, from_record
from libs.events.consumer import Reactions, on_batch
from libs.events.contracts import (
    CartAdded,
    CartRemoved,
    CheckoutStarted,
    OrderPlaced,
    PageViewed,
    ProductFavorited,
    TopicBeat,
)
from libs.events.contracts.base import Event
from libs.events.transaction import Transaction
from services.alerts.domain.silence import bit_of, hour_of
from services.alerts.store import pulses

GROUP: Final = "alerts-traffic"
VISITS: Final = (PageViewed, CartAdded, CartRemoved, ProductFavorited, CheckoutStarted)


@dataclass(frozen=True, slots=True)
class Visited:
    """A traffic event, of which only the time matters here."""

    TOPIC: ClassVar[str] = "traffic"
    TYPE: ClassVar[str] = PageViewed.TYPE


@dataclass(frozen=True, slots=True)
class Pulse:
    """`Envelope`, as far as it is used for that."""

    store: str
    source: str
    id: str
    type: str
    time: datetime
    data: Visited = Visited()
    topic: str = "traffic"
    import_id: str | None = None


def read_pulse(record: Record) -> Envelope[Any]:
    """Store and time of a traffic record by its headers; a beat, and what has none, is read whole.

    Raises Undecodable, UnknownType.
    """
    headers = {name: value for name, value in record.headers if name.startswith("ce_")}
    type_ = headers.get("ce_type", b"").decode("utf-8", "replace")
    if type_ == TopicBeat.TYPE or "ce_time" not in headers:
        return from_record(record)
    if type_ not in _TYPES:
        raise UnknownType(type_)
    try:
        store, source, name = (headers[f"ce_{name}"].decode() for name in ("store", "source", "id"))
        pulse = Pulse(store, source, name, type_, datetime.fromisoformat(headers["ce_time"].decode()))
    except (KeyError, ValueError) as error:
        raise Undecodable(f"{type(error).__name__} in the headers") from error
    return cast(Envelope[Any], pulse)


_TYPES: Final = frozenset(event.TYPE for event in VISITS)


async def note_pulses(events: Sequence[Envelope[Any]], tx: Transaction) -> None:
    """Note the minutes in which something happened."""
    beats: dict[tuple[str, str, datetime], int] = {}
    for event in events:
        key = (event.store, event.topic, hour_of(event.time))
        beats[key] = beats.get(key, 0) | bit_of(event.time)
    await pulses.add_pulses(_plausible(beats, tx.now), tx)


def _plausible(beats: Mapping[tuple[str, str, datetime], int], now: datetime) -> pulses.Beats:
    """An event from the future says nothing about now (D5)."""
    return {key: bits for key, bits in beats.items() if key[2] <= now}


TRAFFIC = Reactions(on_batch((*VISITS, cast(type[Event], Visited)), note_pulses))
REACTIONS = (on_batch((OrderPlaced,), note_pulses),)
