"""The history of figures grows old: after 35 days its minutes become hours (D35)."""

from collections import defaultdict
from typing import Any, Final

from libs.events.locks import lock_number
from libs.events.transaction import Transactions
from services.kpi.figures import Vector
from services.kpi.rows import driver
from services.kpi.states import frame, frames
from services.kpi.store import MINUTES_KEPT, minute_of

AT_ONCE: Final = 2_000
"""Rows folded in one transaction."""
_HOUR: Final = 60
_LOCK: Final = lock_number("kpi.history")

_Key = tuple[str, str, str, int, int, int]
"""Store, grain, by, bucket, the hour as its last minute (an `as_of` within it sees its start), shard."""


async def fold_history(transactions: Transactions) -> int:
    """Fold what is older than 35 days; how many rows went. One process at a time does the work."""
    folded = 0
    while count := await _fold_some(transactions):
        folded += count
    return folded


async def _fold_some(transactions: Transactions) -> int:
    async with transactions.begin() as tx:
        connection = await driver(tx.session)
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
            return 0
        rows = await connection.fetch(_TAKE, minute_of(tx.now) - MINUTES_KEPT, AT_ONCE)
        hours: defaultdict[_Key, dict[str, Vector]] = defaultdict(dict)
        for store, grain, by, bucket, minute, shard, changes in rows:
            _add(hours[store, grain, by, bucket, minute - minute % _HOUR + _HOUR - 1, shard], changes)
        for key, whole in hours.items():
            await connection.execute(_ADD, *key, frame(whole))
        return len(rows)


def _add(whole: dict[str, Vector], changes: Any) -> None:
    for commit in frames(changes):
        for value, vector in commit.items():
            known = whole.setdefault(value, {})
            for number, change in vector.items():
                known[number] = known.get(number, 0) + change


_TAKE: Final = """
DELETE FROM kpi.figure_delta WHERE ctid IN (
 SELECT ctid FROM kpi.figure_delta WHERE minute < $1 AND minute % 60 <> 59 LIMIT $2)
RETURNING store, grain, by, bucket, minute, shard, changes
"""
_ADD: Final = """
INSERT INTO kpi.figure_delta AS d (store, grain, by, bucket, minute, shard, changes)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (store, grain, by, bucket, minute, shard) DO UPDATE SET changes = d.changes || excluded.changes
"""
