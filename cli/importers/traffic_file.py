"""A file of storefront traffic, read into the short form of the front door (D63). Pure.

A row is an event; without an id it gets one from the file and its row, so that a second run changes nothing. A time
without an offset is the store's own; one that its clocks skipped is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from libs.events import strict_json
from libs.events.codec import JSON
from libs.events.contracts import CartAdded, CartRemoved, CheckoutStarted, PageViewed, ProductFavorited
from libs.events.door import Door, Refusal, parse_http
from libs.service.sheets import Cell, as_text, places, read_sheet

JSON_LINES: Final = "application/x-ndjson"
MOST_ROWS: Final = 5_000_000
AT_ONCE: Final = 1_000
"""Events that one call takes."""
TRAFFIC: Final = (PageViewed, CartAdded, CartRemoved, ProductFavorited, CheckoutStarted)

COLUMNS: Final[Mapping[str, str]] = {
    name: name
    for name in (
        "id", "type", "time", "visitor_id", "customer_id", "session_id", "channel", "source", "campaign", "device",
        "url_path", "page_kind", "sku", "quantity", "is_bot", "is_staff",
    )
} | {
    "编号": "id", "类型": "type", "时间": "time", "访客编号": "visitor_id", "客户编号": "customer_id",
    "会话编号": "session_id", "渠道": "channel", "来源": "source", "活动": "campaign", "设备": "device",
    "页面路径": "url_path", "页面类型": "page_kind", "商品编码": "sku", "数量": "quantity", "机器人": "is_bot",
    "员工": "is_staff",
}  # fmt: skip
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "type": {
        "浏览": "page.viewed",
        "加购": "cart.added",
        "移出购物车": "cart.removed",
        "收藏": "product.favorited",
        "结算": "checkout.started",
    },
    "channel": {
        "自然搜索": "natural_search",
        "付费推广": "paid",
        "社交": "social",
        "直接访问": "direct",
        "引荐": "referral",
        "其他": "other",
    },
    "page_kind": {
        "首页": "home",
        "列表页": "list",
        "商品页": "product",
        "购物车": "cart",
        "结算页": "checkout",
        "其他": "other",
    },
}
_YES: Final = frozenset({"1", "true", "yes", "是", "TRUE", "True"})
_NO: Final = frozenset({"0", "false", "no", "否", "FALSE", "False"})

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a row, counted from 1 below the header."""

    row: int
    column: str
    message: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from: a name for the file, the store and its zone, the import that brings them."""

    name: str
    store: str
    zone: ZoneInfo
    import_id: str


def read_events(media_type: str, content: bytes, source: Source) -> tuple[list[Event], list[Wrong]]:
    """Every event of a file, and what is wrong with its rows. Raises the problems of a table that is none."""
    events: list[Event] = []
    wrong: list[Wrong] = []
    for row, fields in _rows(media_type, content):
        try:
            events.append(_event(row, fields, source))
        except _BadCell as bad:
            wrong.append(Wrong(row, bad.column, str(bad)))
            events.append({})
    if not wrong:
        for start in range(0, len(events), AT_ONCE):
            wrong += _refused(events[start : start + AT_ONCE], start, source)
    return events, wrong


class _BadCell(ValueError):
    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


def _rows(media_type: str, content: bytes) -> Iterator[tuple[int, Event]]:
    if media_type == JSON_LINES:
        lines = (line for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip())
        for row, line in enumerate(lines, 1):
            yield row, _decoded(line)
        return
    sheet = read_sheet(media_type, content, most_rows=MOST_ROWS)
    where = places(sheet.header, COLUMNS, ("type", "time", "visitor_id"))
    for row, cells in enumerate(sheet.rows, 1):
        if any(cell != "" for cell in cells):
            yield row, {name: cells[at] for name, at in where.items() if at < len(cells) and cells[at] != ""}


def _decoded(line: bytes) -> Event:
    try:
        decoded = strict_json.loads(line)
    except strict_json.InvalidJson as error:
        return {"": error.message}
    return decoded if isinstance(decoded, dict) else {"": "not an object"}


def _event(row: int, fields: Mapping[str, Cell], source: Source) -> Event:
    if "" in fields:
        raise _BadCell("", str(fields[""]))
    event: Event = {name: _typed(name, cell) for name, cell in fields.items()}
    event["time"] = _instant(fields.get("time", ""), source.zone)
    event.setdefault("id", f"{source.name}-{row}")
    return {**event, "importid": source.import_id}


def _typed(name: str, cell: Any) -> Any:
    if name in ("is_bot", "is_staff"):
        return _flag(name, cell)
    if name == "quantity" and not isinstance(cell, str):
        return int(cell) if cell == int(cell) else cell
    value = as_text(cell)
    if name == "quantity":
        return int(value) if value.isdecimal() else value
    return _WORDS.get(name, {}).get(value, value)


def _flag(name: str, cell: Any) -> bool:
    value = as_text(cell)
    if value not in _YES | _NO:
        raise _BadCell(name, "neither yes nor no")
    return value in _YES


def _instant(cell: Any, zone: ZoneInfo) -> str:
    try:
        time = cell if isinstance(cell, datetime) else datetime.fromisoformat(as_text(cell))
    except ValueError:
        raise _BadCell("time", "not a time") from None
    if time.utcoffset() is not None:
        return time.isoformat()
    local = time.replace(tzinfo=zone)
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != time:
        raise _BadCell("time", f"does not exist in {zone.key}")
    return local.isoformat()


def _refused(events: Sequence[Event], start: int, source: Source) -> Iterator[Wrong]:
    """What the front door would refuse of these."""
    door = Door(events=TRAFFIC, store=source.store, short_form=True)
    for item in parse_http({"content-type": JSON}, strict_json.dumps(list(events)), door):
        if isinstance(item, Refusal):
            yield Wrong(start + item.index + 1, (item.pointer or "").strip("/"), item.message)
