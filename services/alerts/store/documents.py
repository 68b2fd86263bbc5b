"""Every version of what a store has set."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select, text, true
from sqlalchemy.dialects.postgresql import distinct_on

from libs.events.locks import lock_number
from libs.events.transaction import Transaction
from services.alerts.domain.documents import Document
from services.alerts.tables import DOCUMENT

_C = DOCUMENT.c
_COLUMNS = tuple(_C[name] for name in Document.__dataclass_fields__)
_PLACE = (_C.store, _C.kind, _C.key, _C.scope)
_BEST = (_C.valid_from.desc(), _C.decided_at.desc(), _C.recorded_at.desc(), _C.version.desc())
"""Versions are counted in the order of their ids, and make the order whole where a clock does not."""


async def lock_document(store: str, kind: str, key: str, scope: str, tx: Transaction) -> None:
    """Let one transaction at a time write the next version."""
    number = lock_number(f"document:{store}:{kind}:{key}:{scope}")
    await tx.session.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": number})


async def load_latest(store: str, kind: str, key: str, scope: str, tx: Transaction) -> Document | None:
    """The version that was written last, valid or not yet."""
    query = _of(store, kind, key, scope).order_by(_C.version.desc()).limit(1)
    row = (await tx.session.execute(query)).one_or_none()
    return Document(*row) if row else None


async def load_valid(store: str, kind: str, key: str, scope: str, at: datetime, tx: Transaction) -> Document | None:
    """The version that is valid at a time, taken back or not."""
    query = _of(store, kind, key, scope).where(_C.valid_from <= at).order_by(*_BEST).limit(1)
    row = (await tx.session.execute(query)).one_or_none()
    return Document(*row) if row else None


async def list_valid(
    store: str, kinds: Collection[str], at: datetime, tx: Transaction, *, keys: Collection[str] | None = None
) -> list[Document]:
    """What is valid at a time of these kinds, by kind, key and scope."""
    query = (
        select(*_COLUMNS)
        .ext(distinct_on(*_PLACE))
        .where(_C.store == store, _C.kind.in_(sorted(kinds)), _C.valid_from <= at)
        .where(_C.key.in_(sorted(keys)) if keys is not None else true())
        .order_by(*_PLACE, *_BEST)
    )
    return [Document(*row) for row in await tx.session.execute(query)]


async def list_history(store: str, kind: str, key: str, tx: Transaction) -> list[Document]:
    """Every version of every scope, in the order of writing."""
    query = select(*_COLUMNS).where(_C.store == store, _C.kind == kind, _C.key == key)
    rows = await tx.session.execute(query.order_by(_C.recorded_at, _C.event_id))
    return [Document(*row) for row in rows]


async def list_versions(store: str, kind: str, tx: Transaction) -> list[Document]:
    """Every version of a kind, those that hold last: by (valid_from, decided_at, recorded_at, version)."""
    query = select(*_COLUMNS).where(_C.store == store, _C.kind == kind)
    rows = await tx.session.execute(query.order_by(_C.valid_from, _C.decided_at, _C.recorded_at, _C.version))
    return [Document(*row) for row in rows]


async def add_document(document: Document, tx: Transaction) -> None:
    """Write the next version."""
    row = {name: getattr(document, name) for name in Document.__dataclass_fields__}
    row["value"] = dict(document.value) if document.value is not None else None
    await tx.session.execute(DOCUMENT.insert().values(**row))


def _of(store: str, kind: str, key: str, scope: str) -> Select[Any]:
    return select(*_COLUMNS).where(_C.store == store, _C.kind == kind, _C.key == key, _C.scope == scope)
