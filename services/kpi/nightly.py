"""The nightly proof (P4): a rebuild every night, and what it found as a metric."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.events.locks import lock_number
from libs.events.transaction import Transactions
from services.kpi.metrics import REBUILD_DRIFT, REBUILD_PROVEN
from services.kpi.rebuild import ask

HOUR: Final = 19
"""UTC: 03:00 in Shanghai, where the first stores are."""
_LOCK: Final = lock_number("kpi.nightly")


async def prove_nightly(transactions: Transactions) -> bool:
    """Ask for the night's rebuild unless there was one since, and tell how the last one ended; whether one was asked.

    A platform without a day of events has nothing to be proven yet.
    """
    async with transactions.begin() as tx:
        await _tell_last(tx.session)
        if not await tx.session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
            return False
        night = last_night(tx.now)
        row = (await tx.session.execute(text(_STATE))).one()
        if row.began is None or row.began > night or (row.asked is not None and row.asked >= night):
            return False
        await ask(tx)
        return True


def last_night(now: datetime) -> datetime:
    """The latest moment at which a proof was due."""
    tonight = now.replace(hour=HOUR, minute=0, second=0, microsecond=0)
    return tonight if tonight <= now else tonight - timedelta(days=1)


async def _tell_last(session: AsyncConnection) -> None:
    rows = await session.execute(text(_LAST))
    for finished_at, repaired in rows:
        REBUILD_PROVEN.set(finished_at.timestamp())
        REBUILD_DRIFT.set(int(repaired))


_STATE: Final = """
SELECT (SELECT to_timestamp(min(us) / 1000000.0) FROM kpi.store_start) AS began,
       (SELECT max(asked_at) FROM kpi.rebuild) AS asked
"""
_LAST: Final = """
SELECT finished_at, coalesce((repaired->>'count')::bigint, 0) FROM kpi.rebuild
WHERE status = 'done' ORDER BY finished_at DESC LIMIT 1
"""
