"""When Python looks for garbage in cycles: between batches, not in them.

A batch makes some ten small objects an event and lets all of them go at its end, by their counts alone. A collector
that looks at them while they are in use costs a third of the consumer's time (measured in `bench/`).
"""

import asyncio
import gc
from typing import Final

THRESHOLD: Final = 2_000_000
"""More containers than the largest batch holds at once."""


EVERY_SECONDS: Final = 60.0


async def collect_between_batches() -> None:
    """A loop: leave batches alone, and let cycles go now and then."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(THRESHOLD, 10, 10)
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        gc.collect()
