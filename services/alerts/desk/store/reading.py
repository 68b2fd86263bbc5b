"""SQL of what is asked about conversations and service levels."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, select, text, true, tuple_

from libs.events.transaction import Transaction
from libs.service.errors import NotFound
from services.alerts.desk.store.conversations import Key
from services.alerts.tables import CLOCK, CONVERSATION

_C, _K = CONVERSATION.c, CLOCK.c
By = Literal["class", "agent", "hour"]


async def load_conversation(store: str, conversation_id: str, tx: Transaction) -> Row[Any]:
    """A conversation. Raises NotFound."""
    query = select(CONVERSATION).where(_C.store == store, _C.conversation_id == conversation_id)
    row = (await tx.session.execute(query)).one_or_none()
    if row is None:
        raise NotFound("there is no such conversation")
    return row


async def list_conversations(
    store: str,
    *,
    breached: bool | None,
    service_class: str | None,
    after: tuple[datetime, str] | None,
    limit: int,
    tx: Transaction,
) -> Sequence[Row[Any]]:
    """Conversations, the newest first; class `complex` are those with a complex problem."""
    of_class: Any = true()
    if service_class is not None:
        of_class = _C.is_complex if service_class == "complex" else _C["class"] == service_class
    rows = await tx.session.execute(
        select(CONVERSATION)
        .where(_C.store == store, of_class)
        .where(true() if breached is None else _C.breached if breached else ~_C.breached)
        .where(tuple_(_C.opened_at, _C.conversation_id) < after if after else true())
        .order_by(_C.opened_at.desc(), _C.conversation_id.desc())
        .limit(limit)
    )
    return rows.all()


async def load_states(keys: Sequence[Key], tx: Transaction) -> Mapping[Key, Sequence[Row[Any]]]:
    """The saved clocks of these conversations, in the order of their start."""
    found: defaultdict[Key, list[Row[Any]]] = defaultdict(list)
    if keys:
        rows = await tx.session.execute(
            select(CLOCK)
            .where(tuple_(_K.store, _K.conversation_id).in_(list(keys)))
            .order_by(_K.started_at, _K.policy, _K.since, _K.kind, _K.number)
        )
        for row in rows:
            found[row.store, row.conversation_id].append(row)
    return found


_GROUPS: Mapping[By | None, str] = {
    None: "NULL::text",
    "class": "class",
    "agent": "agent_id",
    "hour": ("started_at - (started_at AT TIME ZONE :zone - date_trunc('hour', started_at AT TIME ZONE :zone))"),
}
"""What service levels are told by. An hour is named by its first instant: one that DST repeats is two."""


async def service_levels(
    store: str, policy: str, since: datetime, until: datetime, by: By | None, zone: str, tx: Transaction
) -> Sequence[Row[Any]]:
    """Clocks that started in [since, until), counted by state, with the service time of those that have stopped."""
    stopped = "FILTER (WHERE stopped_at IS NOT NULL)"
    rows = await tx.session.execute(
        text(
            f"SELECT {_GROUPS[by]} AS part, kind,"
            " count(*) FILTER (WHERE state = 'met') AS met, count(*) FILTER (WHERE state = 'breached') AS breached,"
            " count(*) FILTER (WHERE state IN ('running', 'paused')) AS running,"
            f" sum(elapsed_us) {stopped} AS total_us, count(*) {stopped} AS stopped,"
            f" percentile_disc(0.5) WITHIN GROUP (ORDER BY elapsed_us) {stopped} AS p50_us,"
            f" percentile_disc(0.9) WITHIN GROUP (ORDER BY elapsed_us) {stopped} AS p90_us"
            f" FROM {CLOCK.fullname} WHERE store = :store AND policy = :policy AND judges"
            " AND started_at >= :since AND started_at < :until GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 2"
        ),
        {"store": store, "policy": policy, "since": since, "until": until, **({"zone": zone} if by == "hour" else {})},
    )
    return rows.all()
