"""Alarm windows w1, w3, w6, w12, w24: the hours up to a full hour, with their own distinct counts (D38, D77).

A window is measured once, after its last hour was, for the store, each channel, campaign, device and larger source (w24
for SKUs too), and is not corrected.
Visits belong to the channel of the visitor's first touch inside the window.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from libs.events.locks import lock_number
from libs.events.transaction import Transaction, Transactions
from services.kpi.calendar import WINDOWS, Calendar, Slot
from services.kpi.engine import Shop
from services.kpi.entities.visitor import CHECKOUT, Day, counted, visit_profile, visit_vector, window_contribution
from services.kpi.figures import NUMBERS, expand
from services.kpi.handlers import load_shops
from services.kpi.kpis import MEASURES
from services.kpi.measuring import Moment, StoreClock, Told, add, load_moment, stores_of, tell
from services.kpi.rows import driver
from services.kpi.states import decode_day, decode_members, decode_order, decode_vector

AT_ONCE: Final = 48
"""Last hours whose windows are measured in one transaction."""
_TOLD_BY: Final = ("", "channel", "campaign", "device", "source")
SOURCE_VISITORS: Final = 50
"""Sources are told from so many visitors in a window on: they are evidence for what a channel did."""
SKU_HOURS: Final = 24
"""The one window that is told by SKU (D38) ..."""
SKU_VISITORS: Final = 200
"""... of those that had at least so many visitors in it: no alarm is raised on fewer."""
_ADDITIVE: Final = frozenset(
    NUMBERS[measure.name]
    for measure in MEASURES
    if measure.name in NUMBERS and measure.adds_up and "traffic" not in measure.topics
)
"""Measures that windows add up from their hours."""
_NAMES: Final = [f"w{count}" for count in WINDOWS]
_STEP: Final = 1 << 10
_LOCK: Final = lock_number("kpi.windows")

Hours = Mapping[int, Told]
"""Hour (second at which it starts) -> what is told of it."""


async def measure_windows(transactions: Transactions) -> int:
    """Measure the windows whose last hour has been measured; how many hours were taken."""
    taken = 0
    async with transactions.begin(read_only=True) as tx:
        waiting = {row[0] for row in await (await driver(tx.session)).fetch(_STORES_WAITING, _NAMES)}
    for clock in [clock for clock in await stores_of(transactions) if clock.store in waiting] if waiting else ():
        while count := await _measure_some(transactions, clock):
            taken += count
    return taken


async def _measure_some(transactions: Transactions, clock: StoreClock) -> int:
    async with transactions.begin() as tx:
        connection = await driver(tx.session)
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
            return 0
        moment = await load_moment(tx)
        lasts = [row[0] for row in await connection.fetch(_PENDING, clock.store, _NAMES, AT_ONCE)]
        if not lasts or moment is None:
            return 0
        await _measure(connection, clock, lasts, moment, tx)
        await connection.execute(_MARK, clock.store, _NAMES, lasts, tx.now)
        return len(lasts)


async def _measure(connection: Any, clock: StoreClock, lasts: Sequence[int], moment: Moment, tx: Transaction) -> None:
    """`lasts`: the seconds at which the last hours of the windows start, in order."""
    calendar = clock.calendar
    reach = calendar.last_hours(_end(calendar, lasts[0]), max(WINDOWS))
    first = calendar.hours(reach[-1][0])[reach[-1][1]]
    hours = await _hours(connection, clock.store, first, lasts[-1])
    buyers = await _buyers(connection, clock.store, first, lasts[-1])
    shop = (await load_shops(connection, [clock.store]))[clock.store]
    months = {calendar.second("month", last * 1_000_000) for last in lasts}
    channels = {month: await _channels(connection, clock.store, month) for month in months}
    windows = {(last, count): calendar.last_hours(_end(calendar, last), count) for last in lasts for count in WINDOWS}
    visits = await _visits(connection, clock.store, shop, windows)
    for (last, count), slots in windows.items():
        told: Told = visits[last, count]
        seconds = [calendar.hours(day)[hour] for day, hour in slots]
        for second in seconds:
            for key, vector in hours.get(second, {}).items():
                add(told.setdefault(key, {}), vector)
        _add_buyers(told, [buyers[second] for second in seconds if second in buyers])
        await _settle_skus(connection, clock.store, told, seconds)
        _settle_sources(told)
        for channel in channels[clock.calendar.second("month", last * 1_000_000)]:
            told.setdefault(("channel", channel), {})
        tell(tx, clock, calendar.window(count, _end(calendar, last)), told, moment)


async def _channels(connection: Any, store: str, month: int) -> list[str]:
    """Channels seen in the month: one that fell silent is told as zero."""
    return [row[0] for row in await connection.fetch(_CHANNELS, store, month)]


def _settle_sources(told: Told) -> None:
    """Keep the sources that were seen enough."""
    for key in [key for key in told if key[0] == "source" and told[key].get(NUMBERS["uv"], 0) < SOURCE_VISITORS]:
        del told[key]


def _end(calendar: Calendar, last: int) -> int:
    return int(calendar.bucket_at("hour", last).end.timestamp())


async def _hours(connection: Any, store: str, first: int, last: int) -> Hours:
    """Additive measures of orders, by hour."""
    found: defaultdict[int, Told] = defaultdict(dict)
    for by, bucket, value, measures in await connection.fetch(_HOURS, store, list(_TOLD_BY), first, last):
        vector = {n: v for n, v in decode_vector(measures).items() if n % _STEP in _ADDITIVE}
        if vector:
            add(found[bucket].setdefault((by, value), {}), vector)
    return found


Buyers = dict[tuple[str, str], dict[str, tuple[int, int]]]
"""(by, value) -> customer -> (paid orders, those with traffic here), of one hour."""


async def _buyers(connection: Any, store: str, first: int, last: int) -> dict[int, Buyers]:
    found: defaultdict[int, Buyers] = defaultdict(lambda: defaultdict(dict))
    for bucket, customer, state in await connection.fetch(_BUYERS, store, first, last):
        for cell, counts in decode_members(state).items():
            by, value, *_ = cell.split("\n")
            if by in _TOLD_BY:
                found[bucket][by, value][customer] = counts
    return found


def _add_buyers(told: Told, hours: Sequence[Buyers]) -> None:
    """Distinct customers over the hours of a window."""
    everybody: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    here: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for hour in hours:
        for key, customers in hour.items():
            everybody[key].update(customers)
            here[key].update(customer for customer, counts in customers.items() if counts[1] > 0)
    for key, found in everybody.items():
        add(told.setdefault(key, {}), {NUMBERS["buyers_paid"]: len(found), NUMBERS["buyers_paid_here"]: len(here[key])})


# visits

Windows = Mapping[tuple[int, int], Sequence[Slot]]
"""(last hour, count) -> the hours of the window."""


async def _visits(connection: Any, store: str, shop: Shop, windows: Windows) -> dict[tuple[int, int], Told]:
    """What the visitors add to each window; only those seen in its hours are looked at."""
    told: dict[tuple[int, int], Told] = {key: {} for key in windows}
    slots = {key: _by_day(hours) for key, hours in windows.items()}
    by_slot: defaultdict[Slot, set[tuple[int, int]]] = defaultdict(set)
    for key, hours in windows.items():
        for slot in hours:
            by_slot[slot].add(key)
    first, last = min(day for day, _ in by_slot), max(day for day, _ in by_slot)
    visitors = await _visitors(connection, store, first - 1, last + 1)
    placed = await _placed(connection, store, shop, first - 1, last + 1) if visitors else {}
    for visitor, days in visitors.items():
        met = {key for day, state in days.items() for hour in state.hours for key in by_slot.get((day, hour.hour), ())}
        for key in met:
            _add_visit(told[key], days, slots[key], placed.get(visitor, ()), shop.calendar)
            if key[1] == SKU_HOURS:
                _add_skus(told[key], days, slots[key])
    return told


def _by_day(hours: Sequence[Slot]) -> dict[int, set[int]]:
    found: defaultdict[int, set[int]] = defaultdict(set)
    for day, hour in hours:
        found[day].add(hour)
    return found


def _add_visit(
    told: Told, days: Mapping[int, Day], slots: Mapping[int, set[int]], placed: Sequence[int], calendar: Calendar
) -> None:
    counted = window_contribution(days, slots, placed, calendar)
    if counted is None:
        return
    touch, vector = counted
    for by, value in expand(visit_profile(touch)):
        if by in _TOLD_BY:
            add(told.setdefault((by, value), {}), vector)


def _add_skus(told: Told, days: Mapping[int, Day], slots: Mapping[int, set[int]]) -> None:
    """What one visitor did with each SKU in the hours of a window."""
    sums: dict[str, tuple[int, int, int, int]] = {}
    for day, hours in slots.items():
        for sku in days[day].skus if day in days else ():
            if sku.hour in hours:
                views, carts, favorites, flags = sums.get(sku.sku, (0, 0, 0, 0))
                sums[sku.sku] = (views + sku.views, carts + sku.carts, favorites + sku.favorites, flags | sku.flags)
    for name, (views, carts, favorites, flags) in sums.items():
        add(told.setdefault(("sku", name), {}), visit_vector(views, carts, favorites, flags & ~CHECKOUT))


async def _settle_skus(connection: Any, store: str, told: Told, seconds: Sequence[int]) -> None:
    """Keep the SKUs that were seen enough, with their orders."""
    for key in [key for key, vector in told.items() if key[0] == "sku" and vector[NUMBERS["uv"]] < SKU_VISITORS]:
        del told[key]
    skus = [value for by, value in told if by == "sku"]
    for sku, measures in await connection.fetch(_SKU_ORDERS, store, skus, list(seconds)) if skus else ():
        add(told["sku", sku], {n: v for n, v in decode_vector(measures).items() if n % _STEP in _ADDITIVE})


async def _visitors(connection: Any, store: str, first: int, last: int) -> dict[str, dict[int, Day]]:
    found: defaultdict[str, dict[int, Day]] = defaultdict(dict)
    for visitor, day, state in await connection.fetch(_VISITORS, store, first, last):
        found[visitor][day] = counted(decode_day(state))
    return found


async def _placed(connection: Any, store: str, shop: Shop, first: int, last: int) -> dict[str, list[int]]:
    """visitor -> instants at which he placed orders that count for conversion."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    start, end = shop.calendar.day_start(first) * 1_000_000, shop.calendar.day_start(last + 1) * 1_000_000
    for visitor, us, state in await connection.fetch(_PLACED, store, start, end):
        if shop.has_traffic_of(decode_order(state).origin, us):
            found[visitor].append(us)
    return found


_STORES_WAITING: Final = "SELECT DISTINCT store FROM kpi.bucket WHERE measured_at IS NULL AND grain = ANY($1)"
_PENDING: Final = """
SELECT DISTINCT bucket FROM kpi.bucket WHERE store = $1 AND grain = ANY($2) AND measured_at IS NULL
ORDER BY bucket LIMIT $3
"""
_MARK: Final = """
UPDATE kpi.bucket SET measured_at = $4 WHERE store = $1 AND grain = ANY($2) AND bucket = ANY($3)
"""
_HOURS: Final = """
SELECT by, bucket, value, measures FROM kpi.figure
WHERE store = $1 AND grain = 'hour' AND by = ANY($2) AND bucket BETWEEN $3 AND $4
"""
_CHANNELS: Final = """
SELECT DISTINCT value FROM kpi.figure WHERE store = $1 AND grain = 'month' AND by = 'channel' AND bucket = $2
"""
_SKU_ORDERS: Final = """
SELECT value, measures FROM kpi.figure
WHERE store = $1 AND grain = 'hour' AND by = 'sku' AND value = ANY($2) AND bucket = ANY($3)
"""
_BUYERS: Final = """
SELECT bucket, customer, state FROM kpi.buyer WHERE store = $1 AND grain = 'hour' AND bucket BETWEEN $2 AND $3
"""
_VISITORS: Final = "SELECT visitor, day, state FROM kpi.visitor_day WHERE store = $1 AND day BETWEEN $2 AND $3"
_PLACED: Final = """
SELECT visitor, placed_us, state FROM kpi.orders
WHERE store = $1 AND visitor IS NOT NULL AND placed_us >= $2 AND placed_us < $3
"""
