"""The lane: gathered while a batch is on its way, answered one by one, in turns."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from libs.events.failures import Transient
from libs.service.errors import Overloaded, WrongState
from libs.service.lane import Lane


class Kitchen:
    """Serves what it is asked for, as slowly as the test wants."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[str]]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.away = 0

    async def serve(self, store: str, asked: Sequence[str]) -> Sequence[str | Exception]:
        self.batches.append((store, list(asked)))
        await self.open.wait()
        if self.away:
            self.away -= 1
            raise Transient("away")
        if "poison" in asked:
            raise RuntimeError("poison")
        return [self._dish(one) for one in asked]

    def _dish(self, asked: str) -> str | Exception:
        return WrongState("shut", ["open"]) if asked == "refused" else asked.upper()


@asynccontextmanager
async def laid(kitchen: Kitchen) -> AsyncIterator[Lane[str, str]]:
    lane: Lane[str, str] = Lane(kitchen.serve, name="kitchen", most_at_once=3)
    loop = asyncio.create_task(lane.run())
    try:
        yield lane
    finally:
        loop.cancel()
        await asyncio.wait([loop])


async def test_what_comes_while_a_batch_is_on_its_way_is_the_next() -> None:
    kitchen = Kitchen()
    kitchen.open.clear()
    async with laid(kitchen) as lane:
        first = asyncio.create_task(lane.ask("s", "a"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        rest = [asyncio.create_task(lane.ask("s", c)) for c in "bcde"]
        await asyncio.sleep(0)
        assert lane.waiting == 4
        kitchen.open.set()
        assert await asyncio.gather(first, *rest) == ["A", "B", "C", "D", "E"]
    assert kitchen.batches == [("s", ["a"]), ("s", ["b", "c", "d"]), ("s", ["e"])]


async def test_stores_take_turns() -> None:
    kitchen = Kitchen()
    async with laid(kitchen) as lane:
        await asyncio.gather(*(lane.ask("big", str(n)) for n in range(6)), lane.ask("small", "x"))
    assert [store for store, _ in kitchen.batches] == ["big", "small", "big"]


async def test_two_calls_for_one_place_are_served_one_after_the_other() -> None:
    kitchen = Kitchen()
    async with laid(kitchen) as lane:
        await asyncio.gather(lane.ask("s", "a", ["k"]), lane.ask("s", "b", ["k"]), lane.ask("s", "c"))
    assert kitchen.batches == [("s", ["a", "c"]), ("s", ["b"])]


async def test_each_gets_his_own_answer_and_a_refusal_fails_nobody_else() -> None:
    kitchen = Kitchen()
    async with laid(kitchen) as lane:
        answers = await asyncio.gather(*(lane.ask("s", c) for c in ("a", "refused", "b")), return_exceptions=True)
    assert answers[::2] == ["A", "B"]
    assert isinstance(answers[1], WrongState)
    assert answers[1].members == {"state": "shut", "possible": ["open"]}


async def test_one_call_that_breaks_a_batch_is_found_and_fails_alone() -> None:
    kitchen = Kitchen()
    async with laid(kitchen) as lane:
        answers = await asyncio.gather(*(lane.ask("s", c) for c in ("a", "poison", "b")), return_exceptions=True)
        assert await lane.ask("s", "c") == "C", "the lane goes on"
    assert answers[::2] == ["A", "B"]
    assert isinstance(answers[1], RuntimeError)


async def test_what_is_away_for_a_moment_is_tried_again_and_for_longer_is_told_to_all() -> None:
    kitchen = Kitchen()
    async with laid(kitchen) as lane:
        kitchen.away = 2
        assert await lane.ask("s", "a") == "A"
        kitchen.away = 3
        answers = await asyncio.gather(lane.ask("s", "a"), lane.ask("s", "b"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Transient, Transient]
    assert len(kitchen.batches) == 6


async def test_whoever_has_left_is_not_served() -> None:
    kitchen = Kitchen()
    kitchen.open.clear()
    async with laid(kitchen) as lane:
        first = asyncio.create_task(lane.ask("s", "a"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gone = asyncio.create_task(lane.ask("s", "gone"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        kitchen.open.set()
        assert await first == "A"
        assert await lane.ask("s", "b") == "B"
    assert ["gone"] not in [asked for _, asked in kitchen.batches]


async def test_a_lane_that_stops_says_so() -> None:
    kitchen = Kitchen()
    kitchen.open.clear()
    async with laid(kitchen) as lane:
        asked = [asyncio.create_task(lane.ask("s", c)) for c in "ab"]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked.append(asyncio.create_task(lane.ask("s", "c")))
        await asyncio.sleep(0)
    for one in asked:
        with pytest.raises(Overloaded):
            await one
