"""A file of orders in parts that one call takes: an order is never cut, and each row keeps its number in the file."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from libs.events import strict_json
from libs.service.order_files import COLUMNS, json_records
from libs.service.sheets import CSV, XLSX, Cell, as_text, places, read_sheet

JSON_LINES = "application/x-ndjson"
KINDS = {".csv": CSV, ".xlsx": XLSX, ".jsonl": JSON_LINES, ".ndjson": JSON_LINES, ".json": JSON_LINES}
PART_BYTES = 2_000_000
MOST_ROWS = 5_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """What goes in one call; the n-th of its rows is row `rows[n - 1]` of the file."""

    content: bytes
    media_type: str
    rows: Sequence[int]

    def row(self, number: int) -> int:
        """The row of the file that the answer to this part calls `number`; 0 is the header."""
        return self.rows[number - 1] if 0 < number <= len(self.rows) else 0


def kind_of(file: Path) -> str | None:
    """The media type, by the name's ending."""
    return KINDS.get(file.suffix.lower())


def split(media_type: str, content: bytes, size: int = PART_BYTES) -> list[Part]:
    """The parts, in the order of the orders' first rows. Raises InvalidBody, Validation for a table that is none."""
    if media_type == JSON_LINES:
        lines = list(json_records(content))
        keyed = [(_key_of_line(line) or f"\0{n}", n, line) for n, line in enumerate(lines, 1)]
        return [Part(b"\n".join(some), JSON_LINES, rows) for some, rows in _gathered(keyed, size)]
    sheet = read_sheet(media_type, content, most_rows=MOST_ROWS)
    key = places(sheet.header, COLUMNS).get("order_id")
    header = _csv_line(sheet.header)
    rows = [(n, row) for n, row in enumerate(sheet.rows, 1) if any(cell != "" for cell in row)]
    keyed = [(_key_of_row(row, key) or f"\0{n}", n, _csv_line(row)) for n, row in rows]
    return [Part(header + b"".join(some), CSV, numbers) for some, numbers in _gathered(keyed, size)]


def _key_of_line(line: bytes) -> str | None:
    try:
        decoded = strict_json.loads(line)
    except strict_json.InvalidJson:
        return None
    key = decoded.get("order_id") if isinstance(decoded, dict) else None
    return key if isinstance(key, str) else None


def _key_of_row(row: Sequence[Cell], place: int | None) -> str:
    return as_text(row[place]) if place is not None and place < len(row) else ""


def _csv_line(cells: Sequence[Cell]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerow([_cell(cell) for cell in cells])
    return written.getvalue().encode()


def _cell(cell: Cell) -> str:
    return cell.isoformat(sep=" ") if isinstance(cell, datetime) else as_text(cell)


def _gathered(keyed: Sequence[tuple[str, int, bytes]], size: int) -> Iterator[tuple[list[bytes], list[int]]]:
    """Rows of one key together, keys together up to a size."""
    orders: dict[str, list[tuple[int, bytes]]] = {}
    for key, number, line in keyed:
        orders.setdefault(key, []).append((number, line))
    lines: list[bytes] = []
    numbers: list[int] = []
    held = 0
    for rows in orders.values():
        weight = sum(len(line) + 1 for _, line in rows)
        if lines and held + weight > size:
            yield lines, numbers
            lines, numbers, held = [], [], 0
        lines += [line for _, line in rows]
        numbers += [number for number, _ in rows]
        held += weight
    if lines:
        yield lines, numbers
