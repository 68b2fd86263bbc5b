"""A small shop's few days: a file like "Online Retail", some storefront orders and visits, and what all must come to.

The figures that are expected are counted from the file's own rows, by nothing of the platform or its importer.
"""

import csv
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.support.storefront import PRICE, Json

LONDON = ZoneInfo("Europe/London")
HEADER = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
SKUS = tuple(f"8{n:04d}" for n in range(10))
ORDERS = 40
DAYS = tuple(datetime(2011, 3, day, tzinfo=LONDON) for day in (1, 2, 3))
SHOP_SKU = "HOUSE-1"
LOW_SKU = "HOUSE-LOW"
STOREFRONT = 6
VISITORS = 8

Row = tuple[str, str, str, int, str, str, str, str]


@dataclass(slots=True)
class Expected:
    """Figures by store day, and units that are left of each SKU of the file after an opening of `opening`."""

    orders: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    cents: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    units: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    visitors: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    moved: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def day(self, day: str) -> dict[str, int]:
        """By the ids of the KPI API."""
        return {
            "orders_placed": self.orders[day],
            "gmv": self.cents[day],
            "units_paid": self.units[day],
            "uv": self.visitors[day],
            "pv": 2 * self.visitors[day],
        }


def rows_of(seed: int) -> list[Row]:
    """Every kind of line that the real file has."""
    rng = random.Random(seed)
    rows: list[Row] = []
    bought: list[Row] = []
    for n in range(ORDERS):
        at = DAYS[n * len(DAYS) // ORDERS] + timedelta(hours=8, minutes=n)
        customer = str(17_000 + rng.randrange(12)) if rng.random() < 0.8 else ""
        lines = [_line(f"{536_000 + n}", rng.choice(SKUS), rng.randint(1, 6), at, customer, rng) for _ in range(3)]
        rows += lines
        bought += [line for line in lines if customer]
        if n % 10 == 3:
            rows.append((f"{536_000 + n}", "POST", "POSTAGE", 1, f"{at:%Y-%m-%d %H:%M:%S}", "15.00", customer, "UK"))
        if n % 12 == 5:
            invoice, sku, title, quantity, _, price, buyer, country = bought[-1]
            later = at + timedelta(minutes=30)
            rows.append((f"C{invoice}", sku, title, -quantity, f"{later:%Y-%m-%d %H:%M:%S}", price, buyer, country))
    late = f"{DAYS[-1] + timedelta(hours=20):%Y-%m-%d %H:%M:%S}"
    rows.append(("C539999", SKUS[0], "NEVER SOLD", -2, late, "2.50", "99999", "UK"))
    rows.append(("540001", SKUS[1], "damages", -3, late, "0.0", "", "UK"))
    rows.append(("540002", SKUS[2], "found", 4, late, "0.0", "", "UK"))
    rows.append(("A540003", "B", "Adjust bad debt", 1, late, "-11062.06", "", "UK"))
    return rows


def _line(invoice: str, sku: str, quantity: int, at: datetime, customer: str, rng: random.Random) -> Row:
    price = f"{rng.randint(29, 1_295) / 100:.2f}"
    return invoice, sku, f"THING {sku}", quantity, f"{at:%Y-%m-%d %H:%M:%S}", price, customer, "United Kingdom"


def write_csv(path: Path, rows: Iterable[Sequence[object]], header: Sequence[str] = HEADER) -> Path:
    """As the real file is written."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return path


def expected_of(rows: Iterable[Row]) -> Expected:
    """Counted line by line: what is sold has a quantity and a price over zero and an invoice without a letter."""
    expected = Expected()
    invoices: dict[str, str] = {}
    for invoice, sku, _, quantity, at, price, _, _ in rows:
        day = at[:10]
        if invoice[0].isdigit() and quantity > 0 and float(price) > 0:
            if invoice not in invoices:
                invoices[invoice] = day
                expected.orders[day] += 1
            expected.cents[invoices[invoice]] += quantity * round(float(price) * 100)
            expected.units[invoices[invoice]] += quantity
            expected.moved[sku] -= quantity
        elif sku in SKUS:
            expected.moved[sku] += quantity if invoice[0].isdigit() else -quantity
    return expected


def with_storefront(expected: Expected) -> Expected:
    """The same with what `orders_of` and `visits` add, all on the second day."""
    day = f"{DAYS[1]:%Y-%m-%d}"
    expected.orders[day] += STOREFRONT
    expected.cents[day] += STOREFRONT * 2 * PRICE
    expected.units[day] += (STOREFRONT - 1) * 2
    expected.visitors[day] += VISITORS
    return expected


def noon(minute: int) -> datetime:
    """A moment of the second day."""
    return DAYS[1] + timedelta(hours=12, minutes=minute)


def visits(store: str) -> Iterator[Json]:
    """Two pages of every visitor."""
    for n in range(VISITORS):
        for m in range(2):
            yield {
                "id": f"{store}-{n}-{m}", "type": "page.viewed", "time": noon(n + m).isoformat(),
                "visitor_id": f"v-{n}", "channel": "paid" if n % 3 else "natural_search", "url_path": "/",
                "page_kind": "home",
            }  # fmt: skip
