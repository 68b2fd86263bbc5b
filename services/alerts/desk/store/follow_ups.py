"""SQL of complaints and reviews."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import select, true, tuple_
from sqlalchemy.dialects.postgresql import insert

from libs.events.transaction import Transaction
from services.alerts.desk.domain.follow_ups import Followed, FollowState, FollowUp
from services.alerts.desk.domain.standing import Said
from services.alerts.tables import FOLLOW_UP

Key = tuple[str, Followed, str]
"""(store, kind, id)."""
_C = FOLLOW_UP.c
_KEY = tuple_(_C.store, _C.kind, _C.id)


async def lock_follow_ups(keys: Collection[Key], tx: Transaction, *, skip_locked: bool = False) -> dict[Key, FollowUp]:
    """Lock these in their order; `skip_locked` leaves out those that another is at."""
    if not keys:
        return {}
    rows = await tx.session.execute(
        select(FOLLOW_UP)
        .where(_KEY.in_([(store, kind.value, name) for store, kind, name in sorted(keys)]))
        .order_by(_C.store, _C.kind, _C.id)
        .with_for_update(skip_locked=skip_locked)
    )
    return {(item.store, item.kind, item.id): item for item in map(_follow_up, rows)}


async def touch_follow_ups(new: Collection[Key], tx: Transaction) -> dict[Key, FollowUp]:
    """Make the rows of new ones, and lock all."""
    rows = [_row(FollowUp(*key)) for key in sorted(new)]
    if rows:
        await tx.session.execute(insert(FOLLOW_UP).on_conflict_do_nothing(), rows)
    return await lock_follow_ups(new, tx)


async def save_follow_ups(items: Sequence[FollowUp], tx: Transaction) -> None:
    """Write them."""
    if items:
        statement = insert(FOLLOW_UP)
        rows = [_row(item) for item in items]
        changed = {name: statement.excluded[name] for name in rows[0] if name not in ("store", "kind", "id")}
        await tx.session.execute(
            statement.on_conflict_do_update(index_elements=["store", "kind", "id"], set_=changed), rows
        )


async def list_due_follow_ups(until: datetime, limit: int, tx: Transaction) -> set[Key]:
    """Those whose time has come for sure, the earliest first."""
    rows = await tx.session.execute(
        select(_C.store, _C.kind, _C.id).where(_C.timer_at < until).order_by(_C.timer_at).limit(limit)
    )
    return {(row.store, Followed(row.kind), row.id) for row in rows}


async def list_follow_ups(
    store: str, kind: Followed, *, state: str | None, after: tuple[datetime, str] | None, limit: int, tx: Transaction
) -> list[FollowUp]:
    """Complaints or bad reviews of a store, the newest first."""
    rows = await tx.session.execute(
        select(FOLLOW_UP)
        .where(_C.store == store, _C.kind == kind.value, _C.started_at.is_not(None))
        .where(_C.state == state if state else true())
        .where(tuple_(_C.started_at, _C.id) < after if after else true())
        .order_by(_C.started_at.desc(), _C.id.desc())
        .limit(limit)
    )
    return [_follow_up(row) for row in rows]


_SAID = ("warned", "fired", "alerting")


def _row(item: FollowUp) -> dict[str, Any]:
    row = {name: getattr(item, name) for name in FollowUp.__dataclass_fields__ if name != "said"}
    return {**row, "kind": item.kind.value, "state": item.state.value, "data": dict(item.data), **asdict(item.said)}


def _follow_up(row: Any) -> FollowUp:
    values: Mapping[str, Any] = row._mapping
    said = Said(*(values[name] for name in _SAID))
    plain = {name: values[name] for name in FollowUp.__dataclass_fields__ if name not in ("said", "kind", "state")}
    return FollowUp(kind=Followed(values["kind"]), state=FollowState(values["state"]), said=said, **plain)
