"""A lane gathers what arrives while a flight is under way."""

import asyncio
from collections.abc import Sequence

import pytest

from libs.events.bus import BusRefused, BusUnavailable, Message
from libs.events.lane import MOST_IN_FLIGHT, MOST_WAITING, Lane, Post

MESSAGE = Message("t", b"k", b"v", ())


class Sky:
    """Flights land when they are told to."""

    def __init__(self) -> None:
        self.flights: list[list[int]] = []
        self.land = asyncio.Event()
        self.land.set()
        self.problem: Exception | None = None

    async def send(self, posts: Sequence[Post]) -> None:
        self.flights.append([len(post.messages) for post in posts])
        await self.land.wait()
        if self.problem is not None:
            raise self.problem
        for post in posts:
            post.succeed()


def lane_under(sky: Sky, timeout: float = 5.0) -> Lane:
    return Lane(sky.send, name="test", timeout=timeout)


def hand_in(lane: Lane, *sizes: int) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(lane.post([MESSAGE] * size)) for size in sizes]


async def until_idle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_arrives_during_a_flight_goes_together_with_the_next() -> None:
    sky = Sky()
    lane = lane_under(sky)
    sky.land.clear()
    first = hand_in(lane, 1)
    await until_idle()
    rest = hand_in(lane, 2, 3, 4)
    await until_idle()
    sky.land.set()
    await asyncio.gather(*first, *rest)
    assert sky.flights == [[1], [2, 3, 4]]
    await lane.close(grace=1)


async def test_a_flight_is_bounded_but_takes_a_large_post_whole() -> None:
    sky = Sky()
    lane = lane_under(sky)
    sizes = [MOST_IN_FLIGHT + 1, MOST_IN_FLIGHT - 1, 1, 1]
    await asyncio.gather(*hand_in(lane, *sizes))
    assert sky.flights == [[MOST_IN_FLIGHT + 1], [MOST_IN_FLIGHT - 1, 1], [1]]
    await lane.close(grace=1)


async def test_a_failed_flight_is_the_answer_of_its_own_publishers_only() -> None:
    sky = Sky()
    lane = lane_under(sky)
    sky.problem = BusRefused("never")
    outcomes = await asyncio.gather(*hand_in(lane, 1, 1), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [BusRefused, BusRefused]
    assert outcomes[0] is not outcomes[1], "a shared exception would collect tracebacks"
    sky.problem = None
    await lane.post([MESSAGE])
    await lane.close(grace=1)


async def test_who_waits_too_long_is_told_and_his_post_is_left_behind() -> None:
    sky = Sky()
    lane = lane_under(sky, timeout=0.05)
    sky.land.clear()
    outcomes = await asyncio.gather(*hand_in(lane, 1), *hand_in(lane, 2), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [BusUnavailable, BusUnavailable]
    late = hand_in(lane, 3)
    await until_idle()
    sky.land.set()
    await asyncio.gather(*late)
    assert sky.flights == [[1, 2], [3]]
    await lane.close(grace=1)


async def test_posts_given_up_before_their_flight_are_not_sent() -> None:
    sky = Sky()
    lane = lane_under(sky)
    sky.land.clear()
    first = hand_in(lane, 1)
    await until_idle()
    waiting = hand_in(lane, 2, 3)
    await until_idle()
    waiting[0].cancel()
    await until_idle()
    sky.land.set()
    await asyncio.gather(*first, waiting[1])
    assert sky.flights == [[1], [3]]
    await lane.close(grace=1)


async def test_a_full_lane_lets_publishers_wait_for_room() -> None:
    sky = Sky()
    lane = lane_under(sky, timeout=0.1)
    sky.land.clear()
    in_flight = hand_in(lane, 1)
    await until_idle()
    waiting = hand_in(lane, MOST_WAITING)
    await until_idle()
    with pytest.raises(BusUnavailable):
        await lane.post([MESSAGE])
    sky.land.set()
    await asyncio.gather(*in_flight, *waiting, return_exceptions=True)
    await lane.post([MESSAGE])
    await lane.close(grace=1)


async def test_closing_waits_for_what_is_under_way_and_answers_the_rest() -> None:
    sky = Sky()
    lane = lane_under(sky)
    tasks = hand_in(lane, 1, 2)
    await until_idle()
    await lane.close(grace=1)
    await asyncio.gather(*tasks)
    with pytest.raises(BusUnavailable):
        await lane.post([MESSAGE])

    stuck = lane_under(sky)
    sky.land.clear()
    tasks = hand_in(stuck, 1)
    await until_idle()
    tasks += hand_in(stuck, 1)
    await until_idle()
    await stuck.close(grace=0.01)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [BusUnavailable, BusUnavailable]
