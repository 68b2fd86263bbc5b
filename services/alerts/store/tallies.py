"""How often things happened, and what was changed: the ground of rates and of evidence (ALR-6, ALR-13)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from libs.events.transaction import Transaction
from services.alerts.tables import CHANGE, MEASURED, ORDER_SEEN, PULSE, TALLY

KEPT = timedelta(days=60)


class Tally(NamedTuple):
    """Something that happened `n` times, with its money. `value`: a SKU, a payment method, or '' for the store."""

    store: str
    kind: str
    value: str
    hour: datetime
    n: int
    cents: int = 0


async def add_tallies(tallies: Sequence[Tally], tx: Transaction) -> None:
    """Count."""
    sums: dict[tuple[str, str, str, datetime], list[int]] = {}
    for tally in tallies:
        cell = sums.setdefault(tally[:4], [0, 0])
        cell[0] += tally.n
        cell[1] += tally.cents
    statement = insert(TALLY)
    change = {"n": TALLY.c.n + statement.excluded.n, "cents": TALLY.c.cents + statement.excluded.cents}
    if sums:
        names = ("store", "kind", "value", "hour")
        rows = [{**dict(zip(names, key, strict=True)), "n": n, "cents": c} for key, (n, c) in sorted(sums.items())]
        await tx.session.execute(statement.on_conflict_do_update(index_elements=list(names), set_=change), rows)


class Count(NamedTuple):
    """What was counted in a time."""

    n: int
    cents: int


async def load_counts(
    store: str,
    kinds: Collection[str],
    since: datetime,
    until: datetime,
    tx: Transaction,
    *,
    values: Collection[str] | None = None,
) -> dict[tuple[str, str], Count]:
    """(kind, value) -> what was counted in the hours of [since, until)."""
    query = (
        select(TALLY.c.kind, TALLY.c.value, func.sum(TALLY.c.n), func.sum(TALLY.c.cents))
        .where(TALLY.c.store == store, TALLY.c.kind.in_(sorted(kinds)))
        .where(TALLY.c.hour >= since, TALLY.c.hour < until)
        .group_by(TALLY.c.kind, TALLY.c.value)
    )
    if values is not None:
        query = query.where(TALLY.c.value.in_(sorted(values)))
    return {(kind, value): Count(int(n), int(c)) for kind, value, n, c in await tx.session.execute(query)}


@dataclass(frozen=True, slots=True)
class Change:
    """Something was changed, or seen. `subject`: a SKU; a report; a warehouse."""

    store: str
    at: datetime
    kind: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)


_CHANGE = tuple(CHANGE.c[name] for name in Change.__dataclass_fields__)


async def add_changes(changes: Sequence[Change], tx: Transaction) -> None:
    """Write down changes."""
    rows = [{n: getattr(change, n) for n in Change.__dataclass_fields__} for change in changes]
    if rows:
        await tx.session.execute(CHANGE.insert(), [{**row, "data": dict(row["data"])} for row in rows])


async def list_changes(
    store: str,
    since: datetime,
    until: datetime,
    tx: Transaction,
    *,
    kinds: Collection[str] | None = None,
    subjects: Collection[str] | None = None,
) -> list[Change]:
    """Changes in [since, until), in order."""
    wanted: list[ColumnElement[bool]] = [CHANGE.c.store == store, CHANGE.c.at >= since, CHANGE.c.at < until]
    if kinds is not None:
        wanted.append(CHANGE.c.kind.in_(sorted(kinds)))
    if subjects is not None:
        wanted.append(CHANGE.c.subject.in_(sorted(subjects)))
    rows = await tx.session.execute(select(*_CHANGE).where(*wanted).order_by(CHANGE.c.at, CHANGE.c.id))
    return [Change(*row) for row in rows]


async def prune(now: datetime, measured: timedelta, tx: Transaction) -> None:
    """Forget what no rule looks back to any more."""
    await tx.session.execute(delete(TALLY).where(TALLY.c.hour < now - KEPT))
    await tx.session.execute(delete(CHANGE).where(CHANGE.c.at < now - KEPT))
    await tx.session.execute(delete(PULSE).where(PULSE.c.hour < now - measured))
    await tx.session.execute(delete(MEASURED).where(MEASURED.c.ends_at < now - measured))
    await tx.session.execute(delete(ORDER_SEEN).where(ORDER_SEEN.c.seen_at < now - 2 * KEPT))
