"""Work that is done again and again: one loop, one name, errors that pass are logged and tried at the next turn."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from libs.events.failures import Verdict, decide
from libs.service.logging import get_logger
from libs.service.metrics import TICK_SECONDS, TICKS

Tick = Callable[[], Awaitable[object]]


def every(seconds: float, action: Tick, *, service: str, name: str) -> Callable[[], Awaitable[None]]:
    """A loop that runs `action` every `seconds` (from end to start, 10 % jitter).

    Errors of the surroundings (database away) are tried again; any other ends the loop, and so the process.
    """

    async def run() -> None:
        while True:
            await _tick(action, service, name)
            await asyncio.sleep(seconds * random.uniform(0.9, 1.1))

    return run


async def _tick(action: Tick, service: str, name: str) -> None:
    try:
        with TICK_SECONDS.labels(service, name).time():
            await action()
    except Exception as error:
        TICKS.labels(service, name, "failed").inc()
        if decide(error) is not Verdict.RETRY:
            raise
        get_logger(__name__).warning("ticker will try again", ticker=name, reason=type(error).__name__)
    else:
        TICKS.labels(service, name, "done").inc()
