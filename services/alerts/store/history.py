"""The journal: what this service has accepted, to be told once more."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any

from libs.events.codec import Envelope, Undecodable, UnknownType, UnknownVersion, from_record
from libs.events.journal import read_segments
from libs.events.transaction import Transaction
from services.alerts.tables import JOURNAL


async def read_history(
    store: str, topics: Sequence[str], kinds: Collection[type], since: datetime, tx: Transaction
) -> AsyncIterator[Envelope[Any]]:
    """A store's events of these topics and kinds; segments in which everything happened before `since` are left out."""
    mine = f"{store}/".encode()
    async for segment in read_segments(tx.session, JOURNAL, topics=topics, since=since):
        for record in segment:
            envelope = _read(record) if record.key.startswith(mine) else None
            if envelope is not None and type(envelope.data) in kinds:
                yield envelope


def _read(record: Any) -> Envelope[Any] | None:
    try:
        return from_record(record)
    except (Undecodable, UnknownType, UnknownVersion):
        return None
