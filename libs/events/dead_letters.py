"""Dead letters: what could not be handled, with the reason and the raw bytes, on `<topic>.dead`."""

from datetime import datetime

from libs.events.bus import Message, Record
from libs.events.contracts.base import dead

_PREFIX = "dead_"
REASON_LIMIT = 1_000


def dead_letter(record: Record, *, consumer: str, reason: str, at: datetime) -> Message:
    """The dead letter of a record: its own bytes and headers, and where, why and when it failed."""
    about = {
        "consumer": consumer,
        "reason": reason[:REASON_LIMIT],
        "at": at.isoformat(),
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
    }
    added = tuple((f"{_PREFIX}{name}", value.encode()) for name, value in about.items())
    own = tuple(header for header in record.headers if not header[0].startswith(_PREFIX))
    return Message(dead(record.topic), record.key or b"?", record.value, own + added)


def described(record: Record) -> dict[str, str]:
    """Where, why and when a dead letter failed."""
    return {
        name.removeprefix(_PREFIX): value.decode("utf-8", "replace")
        for name, value in record.headers
        if name.startswith(_PREFIX)
    }


def requeued(record: Record) -> Message:
    """The original message of a dead letter, to be published again. The order within its key may break (D52)."""
    original = described(record)["topic"]
    return Message(original, record.key, record.value, tuple(h for h in record.headers if not h[0].startswith(_PREFIX)))
