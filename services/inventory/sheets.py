"""Counts as files: CSV (UTF-8 with or without mark, GB18030) and XLSX (D55)."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import python_calamine
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Message

from libs.service.errors import InvalidBody, UnsupportedMedia, Validation, fault

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_ROWS = 100_000

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
    table = _table(media_type, content)
    if not table:
        raise InvalidBody("the table has no header")
    columns = _columns([str(cell).strip().lstrip("\ufeff") for cell in table[0]])
    rows = [(n, row) for n, row in enumerate(table[1:], 1) if any(str(cell).strip() for cell in row)]
    if len(rows) > MOST_ROWS:
        raise InvalidBody(f"more than {MOST_ROWS} rows")
    return [_item(n, row, columns) for n, row in rows]


async def uploaded(request: Request, content: bytes) -> tuple[str, bytes]:
    """(media type, content) of the field `file` of a form. Raises InvalidBody."""

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    try:
        async with Request(request.scope, receive).form(max_files=1, max_fields=20) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise InvalidBody("the form has no field `file`")
            return _kind(file), await file.read()
    except (HTTPException, MultiPartException) as error:
        raise InvalidBody("no form with a file") from error


def _kind(file: UploadFile) -> str:
    name = (file.filename or "").lower()
    by_name = XLSX if name.endswith(".xlsx") else CSV if name.endswith(".csv") else ""
    return by_name or (file.content_type or "").partition(";")[0].strip().lower()


def _table(media_type: str, content: bytes) -> Sequence[Sequence[Any]]:
    if media_type == CSV:
        return _csv(content)
    if media_type == XLSX:
        return _xlsx(content)
    raise UnsupportedMedia(f"application/json, {CSV} or {XLSX} is taken here")


def _csv(content: bytes) -> list[list[str]]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        try:
            return list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except csv.Error as error:
            raise InvalidBody(f"no CSV: {error}") from error
    raise InvalidBody("neither UTF-8 nor GB18030")


def _xlsx(content: bytes) -> list[list[Any]]:
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        rows: list[list[Any]] = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    except Exception as error:
        raise InvalidBody("no XLSX workbook") from error
    return rows


def _columns(header: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for place, name in enumerate(header):
        known = _COLUMNS.get(name)
        if name and known is None:
            raise Validation(
                f"unknown column {name[:64]}", errors=[_fault(0, name[:64], "unknown_field", "unknown column")]
            )
        if known in found:
            raise Validation(f"column {name} is there twice", errors=[_fault(0, name, "duplicate", "there twice")])
        if known is not None:
            found[known] = place
    for needed in ("sku", "on_hand"):
        if needed not in found:
            raise Validation(f"column {needed} is missing", errors=[_fault(0, needed, "missing", "column is missing")])
    return found


def _item(n: int, row: Sequence[Any], columns: Mapping[str, int]) -> dict[str, Any]:
    cells = {name: row[place] if place < len(row) else "" for name, place in columns.items()}
    item: dict[str, Any] = {"sku": _code(cells["sku"]), "on_hand": _number(n, "on_hand", cells["on_hand"])}
    if str(cells.get("version", "")).strip():
        item["version"] = _number(n, "version", cells["version"])
    return item


def _code(cell: Any) -> str:
    """A code as text; a spreadsheet may have made a number of it."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _number(n: int, column: str, cell: Any) -> int:
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    written = str(cell).strip()
    if written.isascii() and written.isdigit() and len(written) <= 12:
        return int(written)
    message = "not a whole number of units" if written else "is empty"
    raise Validation(f"row {n}, {column}: {message}", errors=[_fault(n, column, "int_parsing", message)])


def _fault(row: int, column: str, code: str, message: str) -> dict[str, Any]:
    return fault(f"/{max(0, row - 1)}/{column}", code, message, row=row, column=column)
