"""What all targets share."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """What an answer of a target means."""

    SENT = "sent"
    AGAIN = "again"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an attempt; `detail` says why in words without any secret."""

    result: Result
    detail: str = ""
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A POST, ready to be sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes
