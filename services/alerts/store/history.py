"""The journal: what this service has accepted, to be told once more."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from libs.events.bus import Record
from libs.events.journal import read_segments
from libs.events.transaction import Transaction
from services.alerts.tables import JOURNAL


async def read_history(store: str, topics: Sequence[str], since: datetime, tx: Transaction) -> AsyncIterator[Record]:
    """A store's records of these topics; segments in which everything happened before `since` are left out."""
    mine = f"{store}/".encode()
    async for segment in read_segments(tx.session, JOURNAL, topics=topics, since=since):
        for record in segment:
            if record.key.startswith(mine):
                yield record
