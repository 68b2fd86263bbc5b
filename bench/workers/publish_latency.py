"""From `emit` in a transaction of a real service to the acknowledgement of the bus, one event at a time.

`python -m bench.workers.publish_latency EVENTS`, the installation by OPSWIRE_... variables; prints p50 and p99 in ms.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from time import perf_counter

import uvloop

from bench.samples import order
from bench.series import quantile
from libs.events.bus import Message
from libs.service.runtime import Runtime
from services.orders.app import build
from services.orders.settings import OrdersSettings

WARM_UP = 20
PAUSE_SECONDS = 0.005


class Acknowledged:
    """Tells when the bus has acknowledged an event."""

    def __init__(self, runtime: Runtime) -> None:
        self._publish = runtime.bus.publish
        self._waiting: dict[bytes, asyncio.Future[float]] = {}

    async def publish(self, messages: Sequence[Message]) -> None:
        """The bus's own, noted."""
        await self._publish(messages)
        now = perf_counter()
        for message in messages:
            waiting = self._waiting.pop(dict(message.headers)["ce_id"], None)
            if waiting is not None:
                waiting.set_result(now)

    def expect(self, event_id: str) -> "asyncio.Future[float]":
        """The time at which this event was acknowledged."""
        self._waiting[event_id.encode()] = future = asyncio.get_running_loop().create_future()
        return future


async def measure(events: int) -> dict[str, float]:
    """Emit, commit, wait; with all loops of the service running."""
    runtime, _ = build(OrdersSettings.load())
    acknowledged = Acknowledged(runtime)
    runtime.bus.publish = acknowledged.publish  # type: ignore[method-assign]
    placed = order()
    waits = []
    async with runtime.running():
        for n in range(events + WARM_UP):
            began = perf_counter()
            async with runtime.worker.begin("demo") as tx:
                sent = acknowledged.expect(tx.emit(placed.model_copy(update={"order_id": f"o-{n}"})).id)
            waits.append(1000 * (await sent - began))
            await asyncio.sleep(PAUSE_SECONDS)
    ordered = sorted(waits[WARM_UP:])
    return {"p50_ms": quantile(ordered, 0.5), "p99_ms": quantile(ordered, 0.99)}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(int(sys.argv[1])))))
