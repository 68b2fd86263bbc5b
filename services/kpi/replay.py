"""The journal folded once more: shard by shard, each in one batch and another order than it came in (P4)."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from libs.events.codec import Envelope
from libs.events.journal import unpack
from services.kpi.calendar import Calendar
from services.kpi.engine import NEAR_MIDNIGHT_US, Outcome, Shop, fold
from services.kpi.entities.visitor import IDENTITY_BYTES
from services.kpi.facts import TRAFFIC_ORIGINS, Document, Facts, facts_of, traffic_origins
from services.kpi.ledger import RowKey
from services.kpi.marks import Marks
from services.kpi.memory import Memory
from services.kpi.records import VisitEnvelope
from services.kpi.shards import OF_ALL, TRAFFIC, Bonds, Shards, names_of
from services.kpi.states import canonical, encode

EVENTS_A_SHARD: Final = 60_000
"""Page views that are in memory at once."""
WEIGHT: Final = {TRAFFIC: 1, "inventory": 1}
WEIGHT_OF_OTHERS: Final = 25
"""Page views that an event is worth: an order has lines."""
REPEATED: Final = 0.05
"""Share of the page views that is applied once more; a repeat has no effect."""
_SLICE: Final = 1_000
_PILE: Final = 50
_LEAST_SLOTS, _MOST_SLOTS = 1 << 16, 1 << 24

Progress = Callable[[int, int], Any]


@dataclass(slots=True)
class Piece:
    """What one shard makes: entities, documents and what they add to the figures."""

    memory: Memory
    outcome: Outcome
    marks: Marks = field(default_factory=Marks)
    documents: dict[RowKey, bytes] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[RowKey, bytes]]:
        """Every entity row, in canonical bytes."""
        yield from self.memory.states()
        yield from self.documents.items()
        for seen in self.marks.assignments.values():
            yield ("assignment", *seen.key), encode(seen[3:])
        for level in self.marks.levels.values():
            yield ("stock_level", *level.key), encode(level[3:])


class Replay:
    """Entities and figures as the journal alone makes them."""

    def __init__(self, shops: Mapping[str, Shop], seed: int = 0) -> None:
        self.events = 0
        self._shops = shops
        self._seed = seed
        self._origins: dict[str, list[Document]] = defaultdict(list)
        self._shards = Shards(1, Bonds(1))

    async def read(self, connection: Any, progress: Progress | None = None) -> None:
        """Read the journal of this transaction into shards."""
        events = dict(await connection.fetch(_EVENTS))
        others = sum(count for topic, count in events.items() if topic != TRAFFIC)
        weight = sum(count * WEIGHT.get(topic, WEIGHT_OF_OTHERS) for topic, count in events.items())
        shards = -(-weight // EVENTS_A_SHARD) or 1
        slots = min(_MOST_SLOTS, max(_LEAST_SLOTS, 1 << (8 * others).bit_length()))
        bonds = Bonds(slots)
        if shards > 1:
            async for topic, partition, payload in connection.cursor(_OTHER_SEGMENTS, [TRAFFIC, *OF_ALL], prefetch=4):
                for record in unpack(topic, partition, payload):
                    bonds.bind(names_of(record))
        self._shards = Shards(shards, bonds)
        told = monotonic()
        async for topic, partition, payload in connection.cursor(_SEGMENTS, prefetch=4):
            for number, record in enumerate(unpack(topic, partition, payload), 1):
                self._shards.add(record)
                if number % _SLICE == 0:
                    await asyncio.sleep(0)
            self.events += number
            if progress is not None and monotonic() - told > 1:
                told = monotonic()
                await progress(self.events, sum(events.values()))

    async def pieces(self) -> AsyncIterator[Piece]:
        """What the base and every shard make; may be asked for again."""
        base = await self._fold(self._shards.base(), Memory())
        yield base
        for envelopes in self._shards.each():
            yield await self._fold(envelopes, base.memory.beside())

    def close(self) -> None:
        """Let go of what was read."""
        self._shards.close()

    async def _fold(self, envelopes: Sequence[Envelope[Any]], memory: Memory) -> Piece:
        facts = facts_of(self._mixed(self._without_repeats(envelopes)))
        documents = self._keep_documents(facts)
        shops = {store: self._shop(store) for store in facts.stores}
        return Piece(memory, await fold(facts.batch, memory, shops), facts.marks, documents)

    def _without_repeats(self, envelopes: Iterable[Envelope[Any]]) -> Iterator[Envelope[Any]]:
        """Of events with one identity the first counts (D1); of a visitor's as far as his row can tell."""
        counted: dict[tuple[str, str, bytes], list[int]] = {}
        known: set[tuple[str, str, str]] = set()
        for one in envelopes:
            if isinstance(one, VisitEnvelope):
                identity = (one.store, one.data.visitor_id, one.data.visit.key[:IDENTITY_BYTES])
                times = counted.get(identity)
                if times is None:
                    counted[identity] = [one.data.visit.us]
                elif self._is_repeat(self._shops[one.store].calendar, one.data.visit.us, times):
                    continue
                else:
                    times.append(one.data.visit.us)
                yield one
            elif (identity := (one.store, one.source, one.id)) not in known:
                known.add(identity)
                yield one

    @staticmethod
    def _is_repeat(calendar: Calendar, us: int, times: Iterable[int]) -> bool:
        day, _ = calendar.slot(us)
        days = {calendar.slot(time)[0] for time in times}
        return (
            day in days
            or (day - 1 in days and us - calendar.day_start(day) * 1_000_000 < NEAR_MIDNIGHT_US)
            or (day + 1 in days and calendar.day_start(day + 1) * 1_000_000 - us <= NEAR_MIDNIGHT_US)
        )

    def _mixed(self, envelopes: Iterable[Envelope[Any]]) -> list[Envelope[Any]]:
        """In another order, and some of the page views once more."""
        dice = random.Random(self._seed)
        waiting = list(envelopes)
        visits = [one for one in waiting if one.topic == TRAFFIC]
        waiting += dice.sample(visits, int(len(visits) * REPEATED))
        if len(waiting) <= _SLICE:
            dice.shuffle(waiting)
            return waiting
        piles = [waiting[at : at + _PILE] for at in range(0, len(waiting), _PILE)]
        dice.shuffle(piles)
        return [one for pile in piles for one in reversed(pile)]

    def _shop(self, store: str) -> Shop:
        versions = sorted(self._origins[store], key=lambda found: (found.us, found.recorded_us, found.event_id))
        return self._shops[store]._replace(traffic_origins=traffic_origins(version.body for version in versions))

    def _keep_documents(self, facts: Facts) -> dict[RowKey, bytes]:
        for found in facts.documents:
            if found.kind == TRAFFIC_ORIGINS and found not in self._origins[found.store]:
                self._origins[found.store].append(found)
        return {
            ("document", found.store, found.kind, found.id, found.us, found.recorded_us, found.event_id): canonical(
                found.body
            )
            for found in facts.documents
        }


_EVENTS: Final = "SELECT topic, sum(events)::bigint FROM kpi.journal GROUP BY topic"
_SEGMENTS: Final = "SELECT topic, partition, payload FROM kpi.journal ORDER BY topic, partition, first_offset"
_OTHER_SEGMENTS: Final = "SELECT topic, partition, payload FROM kpi.journal WHERE NOT topic = ANY($1)"
