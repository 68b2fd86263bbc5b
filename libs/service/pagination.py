"""Lists in pages: `?limit=` and an opaque `?cursor=` that says after which row to go on."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query

from libs.service.errors import Validation, fault

T = TypeVar("T")
DEFAULT_LIMIT, GREATEST_LIMIT = 50, 500


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list is asked for. Load `page.fetch` rows: the one too many tells that there is a next page."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None

    @property
    def fetch(self) -> int:
        """How many rows to read."""
        return self.limit + 1

    def after(self, *types: type) -> tuple[Any, ...] | None:
        """The sort key of the last row seen, one value a type (str, int, datetime); None on the first page.

        Raises Validation for a cursor that is not one of ours.
        """
        return None if self.cursor is None else _decode(self.cursor, types)


async def _page(
    limit: Annotated[int, Query(ge=1, le=GREATEST_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> PageRequest:
    return PageRequest(limit, cursor)


Page = Annotated[PageRequest, Depends(_page)]


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of answers and how to get the next."""

    items: list[Any]
    next_cursor: str | None


def listing(page: PageRequest, rows: Sequence[T], key: Callable[[T], tuple[Any, ...]]) -> tuple[list[T], str | None]:
    """Cut `rows` (at most `page.fetch`) to the page; with the cursor of the next one, if any, by the last row's key."""
    shown = list(rows[: page.limit])
    return shown, encode(key(shown[-1])) if len(rows) > page.limit else None


def encode(values: Sequence[Any]) -> str:
    """A cursor from a sort key of strings, integers and instants."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def _decode(cursor: str, types: Sequence[type]) -> tuple[Any, ...]:
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        if not isinstance(values, list) or len(values) != len(types):
            raise ValueError("another list's cursor")
        return tuple(_value(value, kind) for value, kind in zip(values, types, strict=True))
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise Validation(
            "the cursor is not one of this list", errors=[fault("/cursor", "cursor", "unknown")]
        ) from error


def _value(value: Any, kind: type) -> Any:
    if kind is datetime:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise ValueError("an instant without offset")
        return instant
    if type(value) is not kind:
        raise ValueError("another list's cursor")
    if (isinstance(value, int) and abs(value) >= 2**63) or (isinstance(value, str) and "\0" in value):
        raise ValueError("a value that no row has")
    return value
