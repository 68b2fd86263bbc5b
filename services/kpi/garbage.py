"""When Python looks for garbage in cycles: between batches, not in them.

A batch makes some ten small objects an event and lets all of them go at its end, by their counts alone. A collector
that looks at them while they are in use costs a third of the consumer's time (measured in `bench/`).
"""

import gc
from typing import Final

THRESHOLD: Final = 2_000_000
"""More containers than the largest batch holds at once."""


def collect_between_batches() -> None:
    """Leave batches alone; whoever calls this also calls `collect` now and then."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(THRESHOLD, 10, 10)


async def collect() -> None:
    """Let cycles go that no count can."""
    gc.collect()
