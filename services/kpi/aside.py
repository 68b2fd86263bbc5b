"""Rebuilds in a process of their own, so that events and calls of the service do not wait for one.

The process gives way to others (`nice`), and ends when the service does, however that ends: it holds the other end of
its standard input.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Final

from libs.events.transaction import Transactions
from libs.service.logging import get_logger
from services.kpi.rebuild import give_up, waiting
from services.kpi.settings import KpiSettings

COMMAND: Final = (sys.executable, "-m", "services.kpi.rebuilding")
EXIT_RETRY: Final = 75
"""The database was away; the rebuild begins anew when it is back."""


async def carry_out_aside(
    settings: KpiSettings, transactions: Transactions, command: Sequence[str] = COMMAND
) -> int | None:
    """Have the rebuilds that were asked for carried out; the process's exit code, None if there were none."""
    if not await waiting(transactions):
        return None
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        env={**os.environ, "OPSWIRE_KPI_DATABASE_URL": settings.database_url.get_secret_value()},
    )
    try:
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code not in (0, EXIT_RETRY):
        get_logger(__name__).error("a rebuild has failed", exit_code=code)
        await give_up(transactions, f"its process ended with code {code}")
    return code
