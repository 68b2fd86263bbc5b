"""How many records the consumer takes at once: few while calls wait for stock, many while it catches up."""

from time import monotonic

from libs.events.consumer import Consumer
from services.inventory.lane import StockLane

FEW = 64
"""So few that a SKU is not held long (a transaction of some milliseconds)."""
MANY = 1_500
"""So many that a batch is worth its transaction, and that a call that comes meanwhile waits a second or two at most."""
QUIET_SECONDS = 1.0


def next_size(size: int, is_quiet: bool) -> int:
    """Twice as many each time while nobody calls; few again as soon as somebody does."""
    return min(MANY, size * 2) if is_quiet else FEW


class Pace:
    """Sets the consumer's batch size after each batch."""

    def __init__(self, lane: StockLane) -> None:
        self.lane = lane
        self.consumer: Consumer | None = None

    def adjust(self) -> None:
        """Choose the size of the next batch."""
        if self.consumer is not None:
            is_quiet = monotonic() - self.lane.last_asked > QUIET_SECONDS
            self.consumer.max_records = next_size(self.consumer.max_records, is_quiet)
