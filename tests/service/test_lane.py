"""The lane: calls that come at once are served together, and one bad call breaks nobody else's."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from libs.events.failures import Transient
from libs.service.errors import Overloaded
from libs.service.lane import Lane


@asynccontextmanager
async def running(lane: Lane[int, int]) -> AsyncIterator[Lane[int, int]]:
    task = asyncio.ensure_future(lane.run())
    try:
        yield lane
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Counter:
    """Doubles numbers, remembers its batches; breaks at 13, refuses 7, is away for the first call with 5."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.was_away = False

    async def serve(self, store: str, numbers: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append((store, list(numbers)))
        await asyncio.sleep(0.005)
        if 13 in numbers:
            raise ValueError("13")
        if 5 in numbers and not self.was_away:
            self.was_away = True
            raise Transient("away")
        return [ValueError("7") if n == 7 else 2 * n for n in numbers]


async def test_calls_that_come_at_once_are_served_together_and_stores_apart() -> None:
    counter = Counter()
    async with running(Lane(counter.serve, name="test")) as lane:
        answers = await asyncio.gather(*(lane.ask("ab"[n % 2], n) for n in (0, 1, 2, 3, 4)))
    assert answers == [0, 2, 4, 6, 8]
    assert len(counter.batches) <= 3
    assert all(len({n % 2 for n in numbers}) == 1 for _, numbers in counter.batches)


async def test_one_call_that_breaks_a_batch_is_found_and_the_others_are_answered() -> None:
    counter = Counter()
    async with running(Lane(counter.serve, name="test")) as lane:
        answers = await asyncio.gather(*(lane.ask("a", n) for n in (1, 13, 7, 2)), return_exceptions=True)
    assert [str(a) if isinstance(a, ValueError) else a for a in answers] == [2, "13", "7", 4]


async def test_what_may_pass_is_tried_again() -> None:
    counter = Counter()
    async with running(Lane(counter.serve, name="test")) as lane:
        assert await lane.ask("a", 5) == 10
    assert len(counter.batches) == 2


async def test_two_calls_for_one_place_do_not_share_a_batch() -> None:
    counter = Counter()
    async with running(Lane(counter.serve, name="test")) as lane:
        await asyncio.gather(*(lane.ask("a", n, ["same"]) for n in (1, 2, 3)), lane.ask("a", 4))
    assert sorted(len(numbers) for _, numbers in counter.batches) == [1, 1, 2]


async def test_a_caller_who_has_left_is_not_served() -> None:
    counter = Counter()
    async with running(Lane(counter.serve, name="test")) as lane:
        first = asyncio.ensure_future(lane.ask("a", 1))
        await asyncio.sleep(0.001)
        left = asyncio.ensure_future(lane.ask("a", 2))
        await asyncio.sleep(0)
        left.cancel()
        assert await first == 2
        assert await lane.ask("a", 3) == 6
    assert [numbers for _, numbers in counter.batches] == [[1], [3]]


async def test_a_lane_that_stops_says_so() -> None:
    counter = Counter()
    lane = Lane(counter.serve, name="test")
    async with running(lane):
        waiting = asyncio.ensure_future(lane.ask("a", 1))
        await asyncio.sleep(0.001)
    with pytest.raises(Overloaded):
        await waiting
