"""Tables that people send: CSV (UTF-8 with or without mark, GB18030) and XLSX, as rows of named texts and numbers."""

import csv
import io
from typing import Any

import python_calamine

from libs.service.errors import InvalidBody, UnsupportedMedia

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv"
MOST_ROWS = 100_000

Row = dict[str, Any]
"""Column -> value; empty cells are left out. CSV gives texts, XLSX numbers too."""


def read_rows(media_type: str, content: bytes) -> list[Row]:
    """The rows under the header. Raises UnsupportedMedia, InvalidBody."""
    if media_type == CSV:
        return _named(_csv(content))
    if media_type == XLSX:
        return _named(_xlsx(content))
    raise UnsupportedMedia(f"application/json, {CSV} or {XLSX} is taken here")


def _named(table: list[list[Any]]) -> list[Row]:
    if not table:
        raise InvalidBody("the table has no header")
    header = [str(cell).strip() for cell in table[0]]
    if len(set(header)) != len(header):
        raise InvalidBody("a column is named twice")
    if len(table) > MOST_ROWS:
        raise InvalidBody(f"more than {MOST_ROWS} rows")
    rows = [{name: cell for name, cell in zip(header, row, strict=False) if cell != ""} for row in table[1:]]
    return [row for row in rows if row]


def _csv(content: bytes) -> list[list[Any]]:
    try:
        return list(csv.reader(io.StringIO(_text(content), newline=""), strict=True))
    except csv.Error as error:
        raise InvalidBody(f"no CSV: {error}") from error


def _text(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InvalidBody("neither UTF-8 nor GB18030")


def _xlsx(content: bytes) -> list[list[Any]]:
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        rows: list[list[Any]] = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    except Exception as error:
        raise InvalidBody("no XLSX workbook") from error
    return rows


def as_text(value: Any) -> str:
    """A cell as text: a whole number of a spreadsheet loses its `.0`."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
