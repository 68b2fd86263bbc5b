"""The real kpi service, all its loops, catching up with a topic that waits for it; prints how fast it was.

`python -m bench.workers.rollup ENDS POSTGRES_PID`, the installation by OPSWIRE_... variables. The clock runs from the
end of the first batch to the commit that reaches all ENDS (JSON: partition -> offset), so the service's start and the
joining of its group are left out.
"""

import asyncio
import json
import resource
import sys
from collections.abc import Sequence
from time import perf_counter, process_time

import uvloop

from bench.machine import cpu_seconds
from libs.events.bus import Record
from libs.events.consumer import Consumer
from libs.events.contracts import PageViewed
from services.kpi.app import build
from services.kpi.settings import KpiSettings


class Watch:
    """Stands before a consumer's `apply` and takes the time."""

    def __init__(self, consumer: Consumer, ends: dict[int, int], postgres_pid: int) -> None:
        self._apply = consumer.apply
        self._missing = {partition: end for partition, end in ends.items() if end}
        self._postgres_pid = postgres_pid
        self._began: tuple[float, float, float] | None = None
        self._records = 0
        self.batches = 0
        self.figures: dict[str, float] = {}
        self.done = asyncio.Event()

    async def apply(self, records: Sequence[Record]) -> None:
        """The consumer's own, timed."""
        await self._apply(records)
        if self.done.is_set():
            return
        traffic = {r.partition: r.offset for r in records if r.topic == PageViewed.TOPIC}
        self._missing = {p: end for p, end in self._missing.items() if traffic.get(p, -1) + 1 < end}
        if self._began is None:
            self._began = self._now()
        else:
            self._records += len(records)
            self.batches += 1
        if not self._missing:
            self._finish()

    def _now(self) -> tuple[float, float, float]:
        return perf_counter(), process_time(), cpu_seconds(self._postgres_pid)

    def _finish(self) -> None:
        assert self._began is not None
        seconds, cpu, database = (after - before for after, before in zip(self._now(), self._began, strict=True))
        self.figures = {
            "per_second": self._records / seconds,
            "per_core": self._records / cpu,
            "database_us": 1e6 * database / self._records,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "batch": self._records / self.batches,
        }
        self.done.set()


async def roll_up(ends: dict[int, int], postgres_pid: int) -> dict[str, float]:
    """Run the service until it has caught up."""
    runtime, _ = build(KpiSettings.load())
    (consumer,) = runtime.consumers
    watch = Watch(consumer, ends, postgres_pid)
    consumer.apply = watch.apply  # type: ignore[method-assign]
    async with runtime.running():
        await watch.done.wait()
    return watch.figures


if __name__ == "__main__":
    ends = {int(partition): end for partition, end in json.loads(sys.argv[1]).items()}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(roll_up(ends, int(sys.argv[2])))))
