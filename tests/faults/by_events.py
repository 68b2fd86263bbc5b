"""Stock as its events alone tell it: whatever a database says, somebody who only listens must come to the same."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from libs.events.bus import Bus
from libs.events.codec import Envelope, from_record
from libs.events.contracts import (
    StockAdjusted,
    StockLevel,
    StockReceived,
    StockReserved,
    StockReturned,
    StockShipped,
)

READ_AT_ONCE = 1_000


async def told(bus: Bus, topic: str, store: str) -> list[Envelope[Any]]:
    """Every event of a store on a topic; one that was published twice is there twice."""
    found: list[Envelope[Any]] = []
    for partition, (first, end) in (await bus.bounds(topic)).items():
        while first < end:
            records = await bus.read(topic, partition, first, READ_AT_ONCE)
            found += [from_record(record) for record in records]
            first = records[-1].offset + 1
    return [envelope for envelope in found if envelope.store == store]


def levels(envelopes: Iterable[Envelope[Any]]) -> Mapping[str, Mapping[int, StockLevel]]:
    """SKU -> version -> level."""
    found: dict[str, dict[int, StockLevel]] = defaultdict(dict)
    for envelope in envelopes:
        if isinstance(envelope.data, StockLevel):
            found[envelope.data.sku][envelope.data.version] = envelope.data
    return found


def faults(envelopes: Iterable[Envelope[Any]]) -> list[str]:
    """What cannot be: a version that is missing, more promised than there is, units that nobody brought or took."""
    once = {envelope.id: envelope for envelope in envelopes}.values()
    found = [fault for versions in levels(once).values() for fault in _of_levels(versions)]
    moved = _moved(once)
    for sku, versions in levels(once).items():
        last = versions[max(versions)]
        if last.on_hand != moved[sku]:
            found.append(f"{sku}: {last.on_hand} on hand, {moved[sku]} by what came and went")
    reserved = Counter(e.data.reservation_id for e in once if isinstance(e.data, StockReserved))
    return found + [f"{name} was reserved {times} times" for name, times in reserved.items() if times > 1]


def _of_levels(versions: Mapping[int, StockLevel]) -> Iterable[str]:
    for version in range(1, max(versions) + 1):
        level = versions.get(version)
        if level is None:
            yield f"version {version} of {max(versions)} was never told"
            continue
        promised = level.held + level.allocated + level.locked
        if promised > level.on_hand:
            yield f"{level.sku} version {version}: {promised} promised of {level.on_hand}"
        if level.available != max(0, level.on_hand - promised - level.safety_hidden):
            yield f"{level.sku} version {version}: {level.available} available"


def _moved(envelopes: Iterable[Envelope[Any]]) -> Mapping[str, int]:
    """SKU -> units that came in and did not go out."""
    moved: dict[str, int] = defaultdict(int)
    for envelope in envelopes:
        match envelope.data:
            case StockReceived() | StockAdjusted():
                moved[envelope.data.sku] += envelope.data.quantity
            case StockShipped():
                for line in envelope.data.lines:
                    moved[line.sku] -= line.quantity
            case StockReturned(condition="resellable"):
                for line in envelope.data.lines:
                    moved[line.sku] += line.quantity
    return moved
