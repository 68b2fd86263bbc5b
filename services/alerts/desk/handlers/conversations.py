"""Events of conversations become facts of their logs; what is touched is measured anew (SRV-1 to SRV-6)."""

from collections.abc import Sequence
from typing import Any

from libs.events.codec import Envelope
from libs.events.consumer import on_batch
from libs.events.contracts import (
    ConversationAssigned,
    ConversationClassed,
    ConversationOpened,
    ConversationReopened,
    ConversationResolved,
    ConversationWaiting,
    MessageReceived,
    MessageReplied,
    RatingGiven,
)
from libs.events.contracts.base import Event
from libs.events.transaction import Transaction
from services.alerts.desk.domain.log import Did, Fact, On
from services.alerts.desk.domain.policies import ServiceClass
from services.alerts.desk.domain.standing import settled_at
from services.alerts.desk.handlers.measuring import measure_anew
from services.alerts.desk.handlers.quarantine import without_future
from services.alerts.desk.store import conversations as kept
from services.alerts.desk.store.conversations import Arrival

DONE: dict[type[Event], Did] = {
    ConversationOpened: Did.OPENED,
    ConversationClassed: Did.CLASSED,
    ConversationAssigned: Did.ASSIGNED,
    ConversationReopened: Did.REOPENED,
    MessageReceived: Did.RECEIVED,
    MessageReplied: Did.REPLIED,
    ConversationWaiting: Did.WAITING,
    ConversationResolved: Did.RESOLVED,
    RatingGiven: Did.RATED,
}
_DETAILS = ("customer_id", "customer_tier", "order_id", "sku", "via", "subject_line")


async def note(events: Sequence[Envelope[Any]], tx: Transaction) -> None:
    """Keep what happened in conversations and measure them anew; no order of arrival matters."""
    past = await without_future(events, tx)
    arrivals = [arrival(event) for event in past if event.data.conversation_id is not None]
    if not arrivals:
        return
    touched = await kept.touch_conversations(arrivals, tx)
    await kept.add_facts(arrivals, tx)
    causes = {(event.store, event.data.conversation_id): event for event in past}
    await measure_anew(touched, tx, causes=causes)


def arrival(event: Envelope[Any]) -> Arrival:
    """An event as a fact of its conversation's log."""
    imported = event.import_id is not None
    return Arrival(
        key=(event.store, event.data.conversation_id),
        fact=_fact(event),
        event_id=event.id,
        source=event.source,
        settled_at=settled_at(event.recorded_time, imported=imported),
        imported=imported,
    )


def _fact(event: Envelope[Any]) -> Fact:
    data = event.data
    topic_class, on = getattr(data, "topic_class", None), getattr(data, "on", None)
    return Fact(
        did=DONE[type(data)],
        at=event.time,
        id=f"{event.id} {event.source}",
        agent_id=getattr(data, "agent_id", None),
        is_automatic=getattr(data, "is_automatic", False),
        topic_class=ServiceClass(topic_class) if topic_class else None,
        is_complex=getattr(data, "is_complex", None),
        on=On(on) if on else None,
        by=getattr(data, "by", None),
        score=getattr(data, "score", None),
        details=_details(data) if isinstance(data, ConversationOpened) else {},
    )


def _details(data: ConversationOpened) -> dict[str, str]:
    given = {name.removesuffix("_line"): getattr(data, name) for name in _DETAILS}
    return {name: value for name, value in given.items() if value}


REACTIONS = (on_batch(tuple(DONE), note),)
