"""Counts as files: CSV and XLSX (D55)."""

from collections.abc import Mapping, Sequence
from typing import Any

from libs.service.sheets import Cell, as_text, cell_error, places, read_sheet

_COLUMNS: Mapping[str, str] = {
    "sku": "sku",
    "商品编码": "sku",
    "on_hand": "on_hand",
    "实盘数": "on_hand",
    "version": "version",
    "版本": "version",
}


def read_items(media_type: str, content: bytes) -> list[dict[str, Any]]:
    """The lines of a count. Raises UnsupportedMedia, InvalidBody; Validation that names row (from 1) and column."""
    sheet = read_sheet(media_type, content)
    columns = places(sheet.header, _COLUMNS, needed=("sku", "on_hand"))
    rows = [(n, row) for n, row in enumerate(sheet.rows, 1) if any(as_text(cell) for cell in row)]
    return [_item(n, row, columns) for n, row in rows]


def _item(n: int, row: Sequence[Cell], columns: Mapping[str, int]) -> dict[str, Any]:
    cells = {name: row[place] if place < len(row) else "" for name, place in columns.items()}
    item: dict[str, Any] = {"sku": as_text(cells["sku"]), "on_hand": _number(n, "on_hand", cells["on_hand"])}
    if as_text(cells.get("version", "")):
        item["version"] = _number(n, "version", cells["version"])
    return item


def _number(n: int, column: str, cell: Cell) -> int:
    written = as_text(cell)
    if written.isascii() and written.isdigit() and len(written) <= 12:
        return int(written)
    raise cell_error(n, column, "int_parsing", "not a whole number of units" if written else "is empty")
