"""SQL of conversations: their logs, their clocks, what was said of them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from libs.events.transaction import Transaction
from services.alerts.desk.domain.clocks import Clock
from services.alerts.desk.domain.log import Did, Fact, Log, On
from services.alerts.desk.domain.policies import BEGINNING, Kind, ServiceClass
from services.alerts.desk.domain.standing import Said
from services.alerts.tables import CLOCK, CONVERSATION, CONVERSATION_FACT

Key = tuple[str, str]
"""(store, conversation)."""
ClockKey = tuple[str, datetime, Kind, int]
ONE_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A fact that came in: of which conversation, and until when more of its log may be on its way."""

    key: Key
    fact: Fact
    event_id: str
    source: str
    settled_at: datetime
    imported: bool


@dataclass(frozen=True, slots=True)
class KeptConversation:
    """What is kept of a conversation besides its log."""

    settled_at: datetime
    known_until: datetime
    imported: bool
    version: int


@dataclass(frozen=True, slots=True)
class KeptClock:
    """A clock as it was saved."""

    told: tuple[Any, ...]
    """what is told of it: see `told_of`"""
    said: Said
    timer_at: datetime | None
    rule_class: ServiceClass
    limit: timedelta


# the log


async def add_facts(arrivals: Sequence[Arrival], tx: Transaction) -> None:
    """Write facts; those that are there already have no second effect."""
    if arrivals:
        rows = sorted(map(_fact_row, arrivals), key=lambda row: (row["store"], row["conversation_id"], row["event_id"]))
        await tx.session.execute(insert(CONVERSATION_FACT).on_conflict_do_nothing(), rows)


def _fact_row(arrival: Arrival) -> dict[str, Any]:
    fact = arrival.fact
    said = {
        "agent_id": fact.agent_id,
        "is_automatic": fact.is_automatic or None,
        "topic_class": fact.topic_class,
        "is_complex": fact.is_complex,
        "on": fact.on,
        "by": fact.by,
        "score": fact.score,
        "details": dict(fact.details) or None,
    }
    return {
        "store": arrival.key[0],
        "conversation_id": arrival.key[1],
        "event_id": arrival.event_id,
        "source": arrival.source,
        "did": fact.did.value,
        "at": fact.at,
        "data": {name: value for name, value in said.items() if value is not None},
    }


_F = CONVERSATION_FACT.c


async def load_logs(keys: Collection[Key], tx: Transaction) -> dict[Key, Log]:
    """The logs of these conversations."""
    if not keys:
        return {}
    rows = await tx.session.execute(
        select(_F.store, _F.conversation_id, _F.event_id, _F.source, _F.did, _F.at, _F.data).where(
            tuple_(_F.store, _F.conversation_id).in_(sorted(keys))
        )
    )
    facts: defaultdict[Key, list[Fact]] = defaultdict(list)
    for row in rows:
        facts[row.store, row.conversation_id].append(_fact(row))
    return {key: Log(facts[key]) for key in keys}


def _fact(row: Any) -> Fact:
    data: Mapping[str, Any] = row.data
    topic_class, on = data.get("topic_class"), data.get("on")
    return Fact(
        did=Did(row.did),
        at=row.at,
        id=f"{row.event_id} {row.source}",
        agent_id=data.get("agent_id"),
        is_automatic=data.get("is_automatic", False),
        topic_class=ServiceClass(topic_class) if topic_class else None,
        is_complex=data.get("is_complex"),
        on=On(on) if on else None,
        by=data.get("by"),
        score=data.get("score"),
        details=data.get("details", {}),
    )


# the conversation

_C = CONVERSATION.c
_KEY = tuple_(_C.store, _C.conversation_id)


async def touch_conversations(arrivals: Sequence[Arrival], tx: Transaction) -> dict[Key, KeptConversation]:
    """Make the rows of new conversations, lock all, and note until when more of them may be on its way."""
    newest: dict[Key, Arrival] = {}
    imported: set[Key] = set()
    for arrival in arrivals:
        before = newest.get(arrival.key)
        newest[arrival.key] = arrival if before is None or arrival.settled_at > before.settled_at else before
        if arrival.imported:
            imported.add(arrival.key)
    statement = insert(CONVERSATION)
    said = statement.excluded
    changed = {
        "settled_at": func.greatest(_C.settled_at, said.settled_at),
        "imported": _C.imported | said.imported,
    }
    await tx.session.execute(
        statement.on_conflict_do_update(index_elements=["store", "conversation_id"], set_=changed),
        [_stub(newest[key], imported=key in imported) for key in sorted(newest)],
    )
    return await lock_conversations(newest, tx)


def _stub(arrival: Arrival, *, imported: bool) -> dict[str, Any]:
    return {
        "store": arrival.key[0],
        "conversation_id": arrival.key[1],
        "is_complex": False,
        "status": "open",
        "opened_at": arrival.fact.at,
        "breached": False,
        "imported": imported,
        "settled_at": arrival.settled_at,
        "known_until": BEGINNING,
        "recount": False,
        "version": 0,
    }


async def lock_conversations(
    keys: Collection[Key], tx: Transaction, *, skip_locked: bool = False
) -> dict[Key, KeptConversation]:
    """Lock these conversations in their order; `skip_locked` leaves out those that another is at."""
    if not keys:
        return {}
    rows = await tx.session.execute(
        select(_C.store, _C.conversation_id, _C.settled_at, _C.known_until, _C.imported, _C.version)
        .where(_KEY.in_(sorted(keys)))
        .order_by(_C.store, _C.conversation_id)
        .with_for_update(skip_locked=skip_locked)
    )
    return {
        (row.store, row.conversation_id): KeptConversation(row.settled_at, row.known_until, row.imported, row.version)
        for row in rows
    }


async def save_conversations(rows: Sequence[Mapping[str, Any]], tx: Transaction) -> None:
    """Write what follows from the logs; the rows are there."""
    if rows:
        names = [name for name in rows[0] if name not in ("store", "conversation_id")]
        sets = ", ".join(f'"{name}" = :{name}' for name in names)
        await tx.session.execute(
            text(
                f"UPDATE {CONVERSATION.fullname} SET {sets} WHERE store = :store AND conversation_id = :conversation_id"
            ),
            [dict(row) for row in rows],
        )


# clocks

_K = CLOCK.c


def told_of(clock: Clock) -> tuple[Any, ...]:
    """What is told of a clock: when this is as before, there is no news. (The time it has run, only at its end.)"""
    ran = clock.elapsed // ONE_MICROSECOND if clock.is_over else None
    return (
        clock.service_class.value,
        int(clock.limit.total_seconds()),
        clock.started_at,
        clock.due_at,
        clock.stopped_at,
        ran,
        clock.state.value,
        clock.agent_id,
        clock.judges,
    )


async def load_clocks(keys: Collection[Key], tx: Transaction) -> dict[Key, dict[ClockKey, KeptClock]]:
    """The clocks of these conversations as they were saved."""
    found: dict[Key, dict[ClockKey, KeptClock]] = {key: {} for key in keys}
    if not keys:
        return found
    rows = await tx.session.execute(select(CLOCK).where(tuple_(_K.store, _K.conversation_id).in_(sorted(keys))))
    for row in rows:
        service_class = row._mapping["class"]
        told = (
            service_class,
            row.limit_seconds,
            row.started_at,
            row.due_at,
            row.stopped_at,
            row.elapsed_us if row.stopped_at is not None else None,
            row.state,
            row.agent_id,
            row.judges,
        )
        found[row.store, row.conversation_id][row.policy, row.since, Kind(row.kind), row.number] = KeptClock(
            told,
            Said(row.warned, row.fired, row.alerting),
            row.timer_at,
            ServiceClass(service_class),
            timedelta(seconds=row.limit_seconds),
        )
    return found


def clock_row(key: Key, clock: Clock, said: Said, timer_at: datetime | None, version: int) -> dict[str, Any]:
    """A clock as it is saved."""
    return {
        "store": key[0],
        "conversation_id": key[1],
        "policy": clock.policy,
        "since": clock.since,
        "kind": clock.kind.value,
        "number": clock.number,
        "class": clock.service_class.value,
        "limit_seconds": int(clock.limit.total_seconds()),
        "started_at": clock.started_at,
        "due_at": clock.due_at,
        "stopped_at": clock.stopped_at,
        "elapsed_us": clock.elapsed // ONE_MICROSECOND,
        "state": clock.state.value,
        "agent_id": clock.agent_id,
        "judges": clock.judges,
        "warned": said.warned,
        "fired": said.fired,
        "alerting": said.alerting,
        "timer_at": timer_at,
        "version": version,
    }


_CLOCK_KEY = ("store", "conversation_id", "policy", "since", "kind", "number")


async def save_clocks(rows: Sequence[Mapping[str, Any]], tx: Transaction) -> None:
    """Write clocks."""
    if rows:
        statement = insert(CLOCK)
        changed = {name: statement.excluded[name] for name in rows[0] if name not in _CLOCK_KEY}
        await tx.session.execute(
            statement.on_conflict_do_update(index_elements=list(_CLOCK_KEY), set_=changed), [dict(row) for row in rows]
        )


async def delete_clocks(gone: Collection[tuple[Key, ClockKey]], tx: Transaction) -> None:
    """Forget clocks that the log does not know any more."""
    if gone:
        columns = tuple_(*(_K[name] for name in _CLOCK_KEY))
        values = [(*key, policy, since, kind.value, n) for key, (policy, since, kind, n) in gone]
        await tx.session.execute(delete(CLOCK).where(columns.in_(values)))


# timers


async def list_due(until: datetime, limit: int, tx: Transaction) -> set[Key]:
    """Conversations with a clock whose time has come for sure, the earliest first."""
    rows = await tx.session.execute(
        select(_K.store, _K.conversation_id).where(_K.timer_at < until).order_by(_K.timer_at).limit(limit)
    )
    return {(row.store, row.conversation_id) for row in rows}


async def list_recounts(limit: int, tx: Transaction) -> set[Key]:
    """Conversations whose policies have changed."""
    rows = await tx.session.execute(
        select(_C.store, _C.conversation_id).where(_C.recount).order_by(_C.store, _C.conversation_id).limit(limit)
    )
    return {(row.store, row.conversation_id) for row in rows}


async def recount_unresolved(store: str, tx: Transaction) -> None:
    """Have the open conversations of a store measured anew: a policy or a calendar has changed."""
    await tx.session.execute(
        update(CONVERSATION).where(_C.store == store, _C.status != "resolved", ~_C.recount).values(recount=True)
    )
