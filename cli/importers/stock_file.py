"""A file of stock, read for what each row is: a SKU, a receipt, an adjustment, or a line of a count (D63).

Pure: rows in, what is to be sent to inventory's front door out, each record with a natural id that makes a second run
change nothing. A row with `on_hand` is counted stock, one with `quantity` and `reason` an adjustment, one with
`quantity` alone a receipt; one with neither describes the SKU.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from libs.events import strict_json
from libs.events.contracts.base import Cents, Id, Instant, Label, Quantity, Sku, SkuKind, Units, Url, Version
from libs.service.sheets import Cell, as_text, places, read_sheet

JSON_LINES = "application/x-ndjson"
MOST_ROWS = 5_000_000
COUNTED_AT_ONCE = 50_000

Record = dict[str, Any]

COLUMNS: Mapping[str, str] = {
    name: name
    for name in (
        "sku", "kind", "title", "category", "price_cents", "cost_cents", "safety", "lead_days", "image_url", "listed",
        "receipt_id", "adjustment_id", "count_id", "warehouse", "quantity", "reason", "occurred_at", "on_hand",
        "version", "as_of", "source",
    )
} | {
    "商品编码": "sku", "商品名称": "title", "类目": "category", "安全库存": "safety", "补货周期": "lead_days",
    "仓库": "warehouse", "数量": "quantity", "原因": "reason", "实盘数": "on_hand", "版本": "version",
    "盘点时间": "as_of", "发生时间": "occurred_at", "入库单号": "receipt_id", "调整单号": "adjustment_id",
    "盘点单号": "count_id",
}  # fmt: skip
_NUMBERS = frozenset({"price_cents", "cost_cents", "safety", "lead_days", "quantity", "on_hand", "version"})


class _Row(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    sku: Sku


class SkuRow(_Row):
    """A SKU as the catalogue is to have it."""

    kind: SkuKind = "goods"
    title: Label | None = None
    category: Label | None = None
    price_cents: Cents | None = None
    cost_cents: Cents | None = None
    safety: Units | None = None
    lead_days: int | None = Field(default=None, ge=0, le=3650)
    image_url: Url | None = None
    listed: bool | None = None
    occurred_at: Instant | None = None


class ReceiptRow(_Row):
    """Goods that came in."""

    receipt_id: Id | None = None
    warehouse: Label | None = None
    quantity: Quantity
    cost_cents: Cents | None = None
    occurred_at: Instant | None = None


class AdjustmentRow(_Row):
    """A correction."""

    adjustment_id: Id | None = None
    warehouse: Label | None = None
    quantity: int = Field(ge=-(10**9), le=10**9)
    reason: Literal["damaged", "lost", "found", "correction", "unmatched_return", "write_off"]
    occurred_at: Instant | None = None


class CountRow(_Row):
    """A line of a count."""

    count_id: Id | None = None
    warehouse: Label | None = None
    as_of: Instant | None = None
    source: Literal["erp", "person"] | None = None
    on_hand: Units
    version: Version | None = None


class CountRecord(BaseModel):
    """A whole count, as the front door takes it (JSON lines)."""

    model_config = ConfigDict(strict=True, extra="forbid")

    count_id: Id | None = None
    warehouse: Label | None = None
    as_of: Instant | None = None
    source: Literal["erp", "person"] | None = None
    items: list[Record] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class BadRow:
    """What is wrong with a row, counted from 1 (a table: below its header)."""

    row: int
    column: str
    message: str


@dataclass(frozen=True, slots=True)
class CountOptions:
    """What is true of every count of the file that does not say otherwise."""

    name: str
    as_of: datetime
    warehouse: str = "main"
    source: str = "erp"


_KINDS = ("skus", "receipts", "adjustments", "counted")


@dataclass(slots=True)
class Plan:
    """Calls in the order of the file: (method, path, body, rows), and what is wrong."""

    calls: list[tuple[str, str, Any, int]] = field(default_factory=list)
    wanted: dict[str, int] = field(default_factory=dict)
    """SKU that must be in the catalogue, since no row before describes it -> its first row"""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_KINDS, 0))
    errors: list[BadRow] = field(default_factory=list)


_MODELS: Mapping[str, TypeAdapter[Any]] = {
    "skus": TypeAdapter(SkuRow),
    "receipts": TypeAdapter(ReceiptRow),
    "adjustments": TypeAdapter(AdjustmentRow),
    "counted": TypeAdapter(CountRow),
}
_CALLS = {"skus": ("PUT", "/v1/skus"), "receipts": ("POST", "/v1/receipts"), "adjustments": ("POST", "/v1/adjustments")}
_IDS = {"receipts": "receipt_id", "adjustments": "adjustment_id"}
AT_ONCE = 2_000


def read_rows(media_type: str, content: bytes) -> Iterator[tuple[int, Any]]:
    """(row, record or what could not be read). Raises InvalidBody, UnsupportedMedia, Validation for a bad table."""
    if media_type == JSON_LINES:
        for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
            if line.strip():
                yield number, _decoded(line)
        return
    sheet = read_sheet(media_type, content, most_rows=MOST_ROWS)
    columns = places(sheet.header, COLUMNS, needed=("sku",))
    for number, row in enumerate(sheet.rows, 1):
        if any(as_text(cell) for cell in row):
            yield number, _record(row, columns)


def _decoded(line: bytes) -> Any:
    try:
        return strict_json.loads(line)
    except strict_json.InvalidJson as error:
        return error


def _record(row: Sequence[Cell], columns: Mapping[str, int]) -> Record:
    found: Record = {}
    for name, place in columns.items():
        cell = row[place] if place < len(row) else ""
        written = cell.isoformat() if isinstance(cell, datetime) else as_text(cell)
        if written:
            found[name] = _value(name, written)
    return found


def _value(name: str, written: str) -> Any:
    digits = written.removeprefix("-")
    if name in _NUMBERS and digits.isascii() and digits.isdigit() and len(digits) <= 15:
        return int(written)
    if name == "listed" and written.lower() in ("true", "false", "1", "0"):
        return written.lower() in ("true", "1")
    return written


def kind_of(record: Record) -> str:
    """What a row is, by what it says."""
    if "on_hand" in record:
        return "counted"
    if "quantity" in record or "receipt_id" in record or "adjustment_id" in record:
        return "adjustments" if "reason" in record or "adjustment_id" in record else "receipts"
    return "skus"


def plan(rows: Iterator[tuple[int, Any]], options: CountOptions) -> Plan:
    """What is to be sent; rows with errors are listed and nothing else is done about them."""
    made = Plan()
    described: set[str] = set()
    waiting: list[tuple[str, Record]] = []
    for number, record in rows:
        for kind, checked in _checked(number, record, made, options):
            if waiting and (waiting[0][0] != kind or len(waiting) >= _at_once(kind) or _other_count(waiting, checked)):
                _close(made, waiting, options)
            waiting.append((kind, checked))
            if kind == "skus":
                described.add(checked["sku"])
            elif kind != "counted" and checked["sku"] not in described:
                made.wanted.setdefault(checked["sku"], number)
            made.counts[kind] += 1
    _close(made, waiting, options)
    return made


def _at_once(kind: str) -> int:
    return COUNTED_AT_ONCE if kind == "counted" else AT_ONCE


def _checked(number: int, record: Any, made: Plan, options: CountOptions) -> Iterator[tuple[str, Record]]:
    if not isinstance(record, dict):
        message = str(record) if isinstance(record, Exception) else "not an object"
        made.errors.append(BadRow(number, "", message))
        return
    records, kind = [record], kind_of(record)
    try:
        if "items" in record:
            whole = TypeAdapter(CountRecord).validate_json(strict_json.dumps(record))
            head = whole.model_dump(mode="json", exclude={"items"}, exclude_none=True)
            records, kind = [{**head, **item} for item in whole.items], "counted"
        for one in records:
            checked = _MODELS[kind].validate_json(strict_json.dumps(one)).model_dump(mode="json", exclude_none=True)
            name = _IDS.get(kind)
            if name is not None:
                checked.setdefault(name, f"{options.name}-{number}")
            yield kind, checked
    except ValidationError as problem:
        made.errors += [
            BadRow(number, ".".join(str(part) for part in error["loc"]), error["msg"]) for error in problem.errors()
        ]


_HEAD = ("count_id", "warehouse", "as_of", "source")


def _other_count(waiting: Sequence[tuple[str, Record]], checked: Record) -> bool:
    return any(waiting[0][1].get(name) != checked.get(name) for name in _HEAD)


def _close(made: Plan, waiting: list[tuple[str, Record]], options: CountOptions) -> None:
    if not waiting:
        return
    kind, records = waiting[0][0], [record for _, record in waiting]
    if kind == "counted":
        made.calls.append(("POST", "/v1/counts", _count(records, len(made.calls), options), len(records)))
    else:
        made.calls.append((*_CALLS[kind], records, len(records)))
    waiting.clear()


def _count(records: Sequence[Record], number: int, options: CountOptions) -> Record:
    head = {name: records[0][name] for name in _HEAD if name in records[0]}
    return {
        "count_id": f"{options.name}-{number}",
        "warehouse": options.warehouse,
        "as_of": options.as_of.isoformat(),
        "source": options.source,
        **head,
        "items": [{name: value for name, value in r.items() if name not in _HEAD} for r in records],
    }
