"""Tables that people send: CSV (UTF-8 with or without mark, GB18030) and XLSX, as a header and rows of cells.

What comes out is bounded whatever comes in: rows, cells, and the size of what is unpacked.
"""

import csv
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import python_calamine
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Message

from libs.service.errors import InvalidBody, UnsupportedMedia, Validation, fault

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FORM = "multipart/form-data"
MOST_ROWS = 100_000
MOST_CELLS = 5_000_000
MOST_UNPACKED = 256 << 20
_BY_NAME = {".xlsx": XLSX, ".csv": CSV, ".jsonl": "application/jsonl", ".ndjson": "application/x-ndjson"}
_CELL = re.compile(rb"""\br=["']([A-Za-z]{1,3})([0-9]{1,7})["']""")

Cell = str | int | float | bool | datetime | date | time | timedelta


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: its header, and its rows; CSV gives texts, XLSX numbers and times too. Empty cells are `""`."""

    header: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]


def read_sheet(media_type: str, content: bytes, *, most_rows: int = MOST_ROWS) -> Sheet:
    """The table in a file. Raises UnsupportedMedia, InvalidBody."""
    if media_type == CSV:
        table: Sequence[Sequence[Cell]] = _csv(content, most_rows)
    elif media_type == XLSX:
        table = _xlsx(content)
    else:
        raise UnsupportedMedia(f"{CSV} or {XLSX} is taken here")
    if not table:
        raise InvalidBody("the table has no header")
    if len(table) - 1 > most_rows:
        raise InvalidBody(f"more than {most_rows} rows")
    return Sheet(tuple(str(cell).strip().lstrip("\ufeff") for cell in table[0]), table[1:])


def places(header: Sequence[str], known: Mapping[str, str], needed: Sequence[str] = ()) -> dict[str, int]:
    """Field -> place of its column; `known` says which field a column name stands for.

    Raises Validation for a column that is unknown, there twice, or missing; its row is 0, the header.
    """
    found: dict[str, int] = {}
    for place, name in enumerate(header):
        field = known.get(name)
        if name and field is None:
            raise cell_error(0, name[:64], "unknown_field", "unknown column")
        if field is not None and field in found:
            raise cell_error(0, name, "duplicate", "the column is there twice")
        if field is not None:
            found[field] = place
    for name in needed:
        if name not in found:
            raise cell_error(0, name, "missing", "the column is missing")
    return found


def cell_error(row: int, column: str, code: str, message: str) -> Validation:
    """What is wrong with one cell; rows count from 1 below the header."""
    where = f"/{max(0, row - 1)}/{column}"
    return Validation(f"row {row}, {column}: {message}", errors=[fault(where, code, message, row=row, column=column)])


def as_text(cell: Cell) -> str:
    """A cell as text: a whole number of a spreadsheet loses its `.0`."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


async def uploaded(request: Request, content: bytes) -> tuple[str, bytes]:
    """(media type, content) of the field `file` of a form; a known ending of its name wins. Raises InvalidBody."""

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    try:
        async with Request(request.scope, receive).form(max_files=1, max_fields=20) as form:
            return await _file_of(form)
    except (HTTPException, MultiPartException) as error:
        raise InvalidBody("no form with a file") from error


async def _file_of(form: FormData) -> tuple[str, bytes]:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise InvalidBody("the form has no field `file`")
    name = (file.filename or "").lower()
    by_name = next((kind for ending, kind in _BY_NAME.items() if name.endswith(ending)), None)
    return by_name or (file.content_type or "").partition(";")[0].strip().lower(), await file.read()


def _csv(content: bytes, most_rows: int) -> list[list[str]]:
    reader = csv.reader(io.StringIO(_text(content), newline=""), strict=True)
    rows: list[list[str]] = []
    try:
        for row in reader:
            rows.append(row)
            if len(rows) > most_rows + 1:
                break
    except csv.Error as error:
        raise InvalidBody(f"no CSV: {error} in line {reader.line_num}") from error
    return rows


def _text(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InvalidBody("neither UTF-8 nor GB18030")


def _xlsx(content: bytes) -> list[list[Cell]]:
    try:
        _refuse_bombs(content)
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        rows: list[list[Cell]] = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    except InvalidBody:
        raise
    except Exception as error:
        raise InvalidBody("no XLSX workbook") from error
    return rows


def _refuse_bombs(content: bytes) -> None:
    """A few kilobytes can unpack to gigabytes, and two cells far apart span a table of billions."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        if sum(part.file_size for part in packed.infolist()) > MOST_UNPACKED:
            raise InvalidBody("the workbook unpacks to too much")
        for part in packed.infolist():
            if part.filename.lower().startswith("xl/worksheets/") and part.filename.lower().endswith(".xml"):
                _refuse_wide(packed.read(part))


def _refuse_wide(xml: bytes) -> None:
    widest = tallest = 0
    for column, row in _CELL.findall(xml):
        widest = max(widest, _column_number(column))
        tallest = max(tallest, int(row))
    if widest * tallest > MOST_CELLS:
        raise InvalidBody(f"the sheet spans more than {MOST_CELLS} cells")


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number
