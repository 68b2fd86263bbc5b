"""Records of a file, gathered into what it tells of each order; what is wrong is told by row and column."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from libs.events.contracts.base import MAX_LINES
from libs.service.errors import Problem, Validation
from services.orders.bodies import units_of
from services.orders.domain import money
from services.orders.domain.imports import GoodsBack, MoneyBack, Parcel, Sale
from services.orders.domain.state import STOREFRONT, Line, Order, Refund, Units
from services.orders.records import OrderRecord, Read, RefundRecord, ReturnRecord, RowRecord

FUTURE = timedelta(minutes=5)
REPEATED = ("placed_at", "paid_at", "customer_id", "currency", "origin", "method")
"""What every row of an order says again, and must say alike."""

Error = Mapping[str, Any]
Fault = tuple[str, str, str]
"""Column, code, message."""


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that the file tells, and in which row it begins."""

    row: int
    order_id: str
    what: Sale | GoodsBack | MoneyBack


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the file need not say."""

    now: datetime
    currency: str
    pseudonym: Callable[[str], str]


@dataclass(slots=True)
class Gathered:
    """The whole file: what it tells, in its order, and what is wrong with it."""

    rows: int = 0
    told: list[Told] = field(default_factory=list)
    errors: list[Error] = field(default_factory=list)
    bad_orders: set[str] = field(default_factory=set)
    quarantined: list[Told] = field(default_factory=list)
    """Orders dated in the future: told of with their money, and not taken in (D64)."""

    def copy(self) -> "Gathered":
        """The same, to note further errors in."""
        return Gathered(self.rows, self.told, list(self.errors), set(self.bad_orders), self.quarantined)

    def refuse(self, order_id: str | None, errors: Iterable[Error]) -> None:
        """Note what is wrong; an order with one bad row is bad as a whole."""
        self.errors += errors
        if order_id is not None:
            self.bad_orders.add(order_id)

    def refuse_if(self, order_id: str, row: int, faults: Sequence[Fault]) -> None:
        """Note faults of a row, if there are any."""
        if faults:
            self.refuse(order_id, [row_error(row, *fault) for fault in faults])


def gather(reads: Iterable[Read], assumed: Assumptions) -> Gathered:
    """Put rows of one order together, wherever in the file they stand."""
    gathered = Gathered()
    rows_of: dict[str, list[tuple[int, RowRecord]]] = {}
    told: dict[tuple[str, str], Told] = {}
    for read in reads:
        gathered.rows += 1
        if read.record is None:
            gathered.refuse(read.order_id, read.errors)
        elif isinstance(read.record, RowRecord):
            rows_of.setdefault(read.record.order_id, []).append((read.row, read.record))
        else:
            _take(read.row, read.record, told, gathered, assumed)
    for order_id, rows in rows_of.items():
        _note(_of_rows(order_id, rows, gathered, assumed), told, gathered)
    everything = sorted(told.values(), key=lambda one: one.row)
    gathered.told = [one for one in everything if not _is_from_the_future(one, assumed.now)]
    gathered.quarantined = [one for one in everything if _is_from_the_future(one, assumed.now)]
    return gathered


def _is_from_the_future(one: Told, now: datetime) -> bool:
    return isinstance(one.what, Sale) and one.what.order.placed_at > now + FUTURE


def _take(
    row: int,
    record: OrderRecord | ReturnRecord | RefundRecord,
    told: dict[tuple[str, str], Told],
    gathered: Gathered,
    assumed: Assumptions,
) -> None:
    if isinstance(record, OrderRecord):
        sale = _sale_of_order(record, assumed)
        gathered.refuse_if(record.order_id, row, _order_faults(record, sale, assumed.now))
        _note(Told(row, record.order_id, sale), told, gathered)
    elif isinstance(record, ReturnRecord):
        gathered.refuse_if(record.order_id, row, _future("at", record.at, assumed.now))
        _note(Told(row, record.order_id, _goods_back(record)), told, gathered)
    else:
        gathered.refuse_if(record.order_id, row, _future("at", record.at, assumed.now))
        _note(Told(row, record.order_id, _money_back(record, assumed)), told, gathered)


def _note(one: Told, told: dict[tuple[str, str], Told], gathered: Gathered) -> None:
    key = _key(one)
    if key in told:
        gathered.refuse(one.order_id, [row_error(one.row, key[0], "duplicate", f"{key[1]} is there twice")])
        return
    told[key] = one


def _key(one: Told) -> tuple[str, str]:
    """What may be in a file once."""
    if isinstance(one.what, Sale):
        return "order_id", one.order_id
    if isinstance(one.what, GoodsBack):
        return "return_id", one.what.return_id
    return "refund_id", one.what.refund.refund_id


# orders


def _of_rows(order_id: str, rows: Sequence[tuple[int, RowRecord]], gathered: Gathered, assumed: Assumptions) -> Told:
    row, first = rows[0]
    for number, record in rows[1:]:
        if differing := [name for name in REPEATED if getattr(record, name) != getattr(first, name)]:
            message = f"row {row} says otherwise of this order"
            gathered.refuse(order_id, [row_error(number, name, "differs", message) for name in differing])
    sale = Sale(
        order=_order(first, order_id, tuple(_line(record) for _, record in rows), assumed),
        paid_at=first.paid_at,
        method=first.method,
        parcels=_parcels([record for _, record in rows]),
    )
    gathered.refuse_if(order_id, row, _sale_faults(sale, assumed.now))
    return Told(row, order_id, sale)


def _line(record: RowRecord) -> Line:
    return Line(record.sku, record.quantity, record.unit_price_cents)


def _order(record: RowRecord, order_id: str, lines: tuple[Line, ...], assumed: Assumptions) -> Order:
    return Order(
        order_id=order_id,
        origin=record.origin,
        currency=record.currency or assumed.currency,
        lines=lines,
        placed_at=record.placed_at,
        accepted_at=assumed.now,
        customer_id=None if record.customer_id is None else assumed.pseudonym(record.customer_id),
    )


def _parcels(records: Sequence[RowRecord]) -> tuple[Parcel, ...]:
    """The parcels that the rows left in: one a tracking number."""
    lines: dict[str, list[Units]] = {}
    firsts: dict[str, RowRecord] = {}
    for record in records:
        if record.tracking_number is not None:
            firsts.setdefault(record.tracking_number, record)
            lines.setdefault(record.tracking_number, []).append(Units(record.sku, record.quantity))
    return tuple(_parcel(number, firsts[number], tuple(units)) for number, units in lines.items())


def _parcel(number: str, record: RowRecord | OrderRecord, lines: tuple[Units, ...]) -> Parcel:
    shipped_at = record.shipped_at or record.paid_at or record.placed_at
    return Parcel(record.carrier or "unknown", number, lines, shipped_at)


def _sale_of_order(record: OrderRecord, assumed: Assumptions) -> Sale:
    lines = tuple(line.line() for line in record.lines)
    order = Order(
        order_id=record.order_id,
        origin=record.origin,
        currency=record.currency,
        lines=lines,
        placed_at=record.placed_at,
        accepted_at=assumed.now,
        shipping_cents=record.shipping_cents,
        discount_cents=record.discount_cents,
        customer_id=None if record.customer_id is None else assumed.pseudonym(record.customer_id),
        customer_tier=record.customer_tier,
        channel=record.channel,
        source=record.source,
        campaign=record.campaign,
        visitor_id=record.visitor_id,
    )
    units = tuple(Units(line.sku, line.quantity) for line in lines)
    number = record.tracking_number
    return Sale(
        order=order,
        consignee=record.consignee.consignee() if record.consignee else None,
        paid_at=record.paid_at,
        method=record.method,
        parcels=(_parcel(number, record, units),) if number is not None else (),
    )


# goods and money that went back


def _goods_back(record: ReturnRecord) -> GoodsBack:
    return GoodsBack(
        order_id=record.order_id,
        return_id=record.return_id,
        at=record.at,
        lines=units_of(record.lines),
        reason=record.reason,
        condition=record.condition,
        refund=_refund_of_return(record),
        items_cents=record.refund.items_cents if record.refund else None,
    )


def _refund_of_return(record: ReturnRecord) -> Refund | None:
    refund = record.refund
    if refund is None:
        return None
    return Refund(
        refund_id=refund.refund_id or f"{record.return_id}:refund",
        amount_cents=refund.amount_cents,
        items_cents=0,
        currency="",
        issued_at=record.at,
        reason=record.reason,
        return_id=record.return_id,
        is_dispute=refund.is_dispute,
    )


def _money_back(record: RefundRecord, assumed: Assumptions) -> MoneyBack:
    given = Refund(
        refund_id=record.refund_id,
        amount_cents=record.amount_cents,
        items_cents=0,
        currency=record.currency or assumed.currency,
        issued_at=record.at,
        reason=record.reason,
        lines=units_of(record.lines),
        is_dispute=record.is_dispute,
    )
    return MoneyBack(record.order_id, given, record.items_cents)


def with_goods(back: MoneyBack) -> Refund:
    """The refund of an order that was never seen here: all of it is for goods, unless it says otherwise."""
    share = back.refund.amount_cents if back.items_cents is None else back.items_cents
    return replace(back.refund, items_cents=share)


# what is wrong


def row_error(row: int, column: str, code: str, message: str) -> Error:
    """One entry of the list of errors (D54)."""
    place = "".join(f"/{part}" for part in column.split(".") if part)
    return {"pointer": f"/{max(0, row - 1)}{place}", "code": code, "message": message, "row": row, "column": column}


def problem_errors(row: int, problem: Problem) -> list[Error]:
    """What a decision refused, as errors of the row that asked for it."""
    if not problem.errors:
        return [row_error(row, "", problem.code, problem.detail)]
    return [row_error(row, e["pointer"].strip("/").replace("/", "."), e["code"], e["message"]) for e in problem.errors]


def _order_faults(record: OrderRecord, sale: Sale, now: datetime) -> Sequence[Fault]:
    for name in ("reservation_id", "hold_minutes"):
        if getattr(record, name) is not None:
            return [(name, "unknown_field", "an order that was sold elsewhere has no hold")]
    return _sale_faults(sale, now, items=record.items_cents, total=record.total_cents)


def _sale_faults(sale: Sale, now: datetime, *, items: int | None = None, total: int | None = None) -> Sequence[Fault]:
    order = sale.order
    if order.origin == STOREFRONT:
        return [("origin", "origin", "orders of the storefront are placed by POST /v1/orders")]
    if len(order.lines) > MAX_LINES:
        return [("order_id", "too_long", f"more than {MAX_LINES} lines in one order")]
    if sale.parcels and sale.paid_at is None:
        return [("paid_at", "missing", "an order that was shipped was paid: say when")]
    if order.placed_at <= now + FUTURE and (late := _future("paid_at", sale.paid_at, now)):
        return late
    try:
        money.check_amounts(
            order.lines, discount=order.discount_cents, shipping=order.shipping_cents, items=items, total=total
        )
    except Validation as wrong:
        return [(e["pointer"].strip("/").replace("/", "."), e["code"], e["message"]) for e in wrong.errors]
    return []


def _future(column: str, at: datetime | None, now: datetime) -> Sequence[Fault]:
    return [(column, "future", "more than 5 minutes ahead")] if at is not None and at > now + FUTURE else []
