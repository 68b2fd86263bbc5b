"""What all targets share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Result(StrEnum):
    """What an answer of a target means."""

    SENT = "sent"
    AGAIN = "again"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an attempt; `detail` says why in words without any secret, and what may help."""

    result: Result
    detail: str = ""
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A POST, ready to be sent; or, for an smtp address, a mail."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Notification:
    """What one call tells: one message of the ledger, or several in a digest. `console` is where people read on."""

    notification_id: str
    bodies: Sequence[Mapping[str, Any]]
    console: str


@dataclass(frozen=True, slots=True)
class Limit:
    """So many messages at once, then so many a minute: the target's own limit is their sum."""

    burst: int
    a_minute: int


def by_status(status: int, after_seconds: float | None = None) -> Outcome:
    """2xx: sent. 4xx that will stay: refused. Everything else: again."""
    if 200 <= status < 300:
        return Outcome(Result.SENT)
    if status in (408, 425, 429) or status >= 500 or 300 <= status < 400:
        return Outcome(Result.AGAIN, f"HTTP {status}", after_seconds)
    return Outcome(Result.REFUSED, f"HTTP {status}")
