"""The relay of a real service emptying an outbox that is full; prints how fast it was.

`python -m bench.workers.relay ROWS`, the installation by OPSWIRE_... variables. Timed from the first publishing to the
deletion of the last row.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from time import perf_counter, process_time

import uvloop
from sqlalchemy import text

from bench.samples import envelope_of, order
from libs.events.bus import Message
from libs.events.codec import to_message
from libs.service.runtime import Runtime
from services.orders.app import build
from services.orders.settings import OrdersSettings

AT_ONCE = 5_000
LOOK_AGAIN_SECONDS = 0.002
ORDERS = 5_000
"""Different keys, so that all partitions have something."""


async def fill(runtime: Runtime, rows: int) -> None:
    """Write the outbox as handlers do, many rows a transaction."""
    placed = order()
    messages = [
        to_message(envelope_of(placed.model_copy(update={"order_id": f"o-{n}"}))) for n in range(min(rows, ORDERS))
    ]
    for n in range(0, rows, AT_ONCE):
        async with runtime.worker.begin() as tx:
            for k in range(n, min(n + AT_ONCE, rows)):
                tx.post(messages[k % len(messages)])


class FirstPublish:
    """Notes when the bus is first given something."""

    def __init__(self, runtime: Runtime) -> None:
        self._publish = runtime.bus.publish
        self.at = 0.0
        self.cpu = 0.0

    async def publish(self, messages: Sequence[Message]) -> None:
        """The bus's own, timed."""
        if not self.at:
            self.at, self.cpu = perf_counter(), process_time()
        await self._publish(messages)


async def measure(rows: int) -> dict[str, float]:
    """Fill, relay, look until it is empty."""
    runtime, _ = build(OrdersSettings.load())
    await runtime.start()
    try:
        await fill(runtime, rows)
        first = FirstPublish(runtime)
        runtime.bus.publish = first.publish  # type: ignore[method-assign]
        relaying = asyncio.create_task(runtime.relay.run())
        while not await _is_empty(runtime):  # noqa: ASYNC110  the table is the truth
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        seconds, cpu = perf_counter() - first.at, process_time() - first.cpu
        relaying.cancel()
        await asyncio.wait([relaying])
    finally:
        await runtime.close()
    return {"per_second": rows / seconds, "per_core": rows / cpu}


async def _is_empty(runtime: Runtime) -> bool:
    async with runtime.engine.connect() as session:
        return not await session.scalar(text("SELECT EXISTS (SELECT FROM orders.outbox)"))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(int(sys.argv[1])))))
