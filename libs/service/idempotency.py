"""Any POST may be repeated: the first answer is kept beside the effect and given again (P10, D2)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Column, DateTime, Index, Integer, LargeBinary, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.events.failures import sqlstate
from libs.service.errors import Conflict, IdempotencyMismatch, InProgress

NATURAL = "natural:"


def idempotency_table(schema: MetaData) -> Table:
    """Add the kept answers to a service's tables. Bodies in it must not hold personal data."""
    return Table(
        "idempotency",
        schema,
        Column("store", Text, primary_key=True),
        Column("route", Text, primary_key=True, comment="method and path, or natural:kind"),
        Column("key", Text, primary_key=True),
        Column("fingerprint", LargeBinary, nullable=False, comment="SHA-256 of what was asked"),
        Column("status", Integer, comment="null only inside the transaction that is still working"),
        Column("headers", JSONB),
        Column("body", LargeBinary),
        Column("problem", JSONB, comment="the problem document, without what differs at each repeat"),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Index(None, "created_at"),
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """What a call claims to be: the same claim with the same fingerprint is the same call."""

    store: str
    route: str
    key: str
    fingerprint: bytes

    @property
    def is_natural(self) -> bool:
        """Claimed by the id of the thing itself, not by an `Idempotency-Key`."""
        return self.route.startswith(NATURAL)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given before."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    problem: Mapping[str, Any] | None = None


def natural(store: str, kind: str, name: str, body: Any) -> Claim:
    """The claim of a natural id (D2): same body, same answer; another body, Conflict."""
    return Claim(store, NATURAL + kind, name, fingerprint(body))


def fingerprint(body: Any) -> bytes:
    """The same for bodies that say the same, whatever their blanks and the order of their members."""
    if isinstance(body, bytes):
        return hashlib.sha256(body).digest()
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":"), default=str).encode()).digest()


async def claim(session: AsyncConnection, table: Table, wanted: Claim, now: datetime) -> Kept | None:
    """Claim, or get the answer that was kept.

    Waits for another transaction with the same claim as long as the engine's lock timeout, 5 s. Raises InProgress after
    that, IdempotencyMismatch or Conflict when the claim was made with another body.
    """
    if await _insert(session, table, wanted, now):
        return None
    kept = await look_up(session, table, wanted)
    if kept is None:
        raise InProgress
    return kept


async def look_up(session: AsyncConnection, table: Table, wanted: Claim) -> Kept | None:
    """The answer kept for this claim, if any. Raises IdempotencyMismatch, Conflict."""
    row = (
        await session.execute(
            text(
                f"SELECT fingerprint, status, headers, body, problem FROM {table.fullname}"
                " WHERE store = :store AND route = :route AND key = :key"
            ),
            {"store": wanted.store, "route": wanted.route, "key": wanted.key},
        )
    ).one_or_none()
    if row is None or row.status is None:
        return None
    if bytes(row.fingerprint) != wanted.fingerprint:
        _refuse(wanted)
    return Kept(row.status, bytes(row.body or b""), row.headers or {}, row.problem)


async def keep(session: AsyncConnection, table: Table, claimed: Claim, kept: Kept) -> None:
    """Write down the answer of a claim, in the transaction of its effect."""
    await session.execute(
        text(
            f"UPDATE {table.fullname} SET status = :status, body = :body, headers = CAST(:headers AS jsonb),"
            " problem = CAST(:problem AS jsonb) WHERE store = :store AND route = :route AND key = :key"
        ),
        {
            "store": claimed.store,
            "route": claimed.route,
            "key": claimed.key,
            "status": kept.status,
            "body": kept.body,
            "headers": json.dumps(dict(kept.headers)),
            "problem": None if kept.problem is None else json.dumps(kept.problem, ensure_ascii=False),
        },
    )


async def purge(session: AsyncConnection, table: Table, before: datetime) -> int:
    """Forget kept answers older than `before`; natural ids are kept."""
    done = await session.execute(
        text(f"DELETE FROM {table.fullname} WHERE created_at < :before AND route NOT LIKE '{NATURAL}%'"),
        {"before": before},
    )
    return done.rowcount


async def _insert(session: AsyncConnection, table: Table, wanted: Claim, now: datetime) -> bool:
    try:
        done = await session.execute(
            text(
                f"INSERT INTO {table.fullname} (store, route, key, fingerprint, created_at)"
                " VALUES (:store, :route, :key, :fingerprint, :now) ON CONFLICT DO NOTHING"
            ),
            {
                "store": wanted.store,
                "route": wanted.route,
                "key": wanted.key,
                "fingerprint": wanted.fingerprint,
                "now": now,
            },
        )
    except DBAPIError as error:
        if sqlstate(error) == "55P03":
            raise InProgress from error
        raise
    return done.rowcount > 0


def _refuse(wanted: Claim) -> None:
    if wanted.is_natural:
        kind = wanted.route.removeprefix(NATURAL)
        raise Conflict(f"{kind} {wanted.key} exists with another content")
    raise IdempotencyMismatch("this Idempotency-Key was used with another body")
