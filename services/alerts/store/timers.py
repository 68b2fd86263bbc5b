"""Deadlines that run: a row each, taken with SKIP LOCKED when their time has come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, or_, select, true, tuple_
from sqlalchemy.dialects.postgresql import insert

from libs.events.transaction import Transaction
from services.alerts.tables import TIMER


@dataclass(frozen=True, slots=True)
class Timer:
    """A deadline of a rule. It fires when its topic is complete up to `due_at`."""

    store: str
    rule: str
    key: str
    topic: str
    due_at: datetime
    about: Mapping[str, str]
    figures: Mapping[str, Any] = field(default_factory=dict)


AT_ONCE: Final = 5_000
"""A statement takes 32,767 arguments at most, and a key has three."""
_COLUMNS = tuple(TIMER.c[name] for name in Timer.__dataclass_fields__)
_KEY = tuple_(TIMER.c.store, TIMER.c.rule, TIMER.c.key)


async def start_timers(timers: Sequence[Timer], tx: Transaction) -> None:
    """Start deadlines; one that runs under the same key is set anew."""
    rows = {(t.store, t.rule, t.key): t for t in timers}
    statement = insert(TIMER)
    new = {name: statement.excluded[name] for name in ("topic", "due_at", "about", "figures")}
    if rows:
        await tx.session.execute(
            statement.on_conflict_do_update(index_elements=["store", "rule", "key"], set_=new),
            [_row(rows[key]) for key in sorted(rows)],
        )


def _row(timer: Timer) -> dict[str, Any]:
    row = {name: getattr(timer, name) for name in Timer.__dataclass_fields__}
    return {**row, "about": dict(timer.about), "figures": dict(timer.figures)}


async def stop_timers(keys: Sequence[tuple[str, str, str]], tx: Transaction) -> None:
    """End deadlines, by (store, rule, key); those that do not run are left out."""
    wanted = sorted(set(keys))
    for begin in range(0, len(wanted), AT_ONCE):
        await tx.session.execute(delete(TIMER).where(_KEY.in_(wanted[begin : begin + AT_ONCE])))


async def take_due(
    until: Mapping[str, datetime], limit: int, tx: Transaction, *, store: str | None = None
) -> list[Timer]:
    """Deadlines that have passed for sure (`until`: topic -> complete up to), taken away, the earliest first."""
    passed = [(TIMER.c.topic == topic) & (TIMER.c.due_at <= mark) for topic, mark in sorted(until.items())]
    if not passed:
        return []
    mine = TIMER.c.store == store if store else true()
    query = select(*_COLUMNS).where(mine, or_(*passed)).order_by(TIMER.c.due_at, *_KEY.clauses).limit(limit)
    rows = [Timer(*row) for row in await tx.session.execute(query.with_for_update(skip_locked=True))]
    await stop_timers([(t.store, t.rule, t.key) for t in rows], tx)
    return rows


async def list_timers(rules: Sequence[str], tx: Transaction, *, store: str | None = None) -> list[Timer]:
    """The deadlines of these rules that run."""
    query = select(*_COLUMNS).where(TIMER.c.rule.in_(sorted(rules)))
    rows = await tx.session.execute(query.where(TIMER.c.store == store) if store else query)
    return [Timer(*row) for row in rows]
