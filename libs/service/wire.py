"""Answers as bytes: strict JSON, instants in the store's offset."""

import json
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import BaseModel


def encode(body: Any, zone: tzinfo | None = None) -> bytes:
    """Compact UTF-8 JSON, nothing for None; instants in the offset of `zone`. NaN, Infinity: ValueError."""
    if body is None:
        return b""
    return json.dumps(body, default=_plain(zone), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _plain(zone: tzinfo | None) -> Callable[[Any], Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, BaseModel):
            return value.model_dump(by_alias=True)
        if isinstance(value, datetime):
            return instant(value, zone)
        if isinstance(value, date | UUID):
            return str(value)
        if isinstance(value, Enum):
            return value.value
        if isinstance(value, frozenset | set):
            return sorted(value)
        if isinstance(value, Decimal):
            return float(value)
        if is_dataclass(value) and not isinstance(value, type):
            return asdict(value)
        raise TypeError(f"{type(value).__name__} has no form on the wire")

    return plain


def instant(value: datetime, zone: tzinfo | None = None) -> str:
    """RFC 3339 with the offset of `zone`. Raises ValueError for a time without offset: it is none."""
    if value.tzinfo is None:
        raise ValueError("an instant has an offset")
    return (value.astimezone(zone) if zone is not None else value).isoformat()
