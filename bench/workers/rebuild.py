"""The rebuild of the figures from the journal, with its proof; prints how fast it was.

`python -m bench.workers.rebuild`, on an installation that has caught up, by OPSWIRE_... variables.
"""

import asyncio
import json
from time import process_time

import uvloop

from services.kpi.app import build
from services.kpi.rebuild import rebuild
from services.kpi.settings import KpiSettings


async def measure() -> dict[str, float]:
    """Replay, compare row by row, and say whether both were identical."""
    runtime, _ = build(KpiSettings.load(consume=False))
    await runtime.start()
    try:
        cpu = process_time()
        report = await rebuild(runtime.worker, "bench")
        cpu = process_time() - cpu
    finally:
        await runtime.close()
    assert report is not None
    return {
        "per_second": report.events / report.seconds,
        "per_core": report.events / cpu,
        "identical": float(report.identical),
    }


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure())))
