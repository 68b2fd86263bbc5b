"""Files of orders (D54), read into records: one order row a line, whole orders, returns, refunds.

JSON lines say what they are: an object with `lines` is a whole order, in the form of `POST /v1/orders`, one with `sku`
is a row; `"type": "return"` and `"type": "refund"` tell of goods and money that went back. CSV and XLSX have rows only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from libs.events import strict_json
from libs.events.contracts import Cents, Currency, CustomerId, Id, Instant, Label, Quantity, Sku
from libs.service import problems
from libs.service.errors import UnsupportedMedia, Validation
from libs.service.order_files import COLUMNS, JSON_LINES, MOST_ROWS, REASON, json_records
from libs.service.routes import Body
from libs.service.sheets import CSV, XLSX, Cell, as_text, cell_error, places, read_sheet
from services.orders.bodies import FreeText, OrderBody, SomeUnits

OrderId = Annotated[Id, Field(max_length=110)]
"""Payments and parcels of imported orders are named after them."""


class RowRecord(Body):
    """One line of an order, with what the file repeats about the order (D54)."""

    order_id: OrderId
    placed_at: Instant
    paid_at: Instant | None = None
    shipped_at: Instant | None = None
    customer_id: CustomerId | None = None
    sku: Sku
    quantity: Quantity
    unit_price_cents: Cents
    currency: Currency | None = None
    origin: Label = "import"
    method: Label = "import"
    carrier: Label | None = None
    tracking_number: Label | None = None
    type: Literal["row"] = "row"


class OrderRecord(OrderBody):
    """A whole order: the body of `POST /v1/orders`, and what has become of it since."""

    order_id: OrderId
    placed_at: Instant
    paid_at: Instant | None = None
    shipped_at: Instant | None = None
    method: Label = "import"
    carrier: Label | None = None
    tracking_number: Label | None = None
    type: Literal["order"] = "order"


class MoneyBack(Body):
    """Money that was given back for a return."""

    refund_id: Id | None = None
    amount_cents: Annotated[int, Field(ge=1, le=10**14)]
    items_cents: Cents | None = None
    is_dispute: bool = False


class ReturnRecord(Body):
    """Goods that came back: requested, approved, received and inspected at one time, and refunded if it says so."""

    type: Literal["return"]
    return_id: Annotated[Id, Field(max_length=110)]
    order_id: Id
    at: Instant
    lines: SomeUnits
    reason: FreeText = ""
    condition: Literal["resellable", "damaged"] = "resellable"
    refund: MoneyBack | None = None


class RefundRecord(MoneyBack):
    """Money that went back without goods; its order may be one that was never seen here."""

    type: Literal["refund"]
    refund_id: Id
    order_id: Id
    at: Instant
    currency: Currency | None = None
    reason: FreeText = ""
    lines: SomeUnits | None = None


AnyRecord = RowRecord | OrderRecord | ReturnRecord | RefundRecord


@dataclass(frozen=True, slots=True)
class Read:
    """One record of the file: its row, counted from 1 (below the header), and what it says or what is wrong with it."""

    row: int
    record: AnyRecord | None = None
    order_id: str | None = None
    errors: Sequence[Mapping[str, Any]] = ()


def read_records(media_type: str, content: bytes, zone: tzinfo) -> Iterator[Read]:
    """The records of a file. Times without an offset, in tables, are the store's (`zone`).

    Raises UnsupportedMedia, InvalidBody, and Validation for a header that cannot be used.
    """
    if media_type in JSON_LINES:
        return _json_lines(content)
    if media_type in (CSV, XLSX):
        return _rows(media_type, content, zone)
    raise UnsupportedMedia(f"JSON lines ({', '.join(sorted(JSON_LINES))}), {CSV} or {XLSX} is taken here")


# JSON lines

_MODELS: Mapping[str, TypeAdapter[Any]] = {
    "row": TypeAdapter(RowRecord),
    "order": TypeAdapter(OrderRecord),
    "return": TypeAdapter(ReturnRecord),
    "refund": TypeAdapter(RefundRecord),
}


def _json_lines(content: bytes) -> Iterator[Read]:
    for row, line in enumerate(json_records(content), 1):
        try:
            decoded = strict_json.loads(line)
        except strict_json.InvalidJson as error:
            yield Read(row, errors=[_error(row, error.pointer.strip("/"), "invalid_json", error.message)])
        else:
            yield _read(row, decoded)


def _read(row: int, decoded: Any) -> Read:
    if not isinstance(decoded, dict):
        return Read(row, errors=[_error(row, "", "type", "not an object")])
    kind = decoded.get("type") or ("order" if "lines" in decoded else "row")
    model = _MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        return Read(row, errors=[_error(row, "type", "type", f"none of {', '.join(_MODELS)}")])
    try:
        tidied = _tidied(row, decoded)
        return Read(row, model.validate_python(tidied), tidied.get("order_id"))
    except ValidationError as invalid:
        found = invalid.errors(include_url=False, include_input=False)
        errors = [_error(row, ".".join(map(str, e["loc"])), problems.code_of(e), e["msg"]) for e in found]
    except Validation as invalid:
        errors = invalid.errors
    order_id = decoded.get("order_id")
    return Read(row, None, order_id if isinstance(order_id, str) else None, errors)


def _tidied(row: int, decoded: dict[str, Any]) -> dict[str, Any]:
    """Codes without blanks (D9), the price in minor units, arrays as the tuples that the models want."""
    made = {name: value for name, value in decoded.items() if name != REASON}
    if isinstance(made.get("sku"), str):
        made["sku"] = code(made["sku"])
    if isinstance(made.get("lines"), list):
        made["lines"] = tuple(_tidied(row, line) if isinstance(line, dict) else line for line in made["lines"])
    if "unit_price" in made:
        made["unit_price_cents"] = cents(row, made.pop("unit_price"))
    return made


# tables

_NEEDED = ("order_id", "placed_at", "sku", "quantity")
_TIMES = frozenset({"placed_at", "paid_at", "shipped_at"})
YEARS = range(1971, 9998)
_NUMBERS = frozenset({"quantity", "unit_price_cents"})


def _rows(media_type: str, content: bytes, zone: tzinfo) -> Iterator[Read]:
    sheet = read_sheet(media_type, content, most_rows=MOST_ROWS)
    columns = places(sheet.header, COLUMNS, _NEEDED)
    if "unit_price" not in columns and "unit_price_cents" not in columns:
        raise cell_error(0, "unit_price", "missing", "the column is missing")
    for number, cells in enumerate(sheet.rows, 1):
        if any(cell != "" for cell in cells):
            yield _table_row(number, cells, columns, zone)


def _table_row(row: int, cells: Sequence[Cell], columns: Mapping[str, int], zone: tzinfo) -> Read:
    plain: dict[str, Any] = {}
    try:
        for field, place in columns.items():
            cell = cells[place] if place < len(cells) else ""
            if field != REASON and cell != "" and as_text(cell):
                plain[field] = _value(row, field, cell, zone)
    except Validation as invalid:
        return Read(row, None, plain.get("order_id"), invalid.errors)
    return _read(row, plain)


def _value(row: int, field: str, cell: Cell, zone: tzinfo) -> Any:
    if field in _TIMES:
        return _time(row, field, cell, zone)
    if field in _NUMBERS:
        return _whole(row, field, cell)
    if field == "unit_price":
        return cell if isinstance(cell, int | float) else as_text(cell)
    return as_text(cell)


def _time(row: int, field: str, cell: Cell, zone: tzinfo) -> datetime:
    try:
        given = cell if isinstance(cell, datetime) else datetime.fromisoformat(as_text(cell).replace("/", "-"))
    except ValueError:
        raise cell_error(row, field, "instant", "not a time") from None
    if given.year not in YEARS:
        raise cell_error(row, field, "instant", "year out of range")
    if given.tzinfo is not None:
        return given
    local = given.replace(tzinfo=zone)
    if local.astimezone(_UTC).astimezone(zone).replace(tzinfo=None) != given:
        raise cell_error(row, field, "instant", "a local time that does not exist")
    return local


_UTC = datetime.fromisoformat("1970-01-01T00:00:00+00:00").tzinfo


def _whole(row: int, field: str, cell: Cell) -> int:
    text = as_text(cell)
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        raise cell_error(row, field, "int_parsing", "not a whole number")
    return int(text)


def cents(row: int, price: Any) -> int:
    """A price in whole units as minor ones. Raises Validation where that is not exact."""
    try:
        exact = Decimal(str(price)) * 100 if not isinstance(price, bool) else Decimal("NaN")
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite() or abs(exact) > 10**14:
        raise cell_error(row, "unit_price", "decimal_parsing", "not a price")
    if exact != exact.to_integral_value():
        raise cell_error(row, "unit_price", "decimal_places", "more than two decimals")
    return int(exact)


def code(written: str) -> str:
    """A code of goods as it is kept: blanks in it become `_` (D9)."""
    return "_".join(written.split())


def _error(row: int, column: str, kind: str, message: str) -> dict[str, Any]:
    pointer = "".join(f"/{part}" for part in column.replace("/", ".").split(".") if part)
    return {"pointer": f"/{max(0, row - 1)}{pointer}", "code": kind, "message": message, "row": row, "column": column}
