"""The journal folded once more, in memory, in other batches and another order than it came in (P4)."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from libs.events.bus import Record
from libs.events.codec import Envelope
from services.kpi.engine import Shop, fold
from services.kpi.facts import TRAFFIC_ORIGINS, Document, Facts, facts_of, note_origins, traffic_origins
from services.kpi.figures import Cell, Cells
from services.kpi.marks import Marks
from services.kpi.memory import Memory
from services.kpi.records import read_record
from services.kpi.states import canonical, canonical_vector, decode_vector, encode

WINDOW: Final = 20_000
"""Events that are shuffled among each other."""
LARGEST: Final = 4_000
"""Events in the largest of its batches."""
REPEATED: Final = 0.05
"""Share of the events that is applied once more; a repeat has no effect."""
_SLICE: Final = 200

RowKey = tuple[str | int, ...]
"""Table and key of a row; figures without their shard."""


class Replay:
    """Entities and figures as the journal alone makes them."""

    def __init__(self, shops: Mapping[str, Shop], seed: int) -> None:
        self.memory = Memory()
        self.events = 0
        self._shops = shops
        self._dice = random.Random(seed)
        self._cells: dict[Cell, bytes] = {}
        self._documents: dict[RowKey, bytes] = {}
        self.marks = Marks()
        self._origins: dict[str, list[Document]] = defaultdict(list)
        self._waiting: dict[tuple[str, str, str], Envelope[Any]] = {}

    async def take(self, records: Sequence[Record]) -> None:
        """Read the next records of a partition; of events with one identity the first counts (D1)."""
        for number, record in enumerate(records):
            envelope = read_record(record)
            self._waiting.setdefault((envelope.store, envelope.source, envelope.id), envelope)
            self.events += 1
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        if len(self._waiting) >= WINDOW:
            await self.flush()

    async def flush(self) -> None:
        """Apply what was read, shuffled, with repeats, in batches of other sizes."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        self._dice.shuffle(waiting)
        while waiting:
            size = self._dice.randint(1, LARGEST)
            batch, waiting = waiting[:size], waiting[size:]
            await self._apply(batch)
            visits = [one for one in batch if one.topic == "traffic"]
            await self._apply(self._dice.sample(visits, int(len(visits) * REPEATED)))

    async def _apply(self, envelopes: Sequence[Envelope[Any]]) -> None:
        facts = facts_of(envelopes)
        shops_before = {store: self._shop(store) for store in facts.stores}
        self._keep_documents(facts)
        self.marks.take(facts.marks)
        shops = {store: self._shop(store) for store in facts.stores}
        outcome = await fold(facts.batch, self.memory, shops, shops_before)
        await self._add(outcome.cells)

    def _shop(self, store: str) -> Shop:
        versions = sorted(self._origins[store], key=lambda found: (found.us, found.recorded_us, found.event_id))
        return self._shops[store]._replace(traffic_origins=traffic_origins(version.body for version in versions))

    def _keep_documents(self, facts: Facts) -> None:
        for found in facts.documents:
            key = ("document", found.store, found.kind, found.id, found.us, found.recorded_us, found.event_id)
            self._documents[key] = canonical(found.body)
        changed = [found for found in facts.documents if found.kind == TRAFFIC_ORIGINS]
        for found in changed:
            self._origins[found.store].append(found)
        note_origins(facts, changed)

    async def _add(self, cells: Cells) -> None:
        for number, (cell, vector) in enumerate(cells.items()):
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            known = self._cells.get(cell)
            if known is not None:
                vector = _sum(decode_vector(known), vector)
            if vector:
                self._cells[cell] = encode(vector)
            else:
                del self._cells[cell]

    # what came out

    def rows(self) -> Iterator[tuple[RowKey, bytes]]:
        """Every row that there should be, in canonical bytes."""
        yield from self.memory.states()
        yield from self._documents.items()
        for seen in self.marks.assignments.values():
            yield ("assignment", *seen.key), encode(seen[3:])
        for level in self.marks.levels.values():
            yield ("stock_level", *level.key), encode(level[3:])
        for cell, vector in self._cells.items():
            yield ("figure", *cell), canonical_vector(decode_vector(vector))

    def vector(self, cell: Cell) -> dict[int, int]:
        """What a cell should hold."""
        found = self._cells.get(cell)
        return decode_vector(found) if found is not None else {}

    def document(self, key: RowKey) -> bytes | None:
        return self._documents.get(key)


def _sum(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    whole = dict(one)
    for number, value in other.items():
        whole[number] = whole.get(number, 0) + value
    return {number: value for number, value in whole.items() if value}
