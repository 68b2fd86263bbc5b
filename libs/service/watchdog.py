"""The last guard of progress: records wait, none is committed for a minute, so the process ends and starts afresh."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from libs.events.consumer import Consumer
from libs.events.failures import Stop
from libs.events.position import load_positions


@dataclass
class Watchdog:
    """Looks from outside at what consumers have committed; it would notice even one that hangs."""

    clock: Callable[[], datetime]
    limit: timedelta
    _moved: dict[str, tuple[int, datetime]] = field(default_factory=dict)

    async def look(self, consumer: Consumer) -> None:
        """Raises Stop when records have been waiting and the positions have not moved for `limit`."""
        applied, waiting = await _progress(consumer)
        now = self.clock()
        before, since = self._moved.get(consumer.group, (-1, now))
        if applied != before or not waiting:
            self._moved[consumer.group] = (applied, now)
        elif now - since > self.limit:
            raise Stop(f"consumer {consumer.group}: {waiting} records wait, none was applied since {since:%H:%M:%S}")

    def stalled(self, group: str) -> bool:
        """Whether half of the time has passed: not ready any more."""
        _, since = self._moved.get(group, (0, self.clock()))
        return self.clock() - since > self.limit / 2


async def _progress(consumer: Consumer) -> tuple[int, int]:
    """(sum of the positions, records on the bus beyond them)."""
    async with consumer.transactions.begin(read_only=True) as tx:
        positions = await load_positions(tx.session, consumer.tables.position, consumer.group)
    waiting = 0
    for topic in consumer.reactions.topics:
        for partition, (first, end) in (await consumer.bus.bounds(topic)).items():
            position = positions.get((topic, partition))
            waiting += max(0, end - max(first, position.next_offset if position else 0))
    return sum(position.next_offset for position in positions.values()), waiting
