"""`python -m services.kpi.rebuilding`: carry out the rebuilds that were asked for, and end. Started by `aside.py`."""

import asyncio
import os
import sys
import threading
from typing import Final

import uvloop

from libs.events.collector import collector_paused
from libs.events.failures import Verdict, decide
from libs.events.transaction import Transactions
from libs.service import logging
from libs.service.database import create_engine, worker_role
from services.kpi.aside import EXIT_RETRY
from services.kpi.rebuild import carry_out
from services.kpi.settings import KpiSettings
from services.kpi.tables import EVENT_TABLES

NICE: Final = 5
CONNECTIONS: Final = 4


async def main(settings: KpiSettings) -> int:
    """Carry them out. The exit code is returned."""
    engine = create_engine(
        settings.database_url.get_secret_value(), name="opswire kpi rebuild", pool_size=CONNECTIONS, max_overflow=0
    )
    transactions = Transactions(engine, service="kpi", role=worker_role("kpi"), outbox=EVENT_TABLES.outbox)
    try:
        with collector_paused():
            await carry_out(transactions)
    except Exception as error:
        if decide(error) is not Verdict.RETRY:
            raise
        logging.get_logger(__name__).warning("the rebuild will begin anew", reason=type(error).__name__)
        return EXIT_RETRY
    finally:
        await engine.dispose()
    return 0


def end_with_parent() -> None:
    """End this process when whoever started it lets go of its standard input."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(EXIT_RETRY)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    os.nice(NICE)
    end_with_parent()
    given = KpiSettings.load()
    logging.configure("kpi", given.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(main(given)))
