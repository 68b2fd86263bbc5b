"""Measuring: when everything of a bucket is in, its figures are told once; what changes afterwards is a correction.

A bucket is due when the watermarks of all topics that its measures read have passed its end by 5 minutes (D27). From
a store's first event on every hour, day, week and month is measured, empty ones too; earlier ones when events reached
them, 60 seconds after the last of those, or when the import that brought them is over (D63).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from libs.events.contracts import KpiCorrected, KpiMeasured
from libs.events.contracts.kpi import MeasureChange
from libs.events.locks import lock_number
from libs.events.transaction import Transaction, Transactions
from libs.events.watermark import load_watermarks
from services.kpi.calendar import GRAINS, Bucket, Calendar, calendar_of
from services.kpi.figures import NUMBERS, SEPARATOR, Vector, is_money, number_of
from services.kpi.imports import close_imports, settled_imports
from services.kpi.kpis import MEASURE, MEASURES
from services.kpi.recording import MOST_CAUSES
from services.kpi.rows import driver, lock_stores
from services.kpi.states import decode_vector
from services.kpi.tables import EVENT_TABLES

CONSUMER: Final = "kpi"
SETTLED: Final = timedelta(minutes=5)
"""How far the watermarks must have passed a bucket's end (D27)."""
QUIET: Final = timedelta(seconds=60)
"""How long no late event may have reached a bucket before it is measured, and corrections wait to be told together."""
READ_TOPICS: Final = tuple(sorted({topic for m in MEASURES if not m.counted_when_asked for topic in m.topics}))
AT_ONCE: Final = 200
"""Buckets measured in one transaction."""
_TWO_HOURS: Final = 7_200
"""An hour that starts later than this before the moment is the last one that can be over."""
_TOLD_BY: Final = ("", "channel")
"""What is told of a bucket: the store, and each of its channels."""
_LOCK: Final = lock_number("kpi.measuring")


class StoreClock(NamedTuple):
    """What measuring must know of a store. `start_us` is the acceptance of its first event."""

    store: str
    calendar: Calendar
    currency: str
    start_us: int


@dataclass(frozen=True, slots=True)
class Moment:
    """How far in the data is: the least watermark of the topics that are read."""

    watermark: datetime
    now: datetime
    settle: timedelta = SETTLED

    @property
    def until(self) -> datetime:
        """Buckets that end by then are complete."""
        return self.watermark - self.settle


async def measure(transactions: Transactions, settle: timedelta = SETTLED) -> int:
    """Measure every bucket that is due; how many were. One process at a time does the work."""
    measured = 0
    for clock in await _stores_behind(transactions, settle):
        while count := await _measure_some(transactions, clock, settle):
            measured += count
    return measured


async def _stores_behind(transactions: Transactions, settle: timedelta) -> list[StoreClock]:
    """Stores that may have something due: the last hour, late events that have settled, an import that is over."""
    async with transactions.begin(read_only=True) as tx:
        moment = await load_moment(tx, settle)
        if moment is None:
            return []
        last_hour = int(moment.until.timestamp()) - _TWO_HOURS
        rows = await (await driver(tx.session)).fetch(_STORES_BEHIND, last_hour, tx.now - QUIET)
    return [StoreClock(store, calendar_of(zone), currency, us) for store, zone, currency, us in rows]


async def stores_of(transactions: Transactions) -> list[StoreClock]:
    async with transactions.begin(read_only=True) as tx:
        rows = await (await driver(tx.session)).fetch(_STORES)
    return [StoreClock(store, calendar_of(zone), currency, us) for store, zone, currency, us in rows]


async def _measure_some(transactions: Transactions, clock: StoreClock, settle: timedelta) -> int:
    async with transactions.begin() as tx:
        connection = await driver(tx.session)
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
            return 0
        moment = await load_moment(tx, settle)
        if moment is None:
            return 0
        settled = await settled_imports(connection, clock.store, moment.watermark)
        if not settled and not await _anything_due(connection, clock, moment):
            return 0
        await lock_stores(connection, {clock.store: True})
        due = await _due(connection, clock, moment, settled)
        await _measure(connection, clock, due, moment, tx)
        if not due and settled:
            await close_imports(connection, clock.store, settled, tx.now)
        return len(due)


async def load_moment(tx: Transaction, settle: timedelta = SETTLED) -> Moment | None:
    """None while the watermark of any topic that is read is unknown."""
    marks = await load_watermarks(tx.session, EVENT_TABLES.watermark, CONSUMER)
    known = [marks.get(topic) for topic in READ_TOPICS]
    proven = [mark for mark in known if mark is not None]
    return Moment(min(proven), tx.now, settle) if len(proven) == len(known) else None


# what is due


async def _anything_due(connection: Any, clock: StoreClock, moment: Moment) -> bool:
    """A look without the store's lock, which stops its consumers for a moment."""
    return bool(await _due(connection, clock, moment, ()))


async def _due(connection: Any, clock: StoreClock, moment: Moment, settled: Sequence[str]) -> list[Bucket]:
    """The next buckets to be measured, earliest first."""
    due: set[tuple[int, str]] = set()
    for grain in GRAINS:
        due.update((bucket.second, grain) for bucket in await _next(connection, clock, grain, moment.until))
    rows = await connection.fetch(_TOUCHED, clock.store, list(GRAINS), moment.now - QUIET, list(settled))
    due.update((second, grain) for grain, second in rows)
    blocked = {(second, grain) for grain, second in await connection.fetch(_BLOCKED, clock.store, list(settled))}
    buckets = (clock.calendar.bucket_at(grain, second) for second, grain in sorted(due - blocked))
    return [bucket for bucket in buckets if bucket.end <= moment.until][:AT_ONCE]


async def _next(connection: Any, clock: StoreClock, grain: str, until: datetime) -> list[Bucket]:
    """Buckets of the running time that are over, after the last one measured."""
    first = clock.calendar.second(grain, clock.start_us)
    last = await connection.fetchval(_LAST_MEASURED, clock.store, grain, first)
    bucket = clock.calendar.bucket_at(grain, first)
    if last is not None:
        bucket = _after(clock.calendar, clock.calendar.bucket_at(grain, last))
    found: list[Bucket] = []
    while bucket.end <= until and len(found) < AT_ONCE:
        found.append(bucket)
        bucket = _after(clock.calendar, bucket)
    return found


def _after(calendar: Calendar, bucket: Bucket) -> Bucket:
    return calendar.bucket(bucket.grain, bucket.end)


# measuring


async def _measure(connection: Any, clock: StoreClock, due: Sequence[Bucket], moment: Moment, tx: Transaction) -> None:
    if not due:
        return
    for grain in GRAINS:
        buckets = [bucket for bucket in due if bucket.grain == grain]
        if not buckets:
            continue
        seconds = [bucket.second for bucket in buckets]
        values = await load_told(connection, clock.store, grain, seconds)
        channels: dict[int, list[tuple[str, str]]] = {}
        for bucket in buckets:
            month = clock.calendar.second("month", bucket.second * 1_000_000)
            if month not in channels:
                channels[month] = await _channels_of_month(connection, clock.store, month)
            seen = channels[month]
            tell(tx, clock, bucket, {**dict.fromkeys(seen, NOTHING), **values.get(bucket.second, {})}, moment)
        await connection.execute(_MARK_MEASURED, clock.store, grain, seconds, tx.now)
        if grain == "hour":
            await connection.execute(_PLAN_WINDOWS, clock.store, seconds)


async def _channels_of_month(connection: Any, store: str, month: int) -> list[tuple[str, str]]:
    """Channels seen in the month in which a bucket begins: one that fell silent is told as zero."""
    return [("channel", row[0]) for row in await connection.fetch(_CHANNELS, store, month)]


NOTHING: Final[Mapping[int, int]] = MappingProxyType({})
Told = dict[tuple[str, str], Vector]
"""(by, value) -> vector, of one bucket."""


async def load_told(connection: Any, store: str, grain: str, seconds: Sequence[int]) -> dict[int, Told]:
    """The figures of these buckets that are told, summed over the shards."""
    found: defaultdict[int, Told] = defaultdict(dict)
    for by, bucket, value, measures in await connection.fetch(_TOLD, store, grain, list(_TOLD_BY), list(seconds)):
        add(found[bucket].setdefault((by, value), {}), decode_vector(measures))
    return found


def add(into: Vector, vector: Mapping[int, int]) -> None:
    """Add a vector to another in place."""
    for number, value in vector.items():
        into[number] = into.get(number, 0) + value


def tell(
    tx: Transaction,
    clock: StoreClock,
    bucket: Bucket,
    values: Mapping[tuple[str, str], Mapping[int, int]],
    moment: Moment,
) -> None:
    """Publish a bucket's measures: of the store, zeros included, and of each channel (or campaign) seen in it."""
    for by, value in sorted({("", ""), *values}):
        event = KpiMeasured(
            store=clock.store,
            bucket=bucket.key,
            start=bucket.start,
            end=bucket.end,
            grain=bucket.grain,  # type: ignore[arg-type]
            dimensions={by: value} if by else {},
            measures=_known_at(bucket.grain, measures_of(values.get((by, value), {}), by, clock.currency))
            | (attributed(values, (by, value), clock.currency) if bucket.grain in GRAINS else {}),
            currency=clock.currency,
            complete=True,
            watermark=moment.watermark,
        )
        tx.emit(event, store=clock.store)


def measures_of(vector: Mapping[int, int], by: str, currency: str) -> dict[str, int]:
    """Every measure that is kept by this dimension, in the store's currency, zeros included."""
    dimensions = (by,) if by else ()
    return {
        measure.name: vector.get(number_of(measure.name, currency if is_money(measure.name) else ""), 0)
        for measure in MEASURES
        if measure.name in NUMBERS and not measure.sampled and measure.keeps(dimensions, hourly=False)
    }


def _known_at(grain: str, measures: dict[str, int]) -> dict[str, int]:
    """Without what is reported by the day, where the bucket is shorter than one, or is an alarm window."""
    if grain in GRAINS[1:]:
        return measures
    return {
        name: value
        for name, value in measures.items()
        if MEASURE[name].every_hour or (grain in GRAINS and MEASURE[name].kept_hourly)
    }


def attributed(
    values: Mapping[tuple[str, str], Mapping[int, int]], key: tuple[str, str], currency: str
) -> dict[str, int]:
    """Orders that ads are credited with: the channel's (campaign's) own; of the store, of channels with spend (D69)."""
    if key[0] not in ("", "channel", "campaign"):
        return {}
    spend = number_of("ad_spend", currency)
    parts = (
        [values.get(key, {})] if key[0] else [v for (by, _), v in values.items() if by == "channel" and v.get(spend)]
    )
    numbers = {m.name: number_of(m.of, currency if is_money(m.of) else "") for m in MEASURES if m.of}
    return {name: sum(part.get(number, 0) for part in parts) for name, number in numbers.items()}


# corrections


class _Line(NamedTuple):
    """A correction as it is stored."""

    store: str
    grain: str
    by: str
    bucket: int
    value: str
    measure: str
    currency: str
    from_value: int
    to_value: int
    causes: list[str]
    cause_count: int


async def tell_corrections(transactions: Transactions) -> int:
    """Publish corrections that have waited 60 s, those of one bucket and dimensions together (D36)."""
    stores = {clock.store: clock for clock in await stores_of(transactions)}
    async with transactions.begin() as tx:
        connection = await driver(tx.session)
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
            return 0
        rows = await connection.fetch(_UNTOLD, tx.now - QUIET)
        groups: defaultdict[tuple[str, str, str, int, str, str], list[_Line]] = defaultdict(list)
        for row in rows:
            line = _Line(*row[1:])
            currency = line.currency or stores[line.store].currency
            groups[line.store, line.grain, line.by, line.bucket, line.value, currency].append(line)
        for (store, *_, currency), lines in groups.items():
            _tell_correction(tx, stores[store], lines, currency)
        await connection.execute("UPDATE kpi.correction SET told = true WHERE id = ANY($1)", [row[0] for row in rows])
    return len(rows)


def _tell_correction(tx: Transaction, clock: StoreClock, lines: Sequence[_Line], currency: str) -> None:
    first = lines[0]
    changes = net_changes(lines)
    if not changes:
        return
    bucket = clock.calendar.bucket_at(first.grain, first.bucket)
    causes = list(dict.fromkeys(cause for line in lines for cause in line.causes))
    dimensions = dict(zip(first.by.split(","), first.value.split(SEPARATOR), strict=True)) if first.by else {}
    event = KpiCorrected(
        bucket=bucket.key,
        start=bucket.start,
        end=bucket.end,
        grain=bucket.grain,  # type: ignore[arg-type]
        dimensions=dimensions,
        measures=tuple(MeasureChange(measure=name, from_value=was, to=now) for name, was, now in changes),
        causes=tuple(causes[:MOST_CAUSES]),
        cause_count=max(len(causes), *_counts(lines)),
        currency=currency,
    )
    tx.emit(event, store=clock.store)


def net_changes(lines: Iterable[_Line]) -> list[tuple[str, int, int]]:
    """(measure, from the first, to the last) of corrections in order; what came back to where it was is left out."""
    spans: dict[str, tuple[int, int]] = {}
    for line in lines:
        spans[line.measure] = (spans.get(line.measure, (line.from_value, 0))[0], line.to_value)
    return [(measure, was, now) for measure, (was, now) in spans.items() if was != now]


def _counts(lines: Iterable[_Line]) -> list[int]:
    """Events that changed each measure."""
    counts: defaultdict[str, int] = defaultdict(int)
    for line in lines:
        counts[line.measure] += line.cause_count
    return list(counts.values())


_STORES: Final = """
SELECT s.store, a.timezone, a.currency, s.us FROM kpi.store_start s JOIN access.stores a USING (store) ORDER BY s.store
"""
_STORES_BEHIND: Final = """
SELECT s.store, a.timezone, a.currency, s.us FROM kpi.store_start s JOIN access.stores a USING (store)
WHERE NOT EXISTS (
 SELECT FROM kpi.bucket b
 WHERE b.store = s.store AND b.grain = 'hour' AND b.bucket > $1 AND b.measured_at IS NOT NULL)
OR EXISTS (
 SELECT FROM kpi.bucket b WHERE b.store = s.store AND b.measured_at IS NULL AND b.touched_at <= $2)
OR EXISTS (
 SELECT FROM kpi.import i WHERE i.store = s.store AND i.ended_at IS NOT NULL AND i.measured_at IS NULL)
ORDER BY s.store
"""
_LAST_MEASURED: Final = """
SELECT max(bucket) FROM kpi.bucket WHERE store = $1 AND grain = $2 AND bucket >= $3 AND measured_at IS NOT NULL
"""
_TOUCHED: Final = """
SELECT grain, bucket FROM kpi.bucket b WHERE store = $1 AND grain = ANY($2) AND measured_at IS NULL
AND (touched_at IS NULL OR touched_at <= $3 OR EXISTS (
 SELECT FROM kpi.import_bucket i
 WHERE i.store = b.store AND i.grain = b.grain AND i.bucket = b.bucket AND i.import_id = ANY($4)))
AND NOT EXISTS (
 SELECT FROM kpi.import_bucket i JOIN kpi.import o USING (store, import_id)
 WHERE i.store = b.store AND i.grain = b.grain AND i.bucket = b.bucket AND o.import_id <> ALL($4))
ORDER BY bucket LIMIT 2000
"""
_BLOCKED: Final = """
SELECT DISTINCT grain, bucket FROM kpi.import_bucket WHERE store = $1 AND import_id <> ALL($2)
"""
_TOLD: Final = """
SELECT by, bucket, value, measures FROM kpi.figure
WHERE store = $1 AND grain = $2 AND by = ANY($3) AND bucket = ANY($4)
"""
_CHANNELS: Final = """
SELECT DISTINCT value FROM kpi.figure WHERE store = $1 AND grain = 'month' AND by = 'channel' AND bucket = $2
"""
_MARK_MEASURED: Final = """
INSERT INTO kpi.bucket AS b (store, grain, bucket, measured_at) SELECT $1, $2, unnest($3::bigint[]), $4
ON CONFLICT (store, grain, bucket) DO UPDATE SET measured_at = excluded.measured_at WHERE b.measured_at IS NULL
"""
_PLAN_WINDOWS: Final = """
INSERT INTO kpi.bucket (store, grain, bucket)
SELECT $1, w, unnest($2::bigint[]) FROM unnest(ARRAY['w1', 'w3', 'w6', 'w12', 'w24']) AS w ON CONFLICT DO NOTHING
"""
_UNTOLD: Final = """
SELECT id, store, grain, by, bucket, value, measure, currency, from_value, to_value, causes, cause_count
FROM kpi.correction WHERE NOT told AND corrected_at <= $1 ORDER BY id LIMIT 5000
"""
