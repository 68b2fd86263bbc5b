"""How an experiment stands (KPI-8): per variant who saw it and who converted, and what that proves.

A visitor counts for the first variant he saw; he converted when an order of his was placed (paid, for
`conversion.buyer_uv`; a cart begun, for `cart_rate`) from then on, while the experiment ran.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from libs.events.transaction import Transaction
from services.kpi.calendar import Calendar
from services.kpi.definitions import Definition
from services.kpi.engine import Shop
from services.kpi.entities.visitor import CART, counted
from services.kpi.handlers import load_shops
from services.kpi.rows import driver
from services.kpi.states import decode_day, decode_order
from services.kpi.statistics import MISMATCH, Sample, newcombe, split_test, z_test

MATURES: Final = timedelta(days=3)
"""How long an experiment runs before it is compared (KPI-8)."""
_FOR_EVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Run:
    """An experiment as it was defined, in microseconds."""

    id: str
    variants: tuple[str, ...]
    metric: str
    from_us: int
    to_us: int

    @classmethod
    def of(cls, definition: Definition) -> "Run":
        body = definition.body
        ends = body.get("ends_at")
        to_us = _us(ends) if ends else _FOR_EVER
        return cls(definition.id, tuple(body["variants"]), body["metric"], _us(body["starts_at"]), to_us)

    @property
    def is_kept(self) -> bool:
        """Whether who converted by its metric can be told."""
        return self.metric.startswith("conversion") or self.metric == "cart_rate"


def _us(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1_000_000)


async def read_experiment(definition: Definition, now: datetime, tx: Transaction) -> dict[str, Any]:
    """Its figures as answered."""
    run = Run.of(definition)
    connection = await driver(tx.session)
    seen = dict(await connection.fetch(_SEEN, tx.store, run.id, run.from_us, run.to_us))
    shop = (await load_shops(connection, [tx.store]))[tx.store]
    converted = await _converted(connection, run, shop, tx.store) if run.is_kept else {}
    samples = [Sample(seen.get(name, 0), len(converted.get(name, ()))) for name in run.variants]
    mature = now >= datetime.fromisoformat(definition.body["starts_at"]) + MATURES
    return {**_shown(run, samples), "mature": mature}


async def _converted(connection: Any, run: Run, shop: Shop, store: str) -> dict[str, set[str]]:
    """variant -> visitors who converted."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    if run.metric == "cart_rate":
        await _who_began_a_cart(connection, run, shop.calendar, store, found)
        return found
    paid = run.metric == "conversion.buyer_uv"
    rows = await connection.fetch(_BOUGHT, store, run.id, run.from_us, run.to_us)
    for variant, visitor, seen_us, state in rows:
        order = decode_order(state)
        us = order.paid_us if paid else order.placed_us
        if us is not None and seen_us <= us < run.to_us and shop.has_traffic_of(order.origin, order.came_us or us):
            found[variant].add(visitor)
    return found


async def _who_began_a_cart(
    connection: Any, run: Run, calendar: Calendar, store: str, found: defaultdict[str, set[str]]
) -> None:
    """Carts are known to the hour: those of the hour in which he saw the variant count."""
    first = calendar.slot(run.from_us)[0]
    last = calendar.slot(run.to_us)[0] if run.to_us < _FOR_EVER else 1 << 30
    async for variant, visitor, seen_us, day, state in connection.cursor(
        _CARTS, store, run.id, run.from_us, run.to_us, first, last
    ):
        slot = calendar.slot(seen_us)
        if any(hour.flags & CART and (day, hour.hour) >= slot for hour in counted(decode_day(state)).hours):
            found[variant].add(visitor)


def _shown(run: Run, samples: list[Sample]) -> dict[str, Any]:
    visitors = [sample.visitors for sample in samples]
    split = split_test(visitors)
    figures: dict[str, Any] = {
        "variants": [_variant(run, name, sample) for name, sample in zip(run.variants, samples, strict=True)],
        "difference": None,
        "interval": None,
        "p_value": None,
        "split_p_value": None if split is None else round(split, 6),
        "warnings": ["sample_ratio_mismatch"] if split is not None and split < MISMATCH else [],
    }
    if not run.is_kept:
        return {**figures, "not_kept": [f"who converted by {run.metric}"]}
    one, other = samples[:2]
    if one.visitors and other.visitors:
        p_value = z_test(one, other)
        figures["difference"] = round(other.rate - one.rate, 6)
        figures["interval"] = [round(bound, 6) for bound in newcombe(one, other)]
        figures["p_value"] = None if p_value is None else round(p_value, 6)
    return figures


def _variant(run: Run, name: str, sample: Sample) -> dict[str, Any]:
    converted = sample.converted if run.is_kept else None
    rate = round(sample.rate, 6) if sample.visitors and run.is_kept else None
    return {"variant": name, "visitors": sample.visitors, "converted": converted, "rate": rate}


_SEEN: Final = """
SELECT variant, count(*) FROM kpi.assignment WHERE store = $1 AND experiment = $2 AND us >= $3 AND us < $4
GROUP BY variant
"""
_BOUGHT: Final = """
SELECT a.variant, a.visitor, a.us, o.state FROM kpi.assignment a
JOIN kpi.orders o ON o.store = a.store AND o.visitor = a.visitor
WHERE a.store = $1 AND a.experiment = $2 AND a.us >= $3 AND a.us < $4
AND greatest(o.placed_us, o.paid_us) >= a.us
"""
_CARTS: Final = """
SELECT a.variant, a.visitor, a.us, v.day, v.state FROM kpi.assignment a
JOIN kpi.visitor_day v ON v.store = a.store AND v.visitor = a.visitor AND v.day BETWEEN $5 AND $6
WHERE a.store = $1 AND a.experiment = $2 AND a.us >= $3 AND a.us < $4
"""
