"""What `/readyz` asks: None when all is well, else the reason in plain words (never an address or a password)."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from libs.service.runtime import Runtime


async def database(runtime: "Runtime") -> str | None:
    """Whether the database answers within 2 s."""
    try:
        async with asyncio.timeout(2), runtime.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except Exception as error:  # noqa: BLE001 - readiness tells whatever it is
        return f"not answering ({type(error).__name__})"
    return None


async def bus(runtime: "Runtime") -> str | None:
    """Whether the bus tells the bounds of a topic of ours within 2 s."""
    owned: Sequence[str] = sorted(runtime.relay.beats)
    try:
        async with asyncio.timeout(2):
            for topic in owned[:1]:
                await runtime.bus.bounds(topic)
    except Exception as error:  # noqa: BLE001 - readiness tells whatever it is
        return f"not answering ({type(error).__name__})"
    return None


async def progress(runtime: "Runtime") -> str | None:
    """Whether what waits, on the bus or in the outbox, is being worked off."""
    stalled = [c.group for c in runtime.consumers if c.stalled_since or runtime.watchdog.stalled(c.group)]
    if stalled:
        return f"records wait and none is applied: {', '.join(stalled)}"
    return await _outbox(runtime)


async def _outbox(runtime: "Runtime") -> str | None:
    """Asked of the table, not of our own relay: another process of the service may be the one that publishes."""
    oldest_at = text(f"SELECT written_at FROM {runtime.tables.events.outbox.fullname} ORDER BY id LIMIT 1")
    try:
        async with asyncio.timeout(2), runtime.worker.begin(read_only=True) as tx:
            oldest = await tx.session.scalar(oldest_at)
    except Exception as error:  # noqa: BLE001 - readiness tells whatever it is
        return f"unknown ({type(error).__name__})"
    if oldest is not None and (runtime.clock() - oldest).total_seconds() > runtime.settings.stalled_seconds / 2:
        return f"events wait in the outbox since {oldest:%H:%M:%S} UTC"
    return None
