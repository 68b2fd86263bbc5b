"""Violations of a platform's rules (ALR-16)."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, true, tuple_

from libs.events.transaction import Transaction
from services.alerts.tables import VIOLATION


@dataclass(frozen=True, slots=True)
class Violation:
    """The store broke a rule of a platform."""

    store: str
    violation_id: str
    rule: str
    sku: str | None
    points: float
    penalised: bool
    appeal_due: datetime | None
    at: datetime
    recorded_at: datetime
    by: str


async def add_violation(violation: Violation, tx: Transaction) -> None:
    """Keep a violation."""
    await tx.session.execute(VIOLATION.insert().values(**asdict(violation)))


async def load_violation(store: str, violation_id: str, tx: Transaction) -> Violation | None:
    """One violation."""
    query = select(*_COLUMNS).where(_C.store == store, _C.violation_id == violation_id)
    row = (await tx.session.execute(query)).one_or_none()
    return Violation(*row) if row else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which violations a list shows; None: whatever it is. `at` lies in [since, until)."""

    sku: str | None = None
    rule: str | None = None
    penalised: bool | None = None
    appeal_open_at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_violations(
    store: str, wanted: Wanted, *, after: tuple[datetime, str] | None, limit: int, tx: Transaction
) -> list[Violation]:
    """Violations, the latest first."""
    beyond = tuple_(_C.at, _C.violation_id) < after if after else true()
    query = select(*_COLUMNS).where(_C.store == store, beyond, *_conditions(wanted))
    rows = await tx.session.execute(query.order_by(_C.at.desc(), _C.violation_id.desc()).limit(limit))
    return [Violation(*row) for row in rows]


def _conditions(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    for name in ("sku", "rule", "penalised"):
        if (value := getattr(wanted, name)) is not None:
            yield _C[name] == value
    if wanted.appeal_open_at is not None:
        yield _C.appeal_due > wanted.appeal_open_at
    if wanted.since is not None:
        yield _C.at >= wanted.since
    if wanted.until is not None:
        yield _C.at < wanted.until


_C = VIOLATION.c
_COLUMNS = tuple(_C[name] for name in Violation.__dataclass_fields__)
