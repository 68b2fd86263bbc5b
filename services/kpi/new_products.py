"""New products (KPI-7): of those who saw a product's page in its first 3 days, how many favourited it or took it along.

From a threshold on it is a potential hit: 8 %, or what a target for `new_product_interest` of its category says.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from libs.events.transaction import Transaction
from libs.service.errors import Validation, fault
from services.kpi.answers import half_up
from services.kpi.asking import Days
from services.kpi.calendar import Calendar
from services.kpi.definitions import TARGET, list_definitions
from services.kpi.entities.visitor import CART, FAVORITE, PRODUCT, counted
from services.kpi.rows import driver
from services.kpi.states import decode_day, decode_sku

FIRST_DAYS: Final = 3
"""The day of the listing and those after it."""
THRESHOLD: Final = 0.08
METRIC: Final = "new_product_interest"
MOST_DAYS: Final = 92


@dataclass(slots=True)
class NewProduct:
    """A SKU that was listed for the first time in the range."""

    sku: str
    category: str | None
    listed_us: int
    first_day: int
    saw: set[str] = field(default_factory=set)
    wanted: set[str] = field(default_factory=set)


def check_length(days: Days) -> None:
    """Raises Validation for too many days: every visit of them is looked at."""
    if (days.last - days.first).days >= MOST_DAYS:
        raise Validation("too long", errors=[fault("/from", "range", f"at most {MOST_DAYS} days")])


async def read_new_products(days: Days, calendar: Calendar, now: datetime, tx: Transaction) -> list[dict[str, Any]]:
    """Every SKU first listed on these days, the latest first."""
    products = await _listed(days, calendar, tx)
    if products:
        await _see_visitors(products, tx)
    thresholds = await _thresholds(now.date(), tx)
    today = calendar.slot(int(now.timestamp() * 1_000_000))[0]
    ordered = sorted(products.values(), key=lambda product: (-product.listed_us, product.sku))
    return [_shown(product, thresholds, calendar, today) for product in ordered]


async def _listed(days: Days, calendar: Calendar, tx: Transaction) -> dict[str, NewProduct]:
    first = calendar.day_start(days.first.toordinal()) * 1_000_000
    after = calendar.day_start(days.last.toordinal() + 1) * 1_000_000
    found: dict[str, NewProduct] = {}
    for sku, state in await (await driver(tx.session)).fetch(_SKUS, tx.store):
        listed_us = (known := decode_sku(state)).listed_us
        if listed_us is not None and first <= listed_us < after:
            category = known.category_at(listed_us)
            found[sku] = NewProduct(sku, category, listed_us, calendar.slot(listed_us)[0])
    return found


async def _see_visitors(products: dict[str, NewProduct], tx: Transaction) -> None:
    first = min(product.first_day for product in products.values())
    last = max(product.first_day for product in products.values()) + FIRST_DAYS - 1
    async for visitor, day, state in (await driver(tx.session)).cursor(_DAYS, tx.store, first, last):
        for seen in counted(decode_day(state)).skus:
            product = products.get(seen.sku)
            if product is None or not 0 <= day - product.first_day < FIRST_DAYS:
                continue
            if seen.flags & PRODUCT:
                product.saw.add(visitor)
            if seen.flags & (CART | FAVORITE):
                product.wanted.add(visitor)


async def _thresholds(today: date, tx: Transaction) -> dict[str, float]:
    """category -> threshold, of the targets that hold today."""
    found: defaultdict[str, float] = defaultdict(lambda: THRESHOLD)
    for target in await list_definitions(TARGET, tx.store, "", 1_000, tx.session):
        body = target.body
        if body["metric"] == METRIC and body["starts_on"] <= today.isoformat() <= body["ends_on"]:
            found[body["dimension"].get("category", "")] = float(body["value"])
    if "" in found:
        whole = found[""]
        found.default_factory = lambda: whole
    return found


def _shown(product: NewProduct, thresholds: dict[str, float], calendar: Calendar, today: int) -> dict[str, Any]:
    threshold = thresholds[product.category or ""]
    interest = half_up(len(product.wanted), len(product.saw))
    return {
        "sku": product.sku,
        "category": product.category,
        "listed_at": calendar.local(product.listed_us // 1_000_000),
        "visitors": len(product.saw),
        "interested": len(product.wanted),
        "interest": interest,
        "threshold": threshold,
        "potential_hit": None if interest is None else interest >= threshold,
        "mature": today >= product.first_day + FIRST_DAYS,
    }


_SKUS: Final = "SELECT sku, state FROM kpi.sku WHERE store = $1"
_DAYS: Final = "SELECT visitor, day, state FROM kpi.visitor_day WHERE store = $1 AND day BETWEEN $2 AND $3"
