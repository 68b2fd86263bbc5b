"""A changed policy or calendar is laid at the conversations that are still open."""

from collections.abc import Sequence

from libs.events.codec import Envelope
from libs.events.consumer import on_batch
from libs.events.contracts import PolicyChanged
from libs.events.transaction import Transaction
from services.alerts.desk.store.conversations import recount_unresolved
from services.alerts.desk.store.rulers import CALENDAR, SLA_POLICY


async def note_changes(events: Sequence[Envelope[PolicyChanged]], tx: Transaction) -> None:
    """Have the open conversations of the stores measured anew."""
    for store in sorted({event.store for event in events if event.data.kind in (CALENDAR, SLA_POLICY)}):
        await recount_unresolved(store, tx)


REACTIONS = (on_batch((PolicyChanged,), note_changes),)
