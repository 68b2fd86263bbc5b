"""How far in the data is (KPI rule 7, D27): per topic the watermark, the lag, and what is held back."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.events.bus import Bus, BusError
from libs.events.watermark import load_watermarks
from services.kpi import questions
from services.kpi.questions import Quarantined
from services.kpi.tables import EVENT_TABLES

CONSUMER = "kpi"
LATE = timedelta(minutes=2)
"""A topic that lags more than this is late: what misses is not yet known to be missing."""
_BOUNDS_SECONDS = 1.0
_NOTHING = Quarantined(0, 0)

Bounds = Mapping[int, tuple[int, int]]
"""partition -> (first offset kept, next offset to be written)."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """How far one topic has been applied; `lag_events` is None while the bus does not answer."""

    topic: str
    watermark: datetime | None
    lag_events: int | None
    held: Quarantined
    differing: int = 0
    """repeats that said something else than what was accepted first"""

    def lag(self, now: datetime) -> timedelta | None:
        """How far behind the clock it is; None before the first proven beat."""
        return None if self.watermark is None else max(timedelta(0), now - self.watermark)

    def json(self, now: datetime) -> dict[str, Any]:
        """As answered."""
        lag = self.lag(now)
        return {
            "topic": self.topic,
            "watermark": self.watermark,
            "lag_seconds": None if lag is None else round(lag.total_seconds(), 3),
            "lag_events": self.lag_events,
            "quarantined": self.held.events,
            "quarantined_cents": self.held.cents,
            "differing_repeats": self.differing,
        }


@dataclass(frozen=True, slots=True)
class Completeness:
    """All topics that an answer reads, at one moment."""

    now: datetime
    topics: tuple[TopicState, ...]

    def until(self) -> datetime | None:
        """The time up to which everything of these topics is in; None while one of them is unknown."""
        marks = [topic.watermark for topic in self.topics]
        known = [mark for mark in marks if mark is not None]
        return min(known, default=self.now) if len(known) == len(marks) else None

    def is_current(self) -> bool:
        """Whether every topic is known and none is late."""
        lags = [topic.lag(self.now) for topic in self.topics]
        return all(lag is not None and lag <= LATE for lag in lags)

    def at(self, instant: datetime) -> "Completeness":
        """As it is said of a moment in the past: nothing is known beyond it, and it does not change any more."""
        return Completeness(
            instant,
            tuple(
                TopicState(
                    topic.topic,
                    None if topic.watermark is None else min(topic.watermark, instant),
                    0,
                    topic.held,
                )
                for topic in self.topics
            ),
        )

    def json(self, complete: bool) -> dict[str, Any]:
        """As answered; `complete` is about what the answer shows."""
        return {"complete": complete, "topics": [topic.json(self.now) for topic in self.topics]}


class Progress:
    """Reads completeness; asks the bus for its ends at most once a second."""

    def __init__(self, bus: Bus, clock: Callable[[], datetime]) -> None:
        self._bus = bus
        self._clock = clock
        self._bounds: dict[str, tuple[float, Bounds | None]] = {}

    async def load(
        self, store: str, topics: Collection[str], session: AsyncConnection, *, before: datetime | None = None
    ) -> Completeness:
        """The state of these topics; what lay in quarantine at `before`, if given."""
        marks = await load_watermarks(session, EVENT_TABLES.watermark, CONSUMER)
        offsets = await questions.next_offsets(CONSUMER, session)
        held = await questions.quarantined(store, before, session)
        differing = {} if before else await questions.differing(store, session)
        states = [
            TopicState(
                topic,
                marks.get(topic),
                await self._lag(topic, offsets.get(topic, {})),
                held.get(topic, _NOTHING),
                differing.get(topic, 0),
            )
            for topic in sorted(topics)
        ]
        return Completeness(self._clock(), tuple(states))

    async def _lag(self, topic: str, offsets: Mapping[int, int]) -> int | None:
        """Records on the bus that are not applied yet."""
        bounds = await self._bounds_of(topic)
        if bounds is None:
            return None
        return sum(max(0, end - max(first, offsets.get(part, first))) for part, (first, end) in bounds.items())

    async def _bounds_of(self, topic: str) -> Bounds | None:
        kept = self._bounds.get(topic)
        if kept is None or kept[0] < monotonic():
            kept = self._bounds[topic] = (monotonic() + _BOUNDS_SECONDS, await self._ask(topic))
        return kept[1]

    async def _ask(self, topic: str) -> Bounds | None:
        try:
            return await self._bus.bounds(topic)
        except BusError:
            return None
