"""The front door of traffic and of what people bring: CloudEvents, the short form, the beacon.

Traffic goes straight to the bus and is acknowledged by it before the answer; there is no outbox, since the storefront
itself repeats what was not acknowledged, and ids make repeats harmless (D1). Marketing facts go through the outbox.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Protocol

from libs.events.bus import Bus, BusUnavailable, Message
from libs.events.codec import JSON, to_message
from libs.events.contracts import AdSpent, CompetitorSeen, CostEntered, Event, MeasureEntered
from libs.events.crash import crash_point
from libs.events.door import MAX_BATCH, Door, Incoming, Refusal, parse_http
from libs.events.scrub import scrubbed
from libs.service.errors import Overloaded
from libs.service.event_door import refusing_the_whole
from libs.service.privacy import mask_text
from services.kpi.calendar import Calendar
from services.kpi.metrics import EVENTS_ACCEPTED, EVENTS_IN_FLIGHT, EVENTS_REFUSED
from services.kpi.scrubbing import Pseudonym, Scrubber
from services.kpi.short_form import TOPIC, TRAFFIC, Reception, read_short_form

BROUGHT: tuple[type[Event], ...] = (AdSpent, MeasureEntered, CostEntered, CompetitorSeen)
"""What people and files bring, taken at `/v1/events` too (D69)."""
MOST_IN_FLIGHT = 100_000
"""Events that may wait for the bus; more are refused at once (P9)."""
SETTLE = timedelta(seconds=1)
"""How far a beat stays behind the clock: a call that was answered in this moment is then surely on the bus."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What came in: where, when, in which form."""

    store: str | None
    """None: an operator's call, in which every event names its own store"""
    received: datetime
    headers: Mapping[str, str]
    body: bytes
    beacon: bool = False
    may_bring: bool = False
    """whether the caller may bring figures too, not only traffic"""
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    """those of the stores that events may name"""

    @property
    def is_short_form(self) -> bool:
        """Whether this may be the short form: plain JSON that names no CloudEvents version."""
        media = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return self.beacon or (media == JSON and "ce-specversion" not in self.headers)


@dataclass(frozen=True, slots=True)
class Batch:
    """What a letter holds: messages for the bus, those for the outbox, and what was refused."""

    traffic: Sequence[Message]
    brought: Sequence[Message]
    refused: Sequence[Refusal]

    @property
    def accepted(self) -> int:
        return len(self.traffic) + len(self.brought)


class Reader:
    """Reads letters: bytes in, messages and refusals out."""

    def __init__(self, pseudonym: Pseudonym) -> None:
        self._scrubber = Scrubber(pseudonym)
        self._pseudonym = pseudonym

    def read(self, letter: Letter) -> Batch:
        """Every item accepted or refused by itself. Raises InvalidBody, TooLarge, UnsupportedMedia."""
        with refusing_the_whole():
            return self._read_quickly(letter) or self._read_carefully(letter)

    def _read_quickly(self, letter: Letter) -> Batch | None:
        if not letter.is_short_form or letter.store is None:
            return None
        reception = Reception(letter.store, letter.received, letter.beacon)
        messages = read_short_form(letter.body, reception, self._scrubber, MAX_BATCH)
        return None if messages is None else Batch(messages, (), ())

    def _read_carefully(self, letter: Letter) -> Batch:
        door = Door(
            events=(*TRAFFIC, *BROUGHT) if letter.may_bring else TRAFFIC,
            store=letter.store,
            short_form=True,
            beacon_at=letter.received if letter.beacon else None,
        )
        headers = {**letter.headers, "content-type": JSON} if letter.beacon else letter.headers
        traffic: list[Message] = []
        brought: list[Message] = []
        refused: list[Refusal] = []
        for item in parse_http(headers, letter.body, door):
            refusal = item if isinstance(item, Refusal) else _refusal(item, letter)
            if refusal is not None:
                refused.append(refusal)
            elif isinstance(item, Incoming):
                (traffic if item.data.TOPIC == TOPIC else brought).append(self._message(item, letter.received))
        return Batch(traffic, brought, refused)

    def _message(self, item: Incoming[Any], received: datetime) -> Message:
        return to_message(replace(item, data=self._cleaned(item.data)).accepted(received))

    def _cleaned(self, event: Event) -> Event:
        if event.TOPIC != TOPIC:
            return scrubbed(event, reference=self._pseudonym, text=mask_text)
        changes = self._scrubber.changes(event)
        return event.model_copy(update=changes) if changes else event


def _refusal(item: Incoming[Any], letter: Letter) -> Refusal | None:
    """Why an event that its contract accepts is refused all the same."""
    calendar = letter.calendars.get(item.store)
    if letter.store is None and calendar is None:
        return Refusal(item.index, item.id, "/store", "there is no such store")
    if calendar is not None and not has_its_hour(item.data, calendar):
        return Refusal(item.index, item.id, "/data/hour", "does not exist in the store's zone")
    return None


def has_its_hour(event: Event, calendar: Calendar) -> bool:
    """Whether the store's clock shows the hour that an ad spend names (D33)."""
    if not isinstance(event, AdSpent) or event.hour is None:
        return True
    try:
        return calendar.named(event.hour).grain == "hour"
    except ValueError:
        return False


class InFlight:
    """What has been handed to the bus and is not acknowledged yet: bounded, and the brake of the beats (D27)."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._numbers = count()
        self._since: dict[int, datetime] = {}
        self._events = 0

    def until(self, _emptied_at: datetime) -> datetime:
        """Everything answered before this is on the bus."""
        settled = self._clock() - SETTLE
        oldest = next(iter(self._since.values()), settled)
        return min(settled, oldest)

    @contextmanager
    def holding(self, events: int, since: datetime) -> Iterator[None]:
        """Count these events as being on their way. Raises Overloaded when too many are."""
        if self._events and self._events + events > MOST_IN_FLIGHT:
            raise Overloaded("more traffic than the bus takes")
        number = next(self._numbers)
        self._since[number] = since
        self._count(events)
        try:
            yield
        finally:
            del self._since[number]
            self._count(-events)

    def _count(self, events: int) -> None:
        self._events += events
        EVENTS_IN_FLIGHT.set(self._events)


class Publishes(Protocol):
    """What the door needs of a transaction: the outbox."""

    def post(self, message: Message) -> None:
        """Have the message published with the commit."""


class TrafficDoor:
    """Reads a letter and has its traffic acknowledged by the bus."""

    def __init__(self, bus: Bus, reader: Callable[[], Reader], in_flight: InFlight) -> None:
        """`reader` is asked at the first letter: the installation's key is known only once the service has started."""
        self._bus = bus
        self._make_reader = reader
        self._reader: Reader | None = None
        self.in_flight = in_flight

    def read(self, letter: Letter) -> Batch:
        """Every item accepted or refused by itself; nothing is published yet."""
        if self._reader is None:
            self._reader = self._make_reader()
        batch = self._reader.read(letter)
        if batch.refused:
            EVENTS_REFUSED.inc(len(batch.refused))
        return batch

    async def publish(self, batch: Batch, received: datetime) -> None:
        """Return when the bus has the traffic. Raises Overloaded when it cannot take it now: repeat the call."""
        if not batch.traffic:
            return
        with self.in_flight.holding(len(batch.traffic), received):
            crash_point("ingest.before_publish")
            try:
                await self._bus.publish(batch.traffic)
            except BusUnavailable as error:
                raise Overloaded("the bus does not answer") from error
            crash_point("ingest.after_publish")
        EVENTS_ACCEPTED.inc(len(batch.traffic))
