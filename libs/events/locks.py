"""One helper for advisory locks: relays, tickers and whatever else must run once per installation."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


def lock_number(name: str) -> int:
    """A signed 64-bit number for PostgreSQL's advisory locks, the same in every process."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


@asynccontextmanager
async def advisory_lock(
    engine: AsyncEngine, name: str, *, role: str | None = None, poll_seconds: float = 1.0
) -> AsyncIterator[AsyncConnection]:
    """Wait for the lock `name`, then lend the connection that holds it, in autocommit.

    Whoever does his work over this very connection cannot go on without the lock: when the connection is lost, so is
    the lock, and the next statement raises.
    """
    async with engine.connect() as plain:
        connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
        number = lock_number(name)
        while not await connection.scalar(text("SELECT pg_try_advisory_lock(:n)"), {"n": number}):  # noqa: ASYNC110
            await asyncio.sleep(poll_seconds)
        if role is not None:
            await connection.execute(text("SELECT set_config('role', :role, false)"), {"role": role})
        try:
            yield connection
        finally:
            await _let_go(connection)


async def _let_go(connection: AsyncConnection) -> None:
    """Close the session: it carries a lock and a role, and must not go back to the pool with them."""
    await connection.invalidate()
