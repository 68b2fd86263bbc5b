"""Entries that people send: a JSON array, or CSV and XLSX with the fields' names, or their Chinese ones, as columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter

from libs.events import strict_json
from libs.service.call import CallContext
from libs.service.errors import InvalidBody, TooLarge
from libs.service.routes import decode_json, validate
from libs.service.sheets import FORM, Cell, Sheet, as_text, read_sheet, uploaded

MOST_ITEMS: Final = 1_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of a table: Chinese name -> field; fields that are whole numbers; those in yuan -> the one in cents."""

    named: Mapping[str, str]
    whole: frozenset[str]
    yuan: Mapping[str, str]


SPEND: Final = Columns(
    {
        "渠道": "channel",
        "来源": "source",
        "活动": "campaign",
        "计划": "plan",
        "商品编码": "sku",
        "创意": "creative",
        "日期": "day",
        "小时": "hour",
        "上报时间": "reported_at",
        "展现量": "impressions",
        "点击量": "clicks",
        "花费": "spend",
        "币种": "currency",
    },
    frozenset({"impressions", "clicks", "spend_cents"}),
    {"spend": "spend_cents"},
)
"""Of ad spend; 花费 (spend) is in yuan, spend_cents in fen. Channels may be named in Chinese."""

_CHANNELS: Final = {
    "自然搜索": "natural_search",
    "付费推广": "paid",
    "社交": "social",
    "直接访问": "direct",
    "引荐": "referral",
    "其他": "other",
}


def bounded(entries: list[T]) -> list[T]:
    """The entries, when they are not too many. Raises TooLarge."""
    if len(entries) > MOST_ITEMS:
        raise TooLarge(f"{len(entries)} entries, at most {MOST_ITEMS} a call")
    return entries


async def entries_of(call: CallContext, model: type[T], columns: Columns) -> list[T]:
    """The entries of a JSON array, of a table, or of a form's field `file`. Raises what is wrong with them."""
    adapter = TypeAdapter(list[model])  # type: ignore[valid-type]
    media_type, content = call.content_type, call.content
    if media_type == FORM:
        media_type, content = await uploaded(call.request, content)
    if media_type in ("", "application/json"):
        entries: list[T] = validate(adapter, content, decode_json(content))
        return entries
    rows = _rows(read_sheet(media_type, content), columns)
    table: list[T] = validate(adapter, strict_json.dumps(rows), rows)
    return table


def _rows(sheet: Sheet, columns: Columns) -> list[dict[str, Any]]:
    """The rows by field, without empty cells and rows."""
    header = [columns.named.get(name, name) for name in sheet.header]
    fields = [columns.yuan.get(name, name) for name in header]
    if len(set(fields)) != len(fields):
        raise InvalidBody("a column is named twice")
    rows = [
        {
            field: _typed(name, cell, columns)
            for name, field, cell in zip(header, fields, row, strict=False)
            if cell != ""
        }
        for row in sheet.rows
    ]
    return [row for row in rows if row]


def _typed(name: str, cell: Cell, columns: Columns) -> str | int:
    """A count as a number, a date as a day; what is neither stays a text, refused with its place."""
    if isinstance(cell, date):
        is_hour = isinstance(cell, datetime) and name == "hour"
        return f"{cell:%Y-%m-%dT%H}" if is_hour else f"{cell:%Y-%m-%d}"
    value = as_text(cell)
    if name in columns.yuan:
        return _cents(value)
    if name == "channel":
        return _CHANNELS.get(value, value)
    return int(value) if name in columns.whole and value.isdecimal() and len(value) < 19 else value


def _cents(value: str) -> str | int:
    """Yuan as fen; what has more than two decimals, or is no number, stays a text."""
    try:
        cents = Decimal(value) * 100
    except InvalidOperation:
        return value
    return int(cents) if cents.is_finite() and cents == cents.to_integral_value() and len(value) < 19 else value
