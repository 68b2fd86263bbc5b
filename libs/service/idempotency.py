"""Any POST may be repeated: the first answer is kept beside the effect and given again (P10, D2)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Column, DateTime, Index, Integer, LargeBinary, MetaData, Table, Text, TextClause, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.events.failures import sqlstate
from libs.service.errors import Conflict, IdempotencyMismatch, InProgress, Problem

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
    fingerprint: bytes = field(compare=False)

    @property
    def is_natural(self) -> bool:
        """Claimed by the id of the thing itself, not by an `Idempotency-Key`."""
        return self.route.startswith(NATURAL)

    @property
    def place(self) -> tuple[str, str, str]:
        """The row; claims of several rows are made in this order."""
        return self.store, self.route, self.key


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given before."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    problem: Mapping[str, Any] | None = None


Taken = Kept | Problem
"""Why a claim is not the caller's: its answer is known, or it was made with another body."""


def fingerprint(*parts: Any) -> bytes:
    """The same for bodies that say the same, whatever their blanks and the order of their members."""
    digests = [hashlib.sha256(part if isinstance(part, bytes) else _canonical(part)).digest() for part in parts]
    return digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(digests)).digest()


def _canonical(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


async def claim(session: AsyncConnection, table: Table, wanted: Claim, now: datetime) -> Kept | None:
    """Claim (None), or get the answer that was kept.

    Waits for another transaction with the same claim as long as the engine's lock timeout, 5 s. Raises InProgress after
    that, IdempotencyMismatch or Conflict when the claim was made with another body.
    """
    taken = (await claim_all(session, table, [wanted], now)).get(wanted)
    if isinstance(taken, Problem):
        raise taken
    return taken


async def claim_all(
    session: AsyncConnection, table: Table, wanted: Sequence[Claim], now: datetime
) -> dict[Claim, Taken]:
    """Claim all of these (each once) in one statement; those that are taken are returned. Raises InProgress."""
    ordered = sorted(wanted, key=lambda one: one.place)
    mine = await _insert(session, table, ordered, now)
    taken = await _load(session, table, [one for one in ordered if one.place not in mine])
    return {one: taken.get(one) or InProgress() for one in ordered if one.place not in mine}


async def look_up_all(session: AsyncConnection, table: Table, wanted: Sequence[Claim]) -> dict[Claim, Taken]:
    """Those of the claims that are taken, in one statement."""
    return await _load(session, table, wanted)


async def look_up(session: AsyncConnection, table: Table, wanted: Claim) -> Kept | None:
    """The answer kept for this claim, if any. Raises IdempotencyMismatch, Conflict."""
    taken = (await _load(session, table, [wanted])).get(wanted)
    if isinstance(taken, Problem):
        raise taken
    return taken


async def keep(session: AsyncConnection, table: Table, claimed: Claim, kept: Kept) -> None:
    """Write down the answer of a claim, in the transaction of its effect."""
    await keep_all(session, table, {claimed: kept})


async def keep_all(session: AsyncConnection, table: Table, answers: Mapping[Claim, Kept]) -> None:
    """Write down the answers of claims, in the transaction of their effects, in one statement."""
    if not answers:
        return
    kept = list(answers.values())
    await session.execute(
        _keeping(table.fullname),
        {
            **_columns(list(answers)),
            "status": [one.status for one in kept],
            "body": [one.body for one in kept],
            "headers": [json.dumps(dict(one.headers)) for one in kept],
            "problem": [None if one.problem is None else json.dumps(one.problem, ensure_ascii=False) for one in kept],
        },
    )


async def give_up(session: AsyncConnection, table: Table, claims: Sequence[Claim]) -> None:
    """Take claims back, in the transaction that made them: the next call with one of them is a first one."""
    if claims:
        await session.execute(_forgetting(table.fullname), _columns(claims))


async def purge(session: AsyncConnection, table: Table, before: datetime) -> int:
    """Forget kept answers older than `before`; natural ids are kept."""
    done = await session.execute(
        text(f"DELETE FROM {table.fullname} WHERE created_at < :before AND route NOT LIKE '{NATURAL}%'"),
        {"before": before},
    )
    return done.rowcount


async def _insert(
    session: AsyncConnection, table: Table, ordered: Sequence[Claim], now: datetime
) -> set[tuple[str, str, str]]:
    """The places that are ours from now on."""
    values = {**_columns(ordered), "fingerprint": [one.fingerprint for one in ordered], "now": now}
    try:
        return {(row.store, row.route, row.key) for row in await session.execute(_claiming(table.fullname), values)}
    except DBAPIError as error:
        if sqlstate(error) == "55P03":
            raise InProgress from error
        raise


async def _load(session: AsyncConnection, table: Table, wanted: Sequence[Claim]) -> dict[Claim, Taken]:
    if not wanted:
        return {}
    rows = await session.execute(_loading(table.fullname), _columns(wanted))
    found = {(row.store, row.route, row.key): row for row in rows}
    return {one: _taken(one, found[one.place]) for one in wanted if one.place in found}


def _taken(wanted: Claim, row: Any) -> Taken:
    if bytes(row.fingerprint) == wanted.fingerprint:
        return Kept(row.status, bytes(row.body), row.headers, row.problem)
    if wanted.is_natural:
        return Conflict(f"{wanted.route.removeprefix(NATURAL)} {wanted.key} exists with another content")
    return IdempotencyMismatch("this Idempotency-Key was used with another body")


@cache
def _claiming(table: str) -> TextClause:
    return text(
        f"INSERT INTO {table} (store, route, key, fingerprint, created_at)"
        f" SELECT store, route, key, fingerprint, :now FROM {_places(fingerprint='bytea')} ORDER BY n"
        " ON CONFLICT DO NOTHING RETURNING store, route, key"
    )


@cache
def _loading(table: str) -> TextClause:
    return text(f"SELECT t.* FROM {table} t JOIN {_places()} USING (store, route, key) WHERE t.status IS NOT NULL")


@cache
def _forgetting(table: str) -> TextClause:
    return text(f"DELETE FROM {table} t USING {_places()} WHERE (t.store, t.route, t.key) = (a.store, a.route, a.key)")


@cache
def _keeping(table: str) -> TextClause:
    return text(
        f"UPDATE {table} t SET status = a.status, body = a.body, headers = CAST(a.headers AS jsonb),"
        f" problem = CAST(a.problem AS jsonb) FROM {_places(**_ANSWER)}"
        " WHERE (t.store, t.route, t.key) = (a.store, a.route, a.key)"
    )


_ANSWER = {"status": "int", "body": "bytea", "headers": "text", "problem": "text"}


def _places(**more: str) -> str:
    """The claims as a table expression `a`, numbered by `n`, with further columns of these types."""
    columns = {"store": "text", "route": "text", "key": "text", **more}
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())
    return f"unnest({arrays}) WITH ORDINALITY AS a({', '.join(columns)}, n)"


def _columns(claims: Sequence[Claim]) -> dict[str, list[str]]:
    return {
        "store": [one.store for one in claims],
        "route": [one.route for one in claims],
        "key": [one.key for one in claims],
    }
