"""Measures that no bucket keeps, worked out when they are asked for: stock values, and how campaigns cleared stock.

Stock on hand is known to the hour (the last level of each); a unit is worth what it cost at that moment.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from libs.events.transaction import Transaction
from libs.service.errors import Validation, fault
from services.kpi.answers import Value
from services.kpi.calendar import Bucket, Calendar, span_days
from services.kpi.definitions import CAMPAIGN, Definition, list_definitions
from services.kpi.entities.sku import Sku
from services.kpi.marks import HOUR_US
from services.kpi.rows import driver
from services.kpi.states import decode_order, decode_sku

MOST_CAMPAIGNS: Final = 500
CLEARING: Final = frozenset({"campaign_units_sold", "campaign_units_at_start"})
STOCK_VALUE: Final = "stock_value"


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when: the buckets of a store, by `sku`, by `campaign`, or all together."""

    calendar: Calendar
    currency: str
    buckets: Sequence[Bucket]
    by: tuple[str, ...]
    now: datetime


def refuse_past(names: Iterable[str], as_of: datetime | None) -> None:
    """Raises Validation: what is worked out when asked has no history."""
    if as_of is not None and any(names):
        message = f"{', '.join(names)} are worked out when asked and have no past"
        raise Validation(message, errors=[fault("/as_of", "not_kept", message)])


async def count_on_demand(names: Iterable[str], place: Place, tx: Transaction) -> list[Value]:
    """The values of these measures."""
    wanted, found = set(names), []
    if STOCK_VALUE in wanted and place.buckets:
        found += await _stock_values(place, tx)
    if wanted & CLEARING and place.buckets:
        found += await _clearings(place, tx)
    return found


# stock


async def _stock_values(place: Place, tx: Transaction) -> list[Value]:
    """Average over the days of each bucket that have begun of stock x cost at the day's end."""
    connection = await driver(tx.session)
    until = int(place.buckets[-1].end.timestamp()) // 3600
    levels: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for sku, us, on_hand in await connection.fetch(_LEVELS, tx.store, until):
        levels[sku].append((us, on_hand))
    if not levels:
        return []
    rows = await connection.fetch(_SKUS, tx.store, sorted(levels))
    skus = {sku: decode_sku(state) for sku, state in rows}
    values = []
    for bucket in place.buckets:
        ends = _day_ends(bucket, place)
        worth = {sku: _worth(found, skus.get(sku), ends) for sku, found in levels.items()}
        whole: dict[tuple[str, ...], int] = {(): sum(map(sum, worth.values()))}
        parts = {(sku,): sum(of_days) for sku, of_days in worth.items()} if place.by else whole
        for dimensions, total in parts.items():
            average = (2 * total + len(ends)) // (2 * len(ends))
            values.append(Value(bucket.second, dimensions, STOCK_VALUE, place.currency, average))
    return values


def _day_ends(bucket: Bucket, place: Place) -> list[int]:
    """The last moments of the bucket's days that have begun; of today, now."""
    now = int(place.now.timestamp() * 1_000_000)
    day, after = span_days(bucket.grain, place.calendar.slot(bucket.second * 1_000_000)[0])
    days = [n for n in range(day, after) if place.calendar.day_start(n) * 1_000_000 <= now]
    return [min(now, place.calendar.day_start(n + 1) * 1_000_000 - 1) for n in days] or [now]


def _worth(levels: Sequence[tuple[int, int]], sku: Sku | None, moments: Iterable[int]) -> list[int]:
    return [_on_hand(levels, us) * ((sku.cost_at(us) if sku else None) or 0) for us in moments]


def _on_hand(levels: Sequence[tuple[int, int]], us: int) -> int:
    place = bisect_right(levels, us, key=lambda level: level[0])
    return levels[place - 1][1] if place else 0


# campaigns


@dataclass(frozen=True, slots=True)
class Clearing:
    """What a campaign sold of its SKUs, and what there was at its start."""

    sold: int
    at_start: int


async def clearing_of(campaign: Definition, tx: Transaction) -> Clearing:
    """Units of the campaign's SKUs paid while it lasts, and their sellable units at its start (KPI-9)."""
    skus = sorted({line["sku"] for line in campaign.body.get("skus", ())})
    start, end = (int(datetime.fromisoformat(campaign.body[name]).timestamp() * 1e6) for name in _ENDS)
    if not skus:
        return Clearing(0, 0)
    connection = await driver(tx.session)
    wanted, sold = set(skus), 0
    for (state,) in await connection.fetch(_PAID, tx.store, start, end, skus):
        order = decode_order(state)
        sold += sum(line.quantity for line in (order.paid.lines if order.paid else ()) if line.sku in wanted)
    rows = await connection.fetch(_AT, tx.store, skus, start // HOUR_US, start)
    return Clearing(sold, sum(row[1] for row in rows))


async def _clearings(place: Place, tx: Transaction) -> list[Value]:
    found: list[Value] = []
    for campaign in await list_definitions(CAMPAIGN, tx.store, "", MOST_CAMPAIGNS, tx.session):
        starts = datetime.fromisoformat(campaign.body["starts_at"])
        bucket = next((b for b in place.buckets if b.start <= starts < b.end), None)
        if bucket is None:
            continue
        cleared = await clearing_of(campaign, tx)
        dimensions = (campaign.id,) if place.by else ()
        for name, value in (("campaign_units_sold", cleared.sold), ("campaign_units_at_start", cleared.at_start)):
            found.append(Value(bucket.second, dimensions, name, "", value))
    return found


_ENDS: Final = ("starts_at", "ends_at")
_LEVELS: Final = "SELECT sku, us, on_hand FROM kpi.stock_level WHERE store = $1 AND hour <= $2 ORDER BY sku, us"
_SKUS: Final = "SELECT sku, state FROM kpi.sku WHERE store = $1 AND sku = ANY($2)"
_PAID: Final = """
SELECT state FROM kpi.orders WHERE store = $1 AND paid_us >= $2 AND paid_us < $3 AND skus && $4::text[]
"""
_AT: Final = """
SELECT DISTINCT ON (sku) sku, on_hand FROM kpi.stock_level
WHERE store = $1 AND sku = ANY($2) AND hour <= $3 AND us <= $4 ORDER BY sku, hour DESC
"""
