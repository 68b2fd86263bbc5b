"""What people define: campaigns, targets, experiments (KPI-8, KPI-9, template 2). State here, facts on the log.

A definition that is put again unchanged has no second effect; a changed one is a new version and a new event, so that
an old report finds the target of its day (D8, D10).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.events.contracts import (
    CampaignChanged,
    CampaignEnded,
    CampaignPlanned,
    Event,
    ExperimentStarted,
    ExperimentStopped,
    TargetSet,
)
from libs.events.transaction import Transaction, Transactions

ENDED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Definition:
    """One definition as it stands."""

    store: str
    kind: str
    id: str
    version: int
    body: dict[str, Any]
    changed_at: datetime
    ends_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of definition: its events at first, at a change, and at its end; all have its fields."""

    name: str
    first: type[Event]
    changed: type[Event]
    ended: type[Event] | None


CAMPAIGN = Kind("campaign", CampaignPlanned, CampaignChanged, CampaignEnded)
TARGET = Kind("target", TargetSet, TargetSet, None)
EXPERIMENT = Kind("experiment", ExperimentStarted, ExperimentStarted, ExperimentStopped)
KINDS = {kind.name: kind for kind in (CAMPAIGN, TARGET, EXPERIMENT)}

Check = Callable[[int], None]
"""Told the present version before a change, 0 when there is none; raises to refuse it (If-Match)."""


async def define(
    kind: Kind, key: str, body: dict[str, Any], tx: Transaction, *, ends_at: datetime | None, check: Check
) -> tuple[Definition, bool]:
    """Put a definition; whether it is new. `body` holds the fields of the kind's events, as JSON."""
    await _make_row(tx, kind, key)
    present = await _lock(tx, kind, key)
    check(present.version)
    if present.body == body and present.version:
        return present, False
    event = (kind.changed if present.version else kind.first).model_validate(body)
    wanted = Definition(tx.store, kind.name, key, present.version + 1, body, tx.now, ends_at)
    await _save(tx.session, wanted)
    tx.emit(event)
    return wanted, wanted.version == 1


async def end_due(transactions: Transactions) -> int:
    """Tell the end of what ends by itself, once each (a ticker's turn); how many were told."""
    async with transactions.begin() as tx:
        rows = await tx.session.execute(
            text(
                f"SELECT {_COLUMNS} FROM kpi.definition WHERE ended_at IS NULL AND ends_at <= :now"
                " ORDER BY ends_at LIMIT :most FOR UPDATE SKIP LOCKED"
            ),
            {"now": tx.now, "most": ENDED_AT_ONCE},
        )
        due = [_definition(row) for row in rows]
        for definition in due:
            await _end(definition, tx)
    return len(due)


async def _end(definition: Definition, tx: Transaction) -> None:
    kind = KINDS[definition.kind]
    await tx.session.execute(
        text("UPDATE kpi.definition SET ended_at = :now WHERE store = :store AND kind = :kind AND id = :id"),
        {"now": tx.now, "store": definition.store, "kind": definition.kind, "id": definition.id},
    )
    if kind.ended is not None:
        tx.emit(kind.ended.model_validate(definition.body), store=definition.store)


async def find_definition(kind: Kind, store: str, key: str, session: AsyncConnection) -> Definition | None:
    """The definition with this id, if there is one."""
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM kpi.definition WHERE store = :store AND kind = :kind AND id = :id AND version > 0"
        ),
        {"store": store, "kind": kind.name, "id": key},
    )
    row = rows.one_or_none()
    return None if row is None else _definition(row)


async def list_definitions(
    kind: Kind, store: str, after: str, limit: int, session: AsyncConnection
) -> list[Definition]:
    """Definitions by id, those after `after`."""
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM kpi.definition WHERE store = :store AND kind = :kind AND id > :after"
            " AND version > 0 ORDER BY id LIMIT :limit"
        ),
        {"store": store, "kind": kind.name, "after": after, "limit": limit},
    )
    return [_definition(row) for row in rows]


_COLUMNS = "store, kind, id, version, body, changed_at, ends_at, ended_at"


async def _make_row(tx: Transaction, kind: Kind, key: str) -> None:
    """A row of version 0, so that two who put the same id at once wait for each other."""
    await tx.session.execute(
        text(
            "INSERT INTO kpi.definition (store, kind, id, version, body, changed_at)"
            " VALUES (:store, :kind, :id, 0, '{}', :now) ON CONFLICT DO NOTHING"
        ),
        {"store": tx.store, "kind": kind.name, "id": key, "now": tx.now},
    )


async def _lock(tx: Transaction, kind: Kind, key: str) -> Definition:
    rows = await tx.session.execute(
        text(f"SELECT {_COLUMNS} FROM kpi.definition WHERE store = :store AND kind = :kind AND id = :id FOR UPDATE"),
        {"store": tx.store, "kind": kind.name, "id": key},
    )
    return _definition(rows.one())


async def _save(session: AsyncConnection, wanted: Definition) -> None:
    await session.execute(
        text(
            "UPDATE kpi.definition SET version = :version, body = CAST(:body AS jsonb), changed_at = :changed_at,"
            " ends_at = :ends_at, ended_at = NULL WHERE store = :store AND kind = :kind AND id = :id"
        ),
        {
            "version": wanted.version,
            "body": json.dumps(wanted.body, ensure_ascii=False),
            "changed_at": wanted.changed_at,
            "ends_at": wanted.ends_at,
            "store": wanted.store,
            "kind": wanted.kind,
            "id": wanted.id,
        },
    )


def _definition(row: Any) -> Definition:
    body = json.loads(row.body) if isinstance(row.body, str) else row.body
    return Definition(row.store, row.kind, row.id, row.version, body, row.changed_at, row.ends_at, row.ended_at)
