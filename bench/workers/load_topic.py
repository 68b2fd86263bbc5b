"""Put page views on the traffic topic of an installation; prints how many lie in each partition.

`python -m bench.workers.load_topic COUNT DAYS`, the installation by OPSWIRE_... variables.
"""

import asyncio
import json
import sys

import uvloop

from bench.samples import page_views
from libs.events.contracts import PageViewed
from services.kpi.app import build
from services.kpi.settings import KpiSettings

AT_ONCE = 5_000


async def load(count: int, days: int) -> dict[int, int]:
    """Publish through the service's own bus. Gives partition -> next offset."""
    runtime, _ = build(KpiSettings.load())
    await runtime.start()
    try:
        messages = list(page_views(count, days=days))
        for n in range(0, count, AT_ONCE):
            await runtime.bus.publish(messages[n : n + AT_ONCE])
        bounds = await runtime.bus.bounds(PageViewed.TOPIC)
    finally:
        await runtime.close()
    return {partition: end for partition, (_, end) in bounds.items()}


if __name__ == "__main__":
    ends = asyncio.Runner(loop_factory=uvloop.new_event_loop).run(load(int(sys.argv[1]), int(sys.argv[2])))
    print(json.dumps(ends))
