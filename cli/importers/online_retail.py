"""The "Online Retail" file, read for what each line is: sale, return, stock found or written off, bookkeeping (D51).

Pure: rows in, what is to be sent to the front doors out, each record with the natural id that makes a second run change
nothing. Times are the shop's local ones (Europe/London).
"""

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/London")
CURRENCY = "GBP"
ORIGIN = "online-retail"
WAREHOUSE = "main"
COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")
SERVICE_CODES = frozenset({"POST", "DOT", "M", "m", "C2", "D", "S", "B", "BANK_CHARGES", "AMAZONFEE", "CRUK", "PADS"})
SERVICE_PREFIX = "gift_"

LONGEST_TITLE = 200
INVOICE = re.compile(r"[A-Za-z0-9._:-]{1,100}")
CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
CUSTOMER = re.compile(r"[^\x00-\x1f\x7f]{0,128}")
TITLE = re.compile(r"[^\x00-\x1f\x7f]*")
QUANTITY = re.compile(r"-?[0-9]{1,9}")
PRICE = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(:[0-9]{2})?")
"""What the front doors take: a line that one of them would refuse must be told before anything is sent."""

Record = dict[str, Any]


class BadRow(Exception):
    """A line that cannot be read; the message names the row, counted from 1 below the header, and the column."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file."""

    number: int
    invoice: str
    sku: str
    title: str
    quantity: int
    at: datetime
    price_cents: int
    exact_price: Decimal
    customer: str | None

    @property
    def is_goods(self) -> bool:
        return self.sku not in SERVICE_CODES and not self.sku.startswith(SERVICE_PREFIX)


@dataclass(slots=True)
class Plan:
    """What is to be sent, in this order: SKUs, opening stock and found stock, orders and returns, write-offs."""

    skus: list[Record] = field(default_factory=list)
    receipts: list[Record] = field(default_factory=list)
    found: list[Record] = field(default_factory=list)
    orders: list[Record] = field(default_factory=list)
    write_offs: list[Record] = field(default_factory=list)
    summary: "Summary" = field(default_factory=lambda: Summary())


@dataclass(slots=True)
class Summary:
    """What the file holds."""

    lines: int = 0
    orders: int = 0
    order_lines: int = 0
    units: int = 0
    sales_cents: int = 0
    rounding: Decimal = Decimal(0)
    returns_matched: int = 0
    returns_unmatched: int = 0
    found_lines: int = 0
    written_off_lines: int = 0
    gift_lines: int = 0
    bookkeeping_lines: int = 0


# reading


def read_rows(path: Path) -> list[Row]:
    """Every line of the file, gzipped or not, checked in full before anything is sent. Raises BadRow."""
    with _opened(path) as lines:
        reader = csv.reader(lines)
        header = next(reader, [])
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise BadRow(f"header: the column {missing[0]} is missing")
        places = {name: header.index(name) for name in COLUMNS}
        return [_row(number, cells, places) for number, cells in enumerate(reader, 1)]


def _opened(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _row(number: int, cells: Sequence[str], places: Mapping[str, int]) -> Row:
    if len(cells) <= max(places.values()):
        raise BadRow(f"row {number}: {len(cells)} columns, at least {max(places.values()) + 1} are needed")
    value = {name: cells[place].strip() for name, place in places.items()}
    told = _Cells(number, value)
    exact = Decimal(told.read("UnitPrice", PRICE))
    return Row(
        number=number,
        invoice=told.read("InvoiceNo", INVOICE),
        sku=told.read("StockCode", CODE, "_".join(value["StockCode"].split())),
        title=told.read("Description", TITLE, " ".join(value["Description"].split()))[:LONGEST_TITLE],
        quantity=int(told.read("Quantity", QUANTITY)),
        at=told.instant("InvoiceDate"),
        price_cents=int((exact * 100).quantize(Decimal(1), ROUND_HALF_UP)),
        exact_price=exact,
        customer=told.read("CustomerID", CUSTOMER) or None,
    )


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of one line by their columns. Reading one that is not as it must be raises BadRow."""

    number: int
    value: Mapping[str, str]

    def read(self, column: str, form: re.Pattern[str], cleaned: str | None = None) -> str:
        given = self.value[column] if cleaned is None else cleaned
        if form.fullmatch(given) is None:
            raise self._bad(column)
        return given

    def instant(self, column: str) -> datetime:
        try:
            return datetime.fromisoformat(self.read(column, DATE)).replace(tzinfo=ZONE)
        except ValueError:
            raise self._bad(column) from None

    def _bad(self, column: str) -> BadRow:
        value = self.value[column]
        return BadRow(f"row {self.number}, {column}: {f'{value[:80]!r} cannot be read' if value else 'empty'}")


# planning


def plan(rows: Sequence[Row], opening: int | None = None) -> Plan:
    """What these rows are, as records for the front doors. `opening`: units of every SKU; None: what the file needs."""
    made = Plan()
    made.summary.lines = len(rows)
    sales, others = _invoices(rows)
    for invoice, lines in sales.items():
        made.orders.append(_order(invoice, lines))
        _count_sale(lines, made.summary)
    purchases = _Purchases(sales)
    stock_moves = [(line.at, line.number, line.sku, -line.quantity) for ls in sales.values() for line in ls]
    for row in others:
        stock_moves += _other(row, made, purchases)
    goods = {row.sku for row in rows if row.is_goods}
    made.skus = list(_skus(rows))
    made.receipts = _opening(rows, [m for m in stock_moves if m[2] in goods], goods, opening)
    return made


def _invoices(rows: Iterable[Row]) -> tuple[dict[str, list[Row]], list[Row]]:
    """Sold lines by invoice, and every other line, in the order of the file."""
    sales: dict[str, list[Row]] = defaultdict(list)
    others = []
    for row in rows:
        if row.invoice[0] not in "CA" and row.quantity > 0 and row.exact_price > 0:
            sales[row.invoice].append(row)
        else:
            others.append(row)
    return dict(sales), others


def _order(invoice: str, lines: Sequence[Row]) -> Record:
    at = min(line.at for line in lines).isoformat()
    order: Record = {
        "type": "order",
        "order_id": invoice,
        "origin": ORIGIN,
        "currency": CURRENCY,
        "lines": [{"sku": line.sku, "quantity": line.quantity, "unit_price_cents": line.price_cents} for line in lines],
        "placed_at": at,
        "paid_at": at,
        "shipped_at": at,
        "carrier": ORIGIN,
        "tracking_number": invoice,
    }
    customer = next((line.customer for line in lines if line.customer), None)
    return {**order, "customer_id": customer} if customer else order


def _count_sale(lines: Sequence[Row], summary: Summary) -> None:
    summary.orders += 1
    summary.order_lines += len(lines)
    summary.units += sum(line.quantity for line in lines)
    summary.sales_cents += sum(line.quantity * line.price_cents for line in lines)
    summary.rounding += sum(line.quantity * (line.exact_price - Decimal(line.price_cents) / 100) for line in lines)


class _Purchases:
    """What each customer bought and has not returned: the latest earlier purchase is the one that a return is of."""

    def __init__(self, sales: Mapping[str, Sequence[Row]]) -> None:
        units: dict[tuple[str, str], dict[str, list[Any]]] = defaultdict(dict)
        for invoice, lines in sales.items():
            at = min(line.at for line in lines)
            customer = next((line.customer for line in lines if line.customer), None)
            for line in lines:
                if customer is not None:
                    bought = units[customer, line.sku].setdefault(invoice, [at, invoice, 0])
                    bought[2] += line.quantity
        self._bought = {key: sorted(found.values(), key=lambda b: b[0]) for key, found in units.items()}

    def take_back(self, row: Row) -> str | None:
        """The invoice that this return is of, its units counted as returned; None where nothing fits."""
        for bought in reversed(self._bought.get((row.customer or "", row.sku), ())):
            if bought[0] <= row.at and bought[2] >= -row.quantity:
                bought[2] += row.quantity
                return str(bought[1])
        return None


Move = tuple[datetime, int, str, int]


def _other(row: Row, made: Plan, purchases: _Purchases) -> list[Move]:
    """A line that is no sale: sort it in; returns how it moves the stock that the opening must allow for."""
    if row.invoice[0] == "A":
        made.summary.bookkeeping_lines += 1
        return []
    if row.invoice[0] == "C":
        _return(row, made, purchases)
        return []
    if not row.is_goods or row.quantity == 0:
        made.summary.bookkeeping_lines += 1
        return []
    if row.quantity < 0:
        made.summary.written_off_lines += 1
        made.write_offs.append(_adjustment(row, row.quantity, "write_off"))
        return [(row.at, row.number, row.sku, row.quantity)]
    if row.customer is not None:
        made.summary.gift_lines += 1
        made.write_offs.append(_adjustment(row, -row.quantity, "correction"))
        return [(row.at, row.number, row.sku, -row.quantity)]
    made.summary.found_lines += 1
    made.found.append(_adjustment(row, row.quantity, "found"))
    return [(row.at, row.number, row.sku, row.quantity)]


def _return(row: Row, made: Plan, purchases: _Purchases) -> None:
    """A cancelled line: a return of the purchase that it fits, else units and money that came back unmatched."""
    name = f"{row.invoice}-{row.number}"
    amount = -row.quantity * row.price_cents
    money = {"refund_id": name, "amount_cents": amount, "items_cents": amount} if amount > 0 else None
    invoice = purchases.take_back(row)
    if invoice is None:
        made.summary.returns_unmatched += 1
        if row.is_goods:
            made.found.append(_adjustment(row, -row.quantity, "unmatched_return"))
    else:
        made.summary.returns_matched += 1
    if invoice is not None and row.is_goods:
        made.orders.append(
            {
                "type": "return",
                "return_id": name,
                "order_id": invoice,
                "at": row.at.isoformat(),
                "lines": [{"sku": row.sku, "quantity": -row.quantity}],
                "reason": f"cancelled by {row.invoice}",
                "condition": "resellable",
                **({"refund": money} if money else {}),
            }
        )
    elif money is not None:
        refund = {"type": "refund", "order_id": invoice or row.invoice, "at": row.at.isoformat(), "currency": CURRENCY}
        made.orders.append({**refund, **money, "reason": f"cancelled by {row.invoice}"})


def _adjustment(row: Row, quantity: int, reason: str) -> Record:
    return {
        "adjustment_id": f"{row.invoice}-{row.number}",
        "sku": row.sku,
        "warehouse": WAREHOUSE,
        "quantity": quantity,
        "reason": reason,
        "occurred_at": row.at.isoformat(),
    }


def _skus(rows: Iterable[Row]) -> Iterator[Record]:
    """Every code once, with its first title and price."""
    first: dict[str, Row] = {}
    titles: dict[str, str] = {}
    prices: dict[str, int] = {}
    for row in rows:
        first.setdefault(row.sku, row)
        if row.title:
            titles.setdefault(row.sku, row.title)
        if row.price_cents > 0:
            prices.setdefault(row.sku, row.price_cents)
    for sku, row in first.items():
        yield {
            "sku": sku,
            "kind": "goods" if row.is_goods else "service",
            "title": titles.get(sku, sku),
            "price_cents": prices.get(sku, 0),
            "occurred_at": row.at.isoformat(),
        }


def _opening(rows: Iterable[Row], moves: Iterable[Move], goods: Iterable[str], units: int | None) -> list[Record]:
    """Opening stock at each SKU's first line: `units`, or what the file needs at its worst moment (D58).

    Returns are not counted on: they may be applied a moment after the sales that follow them.
    """
    balance: dict[str, int] = defaultdict(int)
    worst: dict[str, int] = defaultdict(int)
    for _, _, sku, quantity in sorted(moves):
        balance[sku] += quantity
        worst[sku] = min(worst[sku], balance[sku])
    first: dict[str, datetime] = {}
    for row in rows:
        if row.sku not in first or row.at < first[row.sku]:
            first[row.sku] = row.at
    return [
        {
            "receipt_id": f"opening-{sku}",
            "sku": sku,
            "warehouse": WAREHOUSE,
            "quantity": needed,
            "occurred_at": first[sku].isoformat(),
        }
        for sku in sorted(goods)
        if (needed := -worst[sku] if units is None else units) > 0
    ]
