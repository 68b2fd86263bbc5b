"""A file of service events: CloudEvents as JSON lines, or a table whose columns have their names (D63). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.events import strict_json
from libs.events.codec import BATCH
from libs.events.contracts import BY_TYPE
from libs.events.door import Door, Incoming, Refusal, parse_http
from libs.service.sheets import CSV, XLSX, Cell, Sheet, as_text, cell_error, read_sheet

JSON_LINES = "application/x-ndjson"
EVENTS = tuple(event for event in BY_TYPE.values() if event.TOPIC == "service")
ATTRIBUTES = ("id", "type", "time", "source")
FIELDS = frozenset(info.alias or name for event in EVENTS for name, info in event.model_fields.items())
NUMBERS = frozenset({"score", "stars"})
FLAGS = frozenset({"is_automatic", "is_complex"})
YES, NO = frozenset({"true", "1", "yes", "是"}), frozenset({"false", "0", "no", "否"})
MOST_ROWS = 5_000_000
LOOKED_AT = 1_000

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be an event; rows count from 1 (of a table: below the header)."""

    row: int
    column: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be sent: each conversation's events together, in the order of their times; and what cannot be."""

    events: Sequence[Record]
    errors: Sequence[BadRow]


def plan(media_type: str, content: bytes, *, store: str, import_id: str) -> Plan:
    """Every row read and checked by the contracts. Raises InvalidBody, Validation for a table that is none."""
    records: list[Record] = []
    rows: list[int] = []
    errors: list[BadRow] = []
    for row, record in _records(media_type, content):
        if isinstance(record, BadRow):
            errors.append(record)
        else:
            records.append(_completed(record, row, store, import_id))
            rows.append(row)
    checked = list(_checked(records, store))
    errors += [BadRow(rows[n], item.pointer, item.message) for n, item in enumerate(checked) if _is_bad(item)]
    sorting = {id(records[n]): _place(item) for n, item in enumerate(checked) if isinstance(item, Incoming)}
    good = [record for record in records if id(record) in sorting]
    return Plan(sorted(good, key=lambda record: sorting[id(record)]), sorted(errors, key=lambda error: error.row))


def _is_bad(item: Incoming[Any] | Refusal) -> bool:
    return isinstance(item, Refusal)


def _place(item: Incoming[Any]) -> tuple[str, datetime, str]:
    return item.data.subject, item.time, item.id


def _checked(records: Sequence[Record], store: str) -> Iterator[Any]:
    """What the front door would say of each."""
    door = Door(EVENTS, store=store)
    for n in range(0, len(records), LOOKED_AT):
        body = strict_json.dumps(records[n : n + LOOKED_AT])
        yield from parse_http({"content-type": BATCH}, body, door)


def _completed(record: Record, row: int, store: str, import_id: str) -> Record:
    """With what every event needs: the row's number as id, the import as source, the first version of its type."""
    given = {name: value for name, value in record.items() if name != "store" or value != store}
    type_ = given.get("type")
    if isinstance(type_, str) and f"{type_}.v1" in BY_TYPE:
        given["type"] = f"{type_}.v1"
    made = {"specversion": "1.0", "id": f"row-{row}", "source": f"/imports/{import_id}"}
    return {**made, **given, "importid": import_id}


# reading


def _records(media_type: str, content: bytes) -> Iterator[tuple[int, Record | BadRow]]:
    if media_type == JSON_LINES:
        yield from _lines(content)
    else:
        yield from _rows(read_sheet(media_type, content, most_rows=MOST_ROWS))


def _lines(content: bytes) -> Iterator[tuple[int, Record | BadRow]]:
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if not line.strip():
            continue
        try:
            decoded = strict_json.loads(line)
        except strict_json.InvalidJson as problem:
            yield number, BadRow(number, problem.pointer, problem.message)
            continue
        yield number, decoded if isinstance(decoded, dict) else BadRow(number, "", "not an object")


def _rows(sheet: Sheet) -> Iterator[tuple[int, Record | BadRow]]:
    for name in sheet.header:
        if name and name not in FIELDS and name not in ATTRIBUTES:
            raise cell_error(0, name[:64], "unknown_field", "unknown column")
    for number, row in enumerate(sheet.rows, 1):
        cells = {name: cell for name, cell in zip(sheet.header, row, strict=False) if name and cell != ""}
        if cells:
            yield number, _of_cells(cells)


def _of_cells(cells: Mapping[str, Cell]) -> Record:
    data = {name: _value(name, cell) for name, cell in cells.items() if name not in ATTRIBUTES}
    return {**{name: as_text(cells[name]) for name in ATTRIBUTES if name in cells}, "data": data}


def _value(name: str, cell: Cell) -> Any:
    """A cell as its field wants it; what it cannot be stays a text, which the contract refuses with its place."""
    text = as_text(cell)
    if name in NUMBERS and text.isdecimal():
        return int(text)
    if name in FLAGS and text.lower() in YES | NO:
        return text.lower() in YES
    return text


KINDS = {".csv": CSV, ".xlsx": XLSX, ".jsonl": JSON_LINES, ".ndjson": JSON_LINES, ".json": JSON_LINES}
