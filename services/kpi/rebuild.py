"""Rebuild and proof: the figures once more from the journal, compared with the live ones, repaired where wrong (P4).

One REPEATABLE READ transaction reads journal and live rows at the same point while traffic flows; sums of bounded size
say whether they are identical. Different: the rows are looked for and put right (`repair.py`), round by round until
both are the same. It uses a processor for a while, so the service has it done in a process of its own (`aside.py`).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.events.failures import Verdict, decide
from libs.events.ids import uuid7
from libs.events.locks import lock_number
from libs.events.transaction import Transaction, Transactions
from services.kpi.calendar import calendar_of
from services.kpi.comparing import Findings, find, sums_of_live, sums_of_replay
from services.kpi.engine import Shop
from services.kpi.ledger import RowKey
from services.kpi.repair import repair
from services.kpi.replay import Progress, Replay
from services.kpi.rows import driver

_LOCK: Final = lock_number("kpi.rebuild")
MOST_SHOWN: Final = 100
"""Rows that a report names; the rest is counted."""
MOST_ROUNDS: Final = 20
"""Repairs and proofs, one after another, before a rebuild leaves the rest to the next one."""


@dataclass(slots=True)
class Report:
    """What a rebuild found. `differing` are rows by table and key; empty when live and rebuilt were identical."""

    rebuild_id: str
    events: int = 0
    seconds: float = 0.0
    live_digest: str = ""
    rebuilt_digest: str = ""
    differing: list[RowKey] = field(default_factory=list)
    repaired: list[RowKey] = field(default_factory=list)

    @property
    def identical(self) -> bool:
        return self.live_digest == self.rebuilt_digest


# asked for and carried out


async def ask(tx: Transaction) -> str:
    """Have a rebuild made by the service's loop; its id is returned at once. One that waits serves everybody."""
    waiting = await tx.session.scalar(
        text("SELECT rebuild_id FROM kpi.rebuild WHERE status = 'running' AND events = 0 ORDER BY asked_at LIMIT 1")
    )
    if waiting is not None:
        return str(waiting)
    rebuild_id = uuid7(tx.now)
    await tx.session.execute(
        text("INSERT INTO kpi.rebuild (rebuild_id, status, asked_at) VALUES (:id, 'running', :now)"),
        {"id": rebuild_id, "now": tx.now},
    )
    return rebuild_id


async def load_report(rebuild_id: str, session: AsyncConnection) -> dict[str, Any] | None:
    """A rebuild as it is answered; None if there is none with this id."""
    row = (
        await session.execute(text("SELECT * FROM kpi.rebuild WHERE rebuild_id = :id"), {"id": rebuild_id})
    ).one_or_none()
    if row is None:
        return None
    shown: dict[str, Any] = {
        "rebuild_id": row.rebuild_id,
        "status": row.status,
        "events": row.events,
        "total": row.total,
    }
    if row.status == "failed":
        shown["error"] = row.error
    if row.status == "done":
        shown |= {
            "seconds": round(row.seconds, 3),
            "live_digest": row.live_digest,
            "rebuilt_digest": row.rebuilt_digest,
            "identical": row.live_digest == row.rebuilt_digest,
            "repaired": row.repaired,
        }
    return shown


async def carry_out(transactions: Transactions) -> int:
    """Carry out the rebuilds that were asked for; how many. Those that a crash interrupted begin anew."""
    asked = await waiting(transactions)
    for rebuild_id in asked:
        try:
            report = await rebuild(transactions, rebuild_id)
        except Exception as error:
            if decide(error) is not Verdict.RETRY:
                await _finish(transactions, rebuild_id, {"status": "failed", "error": type(error).__name__})
            raise
        if report is not None:
            await _finish(transactions, rebuild_id, _done(report))
    return len(asked)


def _done(report: Report) -> dict[str, Any]:
    repaired = ["/".join(map(str, key)) for key in report.repaired]
    return {
        "status": "done",
        "events": report.events,
        "seconds": report.seconds,
        "live_digest": report.live_digest,
        "rebuilt_digest": report.rebuilt_digest,
        "repaired": msgspec.json.encode({"count": len(repaired), "rows": repaired[:MOST_SHOWN]}).decode(),
    }


async def _finish(transactions: Transactions, rebuild_id: str, values: Mapping[str, Any]) -> None:
    changes = ", ".join(
        f"{name} = {'CAST(:repaired AS jsonb)' if name == 'repaired' else ':' + name}" for name in values
    )
    async with transactions.begin() as tx:
        await tx.session.execute(
            text(f"UPDATE kpi.rebuild SET {changes}, finished_at = :now WHERE rebuild_id = :id"),
            {**values, "now": tx.now, "id": rebuild_id},
        )


async def waiting(transactions: Transactions) -> list[str]:
    """The rebuilds that were asked for and are not done, oldest first."""
    async with transactions.begin(read_only=True) as tx:
        rows = await tx.session.execute(
            text("SELECT rebuild_id FROM kpi.rebuild WHERE status = 'running' ORDER BY asked_at")
        )
        return [row.rebuild_id for row in rows]


async def give_up(transactions: Transactions, error: str) -> None:
    """Have those that still run answered as failed."""
    for rebuild_id in await waiting(transactions):
        await _finish(transactions, rebuild_id, {"status": "failed", "error": error})


# one rebuild


async def rebuild(transactions: Transactions, rebuild_id: str, *, seed: int = 0) -> Report | None:
    """Replay, compare, repair, until nothing differs. None when another process is at it."""
    started = monotonic()
    report = Report(rebuild_id)
    async with transactions.engine.connect() as alone:
        if not await alone.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}):
            return None
        await alone.rollback()  # the lock is the session's, not the transaction's
        try:
            for number in range(MOST_ROUNDS):
                found = await _compare(transactions, report, seed + number, first=number == 0)
                if not found.differing:
                    break
                report.differing += found.differing
                report.repaired += await repair(transactions, found, rebuild_id)
        finally:
            await alone.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
    report.seconds = monotonic() - started
    return report


async def _compare(transactions: Transactions, report: Report, seed: int, *, first: bool) -> Findings:
    """One look at journal and tables; the first one's digests are reported."""
    async with _snapshot(transactions) as connection:
        replay = Replay(await _shops(connection), seed)
        try:
            await replay.read(connection, _progress(transactions, report.rebuild_id) if first else None)
            rebuilt, live = await sums_of_replay(replay), await sums_of_live(connection)
            if first:
                report.events = replay.events
                report.live_digest, report.rebuilt_digest = live.digest(), rebuilt.digest()
            suspects = live.differs_from(rebuilt)
            return await find(connection, replay, suspects) if any(suspects) else Findings()
        finally:
            replay.close()


@asynccontextmanager
async def _snapshot(transactions: Transactions) -> AsyncIterator[Any]:
    async with transactions.engine.connect() as plain:
        session = await plain.execution_options(isolation_level="REPEATABLE READ")
        await session.execute(text("SELECT set_config('role', :role, true)"), {"role": transactions.role})
        connection = await driver(session)
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await connection.execute("SET LOCAL statement_timeout = 0")
        yield connection
        await session.rollback()


async def _shops(connection: Any) -> dict[str, Shop]:
    """Every store, without what its policies say: that is replayed."""
    rows = await connection.fetch("SELECT store, timezone, currency FROM access.stores")
    return {store: Shop(calendar_of(zone), currency=currency) for store, zone, currency in rows}


def _progress(transactions: Transactions, rebuild_id: str) -> Progress:
    async def tell(events: int, total: int) -> None:
        async with transactions.begin() as tx:
            await tx.session.execute(
                text("UPDATE kpi.rebuild SET events = :events, total = :total WHERE rebuild_id = :id"),
                {"events": events, "total": total, "id": rebuild_id},
            )

    return tell
