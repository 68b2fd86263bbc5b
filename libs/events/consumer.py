"""The consumer: batch -> one transaction {lock positions, dedup, handlers, journal, outbox, positions} -> next.

What it rests on: the position rows are the only fence, a batch is applied whole or not at all, and a batch that one
event breaks is cut until that event stands alone, which then goes to the dead letters in a transaction like any other.
"""

import asyncio
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Table

from libs.events import journal as journals
from libs.events.appetite import Appetite
from libs.events.bus import Bus, Record, Subscription, TopicPartition
from libs.events.codec import Envelope, Undecodable, UnknownType, UnknownVersion, from_record
from libs.events.contracts import TopicBeat
from libs.events.contracts.base import Event
from libs.events.crash import crash_point
from libs.events.dead_letters import dead_letter
from libs.events.failures import Stop, Verdict, decide
from libs.events.ids import identity_hash
from libs.events.metrics import (
    BATCH_RETRIES,
    BATCH_SECONDS,
    CONSUMER_LAG,
    EVENTS_CONSUMED,
    EVENTS_DEAD,
    EVENTS_SKIPPED,
    STREAMS_PARKED,
    WATERMARK,
)
from libs.events.parking import Stream, Tally, count, load_tallies, refuse_epidemic, save_tallies
from libs.events.position import check_log, load_positions, lock_positions, move_positions
from libs.events.tables import EventTables
from libs.events.transaction import Transaction, Transactions
from libs.events.watermark import Pending, apply_beats, load_watermarks

E = TypeVar("E", bound=Event)
Handler = Callable[[Envelope[Any], Transaction], Awaitable[None]]
BatchHandler = Callable[[Sequence[Envelope[Any]], Transaction], Awaitable[None]]
Decode = Callable[[Record], Envelope[Any]]
NoteDead = Callable[[Sequence[Record], Transaction], Awaitable[None]]
"""Told of the records that go to the dead letters, in the transaction of their batch."""
CountDiffering = Callable[[Mapping[tuple[str, str], int], Transaction], Awaitable[None]]
"""Told how many repeats of a (store, topic) said something else, in the transaction of their batch."""

MAX_RECORDS = 5_000
STALL_LIMIT = timedelta(seconds=60)
SETTLE_EVERY = timedelta(seconds=1)
FETCH_SECONDS = 0.5
MOST_TYPES = 1_000
"""Event types remembered as wanted or not."""
SLICE = 500
"""Records decoded between two turns of the event loop, so that requests are answered meanwhile."""


@dataclass(frozen=True)
class Reaction:
    """Which events a handler wants, one at a time or as the whole batch."""

    events: tuple[type[Event], ...]
    one: Handler | None = None
    batch: BatchHandler | None = None


def on(event: type[E], handler: Callable[[Envelope[E], Transaction], Awaitable[None]]) -> Reaction:
    """`handler` is called for each `event`, in the order of the log."""
    return Reaction((event,), one=handler)


def on_batch(events: Sequence[type[Event]], handler: BatchHandler) -> Reaction:
    """`handler` is called once a batch with all of these events, in the order of the log."""
    return Reaction(tuple(events), batch=handler)


class Reactions:
    """The table at the foot of a handlers file: who reacts to what."""

    def __init__(self, *reactions: Reaction) -> None:
        """Raises ValueError where two single handlers want the same event: their order would be nobody's decision."""
        singles = [event for reaction in reactions if reaction.one for event in reaction.events]
        if len(singles) != len(set(singles)):
            raise ValueError("an event has two handlers of its own")
        self.reactions = reactions
        self.events = frozenset(event for reaction in reactions for event in reaction.events)
        self.topics = tuple(sorted({event.TOPIC for event in self.events}))
        self._types = frozenset((TopicBeat.TYPE, *(event.TYPE for event in self.events)))
        self._families = frozenset(family(type_) for type_ in self._types)
        self._one = {e: r.one for r in reactions for e in r.events if r.one}
        self._batch = [(frozenset(r.events), r.batch) for r in reactions if r.batch]

    def wants(self, type_: str) -> bool:
        """Whether a record of this wire type must be read: an event that is handled, or another version of one."""
        return type_ in self._types or family(type_) in self._families

    async def handle(self, envelopes: Sequence[Envelope[Any]], tx: Transaction) -> None:
        """Give each event to those who want it: single handlers in order first, then the batch handlers."""
        for envelope in envelopes:
            handler = self._one.get(type(envelope.data))
            if handler is not None:
                tx.cause = envelope
                await handler(envelope, tx)
        tx.cause = None
        for events, batch in self._batch:
            wanted = [envelope for envelope in envelopes if type(envelope.data) in events]
            if wanted:
                await batch(wanted, tx)


def family(type_: str) -> str:
    """A wire type without its version: `order.paid`."""
    return type_.rpartition(".")[0]


class Arrived(NamedTuple):
    """A fetched record and what reading it gave: an event, a beat, a reason to bury it, or nothing (to be skipped).

    A named tuple like `Record`: there is one for every record.
    """

    record: Record
    envelope: Envelope[Any] | None = None
    condemned: str | None = None
    beat: TopicBeat | None = None

    @property
    def stream(self) -> Stream:
        if self.envelope is None:
            return self.record.topic, _store_of(self.record), "?"
        return self.record.topic, self.envelope.store, self.envelope.type


@dataclass(slots=True)
class _Applied:
    """What a committed batch did, for the metrics."""

    consumed: Counter[str] = field(default_factory=Counter)
    skipped: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    dead: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    parked: list[str] = field(default_factory=list)
    buried: list[Record] = field(default_factory=list)


class Consumer:
    """Applies the events of some topics to one service's database, each exactly once in effect."""

    def __init__(
        self,
        group: str,
        *,
        bus: Bus,
        transactions: Transactions,
        tables: EventTables,
        reactions: Reactions,
        journal: Table | None = None,
        self_deduplicating: frozenset[str] = frozenset(),
        count_differing: CountDiffering | None = None,
        note_dead: NoteDead | None = None,
        decode: Decode = from_record,
        max_records: int = MAX_RECORDS,
        most_records: int | None = None,
    ) -> None:
        """`self_deduplicating`: topics whose handlers find repeats in their own rows; no `seen` rows are kept.

        `count_differing` is told of repeats that say something else than what was accepted first (D1), `note_dead` of
        what goes to the dead letters.

        `most_records`: what a batch may grow to while there is much to catch up with; without it, `max_records`.
        """
        self.group = group
        self.bus = bus
        self.transactions = transactions
        self.tables = tables
        self.reactions = reactions
        self.journal = journal
        self.self_deduplicating = self_deduplicating
        self.count_differing = count_differing
        self.note_dead = note_dead
        self.decode = decode
        self.max_records = max_records
        self._appetite = Appetite(max_records, most_records) if most_records else None
        self.lag: dict[str, int] = {}
        self.stalled_since: datetime | None = None
        self._settled_at = transactions.clock() - SETTLE_EVERY
        self._wanted: dict[bytes, bool] = {}

    async def run(self) -> None:
        """Consume for ever. Raises Stop when going on would be wrong; the process then ends and says why."""
        topics = self.reactions.topics
        subscription = self.bus.subscribe(self.group, topics, self._positions)
        try:
            while True:
                if records := await self._fetch(subscription):
                    began = monotonic()
                    await self.apply(records)
                    if self._appetite is not None:
                        self._appetite.ate(records, monotonic() - began)
                        self.max_records = self._appetite.size
                await self._settle_now_and_then()
        finally:
            await subscription.close()

    async def _fetch(self, subscription: Subscription) -> list[Record]:
        """The next records; none while the bus, or the database that is asked where to begin, is away."""
        try:
            records = await subscription.fetch(max_records=self.max_records, timeout=FETCH_SECONDS)
            self.stalled_since = None
            return records
        except Exception as error:
            if decide(error) is not Verdict.RETRY:
                raise
            self._watch(error)
            await asyncio.sleep(FETCH_SECONDS)
            return []

    async def apply(self, records: Sequence[Record]) -> None:
        """Apply fetched records, in their order; returns when every one of them is applied, skipped or buried."""
        with BATCH_SECONDS.labels(self.group).time():
            arrived = []
            for number, record in enumerate(records):
                arrived.append(self._read(record))
                if number % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
            ends = await self._ends({a.record.topic for a in arrived if a.beat})
            await self._apply(arrived, ends)

    async def _apply(self, arrived: Sequence[Arrived], ends: Mapping[str, Mapping[int, int]]) -> None:
        try:
            await self._until_it_works(arrived, ends)
        except Exception as error:
            if decide(error) is not Verdict.DEAD_LETTER:
                raise
            if len(arrived) == 1:
                reason = f"{type(error).__name__}: {error}"
                await self._until_it_works([Arrived(arrived[0].record, arrived[0].envelope, reason)], ends)
                return
            middle = len(arrived) // 2
            await self._apply(arrived[:middle], ends)
            await self._apply(arrived[middle:], ends)

    async def _until_it_works(self, arrived: Sequence[Arrived], ends: Mapping[str, Mapping[int, int]]) -> None:
        for attempt in itertools.count():
            try:
                await self._commit(arrived, ends)
                self.stalled_since = None
                return
            except Exception as error:
                if decide(error) is not Verdict.RETRY:
                    raise
                self._watch(error)
                BATCH_RETRIES.labels(self.group).inc()
                await asyncio.sleep(min(5.0, 0.02 * 2 ** min(attempt, 8)) * random.uniform(0.5, 1.0))

    def _watch(self, error: Exception) -> None:
        """Records are waiting and none was committed: after a minute the process ends, for a fresh start."""
        now = self.transactions.clock()
        self.stalled_since = self.stalled_since or now
        if now - self.stalled_since > STALL_LIMIT:
            raise Stop(f"{self.group}: no progress since {self.stalled_since:%H:%M:%S}: {error}") from error

    async def _commit(self, arrived: Sequence[Arrived], ends: Mapping[str, Mapping[int, int]]) -> None:
        applied = _Applied()
        partitions = {a.record[:2] for a in arrived}
        async with self.transactions.begin() as tx:
            positions = await lock_positions(tx.session, self.tables.position, self.group, partitions)
            ahead = _ahead(arrived, positions, applied)
            alive = await self._bury(ahead, tx, applied)
            fresh = await self._unseen(alive, tx, applied)
            await self.reactions.handle([a.envelope for a in fresh if a.envelope], tx)
            await self._keep(fresh, tx)
            crash_point("consumer.after_handlers")
            await move_positions(tx.session, self.tables.position, self.group, _last_of_each(ahead))
            await self._take_beats(ahead, ends, tx)
            applied.consumed.update(_by_topic(fresh))
        crash_point("consumer.after_commit")
        self._report(applied)

    # reading

    def _read(self, record: Record) -> Arrived:
        for name, value in record.headers:
            if name == "ce_type":
                if value not in self._wanted:
                    self._learn(value)
                if not self._wanted[value]:
                    return Arrived(record)
                break
        try:
            envelope = self.decode(record)
        except UnknownType:
            return Arrived(record)
        except UnknownVersion as error:
            if self.reactions.wants(error.type):
                where = f"{record.topic}/{record.partition}@{record.offset}"
                raise Stop(f"{where}: {error}; deploy consumers first") from error
            return Arrived(record)
        except Undecodable as error:
            return Arrived(record, None, str(error))
        if type(envelope.data) is TopicBeat:
            return Arrived(record, envelope, None, envelope.data)
        return Arrived(record, envelope if self.reactions.wants(envelope.type) else None)

    def _learn(self, type_: bytes) -> None:
        """Remember whether records of this type must be read."""
        if len(self._wanted) >= MOST_TYPES:
            self._wanted.clear()
        self._wanted[type_] = self.reactions.wants(type_.decode("utf-8", "replace"))

    async def _ends(self, topics: Iterable[str]) -> dict[str, dict[int, int]]:
        """The ends that all partitions of these topics have now that a beat of them is about to be applied."""
        ends = {}
        for topic in topics:
            ends[topic] = {n: end for n, (_, end) in (await self.bus.bounds(topic)).items()}
        return ends

    # inside the transaction

    async def _bury(self, ahead: Sequence[Arrived], tx: Transaction, applied: _Applied) -> list[Arrived]:
        """Send what cannot be handled, and what is parked, to the dead letters; return the living."""
        tallies = await load_tallies(tx.session, self.tables.parking, {a.record.topic for a in ahead})
        condemned = [a for a in ahead if a.condemned is not None]
        if not tallies and not condemned:
            return [a for a in ahead if a.envelope and not a.beat]
        outcomes = [(a.stream, a.condemned is None) for a in ahead if a.condemned is not None or _is_event(a)]
        grown = count(tallies, outcomes, tx.now)
        await save_tallies(tx.session, self.tables.parking, grown)
        for stream in _newly_parked(tallies, grown):
            applied.parked.append(stream[0])
        for topic in {a.record.topic for a in condemned}:
            refuse_epidemic(topic, grown)
        living = [a for a in ahead if not self._buried(a, tallies, tx, applied)]
        if self.note_dead is not None and applied.buried:
            await self.note_dead(applied.buried, tx)
        return living

    def _buried(self, a: Arrived, tallies: Mapping[Stream, Tally], tx: Transaction, applied: _Applied) -> bool:
        """Whether this one is not to be handled; buries it if it is dead."""
        parked = _is_event(a) and (tally := tallies.get(a.stream)) is not None and tally.parked_at is not None
        if a.condemned is None and not parked:
            return not _is_event(a)
        tx.post(dead_letter(a.record, consumer=self.group, reason=a.condemned or "parked", at=tx.now))
        applied.dead[a.record.topic] += 1
        applied.buried.append(a.record)
        return True

    async def _unseen(self, alive: Sequence[Arrived], tx: Transaction, applied: _Applied) -> list[Arrived]:
        if {one.record.topic for one in alive} <= self.self_deduplicating:
            return list(alive)
        keyed = [(self._identity(one), one) for one in alive]
        first: dict[bytes, Arrived] = {}
        for key, one in keyed:
            if key is not None:
                first.setdefault(key, one)
        said = {} if self.count_differing is None else {id(one): _said(key, one) for key, one in keyed if key}
        unseen = await journals.remember(tx.session, self.tables.seen, {*first, *said.values()})
        fresh = [one for key, one in keyed if key is None or (key in unseen and first[key] is one)]
        _count_left_out(applied, "repeat", alive, fresh)
        if self.count_differing is not None and len(fresh) < len(alive):
            kept = {said[id(one)] for one in fresh if id(one) in said}
            repeats = [one for key, one in keyed if key is not None and not (key in unseen and first[key] is one)]
            differing = [one for one in repeats if said[id(one)] in unseen and said[id(one)] not in kept]
            await self.count_differing(Counter((one.stream[1], one.record.topic) for one in differing), tx)
        return fresh

    def _identity(self, one: Arrived) -> bytes | None:
        if one.envelope is None or one.record.topic in self.self_deduplicating:
            return None
        return identity_hash(one.envelope.store, one.envelope.source, one.envelope.id)

    async def _keep(self, fresh: Sequence[Arrived], tx: Transaction) -> None:
        if self.journal is None:
            return
        accepted = [journals.Accepted(a.record, a.envelope.time) for a in fresh if a.envelope]
        await journals.write_segments(tx.session, self.journal, accepted, tx.now)

    async def _take_beats(
        self, ahead: Sequence[Arrived], ends: Mapping[str, Mapping[int, int]], tx: Transaction
    ) -> None:
        beats: dict[str, list[Pending]] = defaultdict(list)
        for one in ahead:
            if (beat := one.beat) is not None:
                beats[one.record.topic].append(Pending(beat.until, ends[one.record.topic]))
        await apply_beats(tx.session, self.tables.watermark, self.tables.position, self.group, beats)

    # around it

    async def _positions(self, assigned: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Where the database says that these partitions go on; partitions new to us begin at what is kept."""
        async with self.transactions.begin(read_only=True) as tx:
            known = await load_positions(tx.session, self.tables.position, self.group)
        begin: dict[TopicPartition, int] = {}
        for partition in assigned:
            position = known.get(partition)
            if position is None or position.next_offset == 0:
                begin[partition] = (await self.bus.bounds(partition[0])).get(partition[1], (0, 0))[0]
            else:
                await check_log(self.bus, self.group, partition, position)
                begin[partition] = position.next_offset
        return begin

    async def _settle_now_and_then(self) -> None:
        """Prove waiting beats (another member may have moved the positions they wait for) and measure the lag."""
        now = self.transactions.clock()
        if now - self._settled_at < SETTLE_EVERY:
            return
        self._settled_at = now
        try:
            await self._settle()
        except Exception as error:
            if decide(error) is not Verdict.RETRY:
                raise

    async def _settle(self) -> None:
        async with self.transactions.begin() as tx:
            topics: dict[str, list[Pending]] = {topic: [] for topic in self.reactions.topics}
            watermarks = await apply_beats(tx.session, self.tables.watermark, self.tables.position, self.group, topics)
            positions = await load_positions(tx.session, self.tables.position, self.group)
        for topic, until in watermarks.items():
            if until is not None:
                WATERMARK.labels(self.group, topic).set(until.timestamp())
            bounds = await self.bus.bounds(topic)
            self.lag[topic] = sum(
                max(0, end - max(first, positions[topic, n].next_offset if (topic, n) in positions else 0))
                for n, (first, end) in bounds.items()
            )
            CONSUMER_LAG.labels(self.group, topic).set(self.lag[topic])

    def _report(self, applied: _Applied) -> None:
        for topic, events in applied.consumed.items():
            EVENTS_CONSUMED.labels(self.group, topic).inc(events)
        for (topic, reason), events in applied.skipped.items():
            EVENTS_SKIPPED.labels(self.group, topic, reason).inc(events)
        for topic, events in applied.dead.items():
            EVENTS_DEAD.labels(self.group, topic).inc(events)
        for topic in applied.parked:
            STREAMS_PARKED.labels(topic).inc()

    async def watermarks(self, tx: Transaction) -> dict[str, datetime | None]:
        """topic -> up to when everything accepted has been applied here."""
        return await load_watermarks(tx.session, self.tables.watermark, self.group)


def _said(identity: bytes, one: Arrived) -> bytes:
    """What stands for an event's content beside its identity."""
    return identity[:8] + blake2b(identity + one.record.value, digest_size=8).digest()


def _ahead(arrived: Sequence[Arrived], positions: Mapping[TopicPartition, int], applied: _Applied) -> list[Arrived]:
    """What lies at or beyond the positions; the rest was applied in another life or by another member."""
    ahead = [a for a in arrived if a.record.offset >= positions[a.record[:2]]]
    _count_left_out(applied, "behind", arrived, ahead)
    return ahead


def _count_left_out(applied: _Applied, reason: str, all_: Sequence[Arrived], kept: Sequence[Arrived]) -> None:
    if len(kept) < len(all_):
        for topic, left_out in (_by_topic(all_) - _by_topic(kept)).items():
            applied.skipped[topic, reason] += left_out


def _last_of_each(ahead: Sequence[Arrived]) -> list[Record]:
    return list({a.record[:2]: a.record for a in ahead}.values())


def _by_topic(arrived: Iterable[Arrived]) -> Counter[str]:
    return Counter(a.record.topic for a in arrived)


def _is_event(a: Arrived) -> bool:
    return a.envelope is not None and a.beat is None


def _newly_parked(before: Mapping[Stream, Tally], after: Mapping[Stream, Tally]) -> list[Stream]:
    return [s for s, t in after.items() if t.parked_at and not (s in before and before[s].parked_at)]


def _store_of(record: Record) -> str:
    """The store by the record's key; what cannot be decoded still belongs to somebody."""
    return record.key.partition(b"/")[0].decode("utf-8", "replace") or "?"
