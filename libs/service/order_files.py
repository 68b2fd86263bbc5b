"""Files of orders, as whoever sends them and whoever reads them see them: columns, lines, and the rows refused (D54).

The refused rows of a file are a file again: each as it came, with the reason, to be mended and sent again. An order
with one bad row is refused as a whole, so all of its rows are there.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from libs.events import strict_json
from libs.service.sheets import CSV, Cell, as_text, places, read_sheet

JSON_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
MOST_ROWS = 300_000
REASON = "error"
"""Why a row was refused, in the file of refused rows: it may stand there when the mended file comes back."""
COLUMNS: Mapping[str, str] = {
    "order_id": "order_id",
    "订单号": "order_id",
    "placed_at": "placed_at",
    "下单时间": "placed_at",
    "paid_at": "paid_at",
    "付款时间": "paid_at",
    "shipped_at": "shipped_at",
    "发货时间": "shipped_at",
    "customer_id": "customer_id",
    "客户编号": "customer_id",
    "sku": "sku",
    "商品编码": "sku",
    "quantity": "quantity",
    "数量": "quantity",
    "unit_price": "unit_price",
    "单价": "unit_price",
    "unit_price_cents": "unit_price_cents",
    "currency": "currency",
    "币种": "currency",
    "origin": "origin",
    "平台": "origin",
    "carrier": "carrier",
    "物流公司": "carrier",
    "tracking_number": "tracking_number",
    "运单号": "tracking_number",
    "error": "error",
    "错误": "error",
}

REASON_IN = {"zh": "错误", "en": REASON}
_RUNS_AS_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def json_records(content: bytes) -> Iterator[bytes]:
    """The lines that say something; rows are counted in these."""
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return (line for line in lines if line.strip())


def refused_rows(
    media_type: str, content: bytes, errors: Iterable[Mapping[str, Any]], language: str
) -> tuple[str, bytes]:
    """(media type, content): JSON lines of JSON lines, CSV of any table."""
    reasons: dict[int, list[str]] = {}
    for error in errors:
        place = f"{error['column']}: " if error["column"] else ""
        reasons.setdefault(error["row"], []).append(place + error["message"])
    if media_type in JSON_LINES:
        return "application/x-ndjson", _lines(content, reasons)
    return CSV, _table(media_type, content, reasons, REASON_IN.get(language, REASON))


def _lines(content: bytes, reasons: Mapping[int, Sequence[str]]) -> bytes:
    rows: list[tuple[bytes, Any]] = []
    for line in json_records(content):
        try:
            rows.append((line, strict_json.loads(line)))
        except strict_json.InvalidJson:
            rows.append((line, None))
    bad = {_order_id(decoded) for n, (_, decoded) in enumerate(rows, 1) if n in reasons} - {None}
    return b"".join(
        _line(line, decoded, reasons.get(n, ())) + b"\n"
        for n, (line, decoded) in enumerate(rows, 1)
        if n in reasons or _order_id(decoded) in bad
    )


def _order_id(decoded: Any) -> str | None:
    order_id = decoded.get("order_id") if isinstance(decoded, dict) else None
    return order_id if isinstance(order_id, str) else None


def _line(line: bytes, decoded: Any, reasons: Sequence[str]) -> bytes:
    if not isinstance(decoded, dict):
        return line
    return strict_json.dumps({**decoded, REASON: "; ".join(reasons)})


def _table(media_type: str, content: bytes, reasons: Mapping[int, Sequence[str]], reason: str) -> bytes:
    sheet = read_sheet(media_type, content, most_rows=MOST_ROWS)
    columns = places(sheet.header, COLUMNS)
    key, old = columns.get("order_id"), columns.get(REASON)
    kept = [n for n in range(len(sheet.header)) if n != old]
    named = [
        (n, row, as_text(row[key]) if key is not None and key < len(row) else "") for n, row in enumerate(sheet.rows, 1)
    ]
    bad = {order_id for n, _, order_id in named if n in reasons} - {""}
    written = io.StringIO(newline="")
    writer = csv.writer(written)
    writer.writerow([*(sheet.header[n] for n in kept), reason])
    for n, row, order_id in named:
        if n in reasons or order_id in bad:
            writer.writerow([*(_plain(row[k]) if k < len(row) else "" for k in kept), "; ".join(reasons.get(n, ()))])
    return written.getvalue().encode("utf-8-sig")


def _plain(cell: Cell) -> str:
    """As text, and never as something that a spreadsheet runs."""
    text = cell.isoformat(sep=" ") if isinstance(cell, datetime) else as_text(cell)
    return f"'{text}" if text.startswith(_RUNS_AS_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    return text[0] in "+-" and text[1:].replace(".", "", 1).isdigit()
