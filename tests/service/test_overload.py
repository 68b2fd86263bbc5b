"""Overload is refused, not queued, and it recovers by itself (P9, D61)."""

import asyncio
import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic

import pytest

from libs.service.errors import Overloaded
from libs.service.overload import GRACE_SECONDS, Gate
from tests.service.conftest import Example


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _gate(clock: Clock, *, concurrency: int = 2, burst: int = 6, queue_seconds: float = 0.5) -> Gate:
    return Gate(concurrency=concurrency, burst=burst, queue_seconds=queue_seconds, clock=clock)


async def _enter(gate: Gate, calls: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(gate.enter()) for _ in range(calls)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_as_many_run_as_may_and_the_others_wait_in_order(clock: Clock) -> None:
    gate = _gate(clock)
    tasks = await _enter(gate, 4)
    assert [task.done() for task in tasks] == [True, True, False, False]
    gate.leave()
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [True, True, True, False]
    for task in tasks:
        task.cancel()


async def test_beyond_the_burst_the_refusal_is_immediate(clock: Clock) -> None:
    gate = _gate(clock)
    tasks = await _enter(gate, 6)
    with pytest.raises(Overloaded) as refused:
        await gate.enter()
    assert refused.value.headers["Retry-After"] == "1"
    for task in tasks:
        task.cancel()


async def test_who_gives_up_waiting_takes_no_turn(clock: Clock) -> None:
    gate = _gate(clock)
    tasks = await _enter(gate, 4)
    tasks[2].cancel()
    await asyncio.sleep(0)
    gate.leave()
    await asyncio.sleep(0)
    assert tasks[3].done()
    assert not tasks[3].cancelled()
    assert gate.running == 2


async def test_who_is_cancelled_at_the_moment_of_his_turn_gives_it_on(clock: Clock) -> None:
    gate = _gate(clock)
    tasks = await _enter(gate, 4)
    gate.leave()
    tasks[2].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert tasks[2].cancelled()
    assert tasks[3].done()
    assert not tasks[3].cancelled()
    assert gate.running == 2


async def _slow_answers(gate: Gate, clock: Clock, seconds: float) -> int:
    """One answer every 0.7 s, always somebody new at the door; how many of these were refused."""
    until, refused = clock.now + seconds, 0
    while clock.now < until:
        clock.now += 0.7
        gate.leave()
        await asyncio.sleep(0)
        [task] = await _enter(gate, 1)
        refused += task.done() and isinstance(task.exception(), Overloaded)
    return refused


async def test_lasting_overload_narrows_the_door(clock: Clock) -> None:
    gate = _gate(clock)
    await _enter(gate, 5)
    assert await _slow_answers(gate, clock, GRACE_SECONDS - 1) == 0
    assert await _slow_answers(gate, clock, 3) > 0


async def test_a_burst_that_is_worked_off_narrows_nothing(clock: Clock) -> None:
    gate = _gate(clock, burst=100)
    tasks = await _enter(gate, 80)
    for _ in range(78):
        clock.now += 0.02
        gate.leave()
        await asyncio.sleep(0)
    assert all(task.done() and task.exception() is None for task in tasks)


async def test_it_recovers_by_itself(clock: Clock) -> None:
    gate = _gate(clock)
    await _enter(gate, 5)
    await _slow_answers(gate, clock, GRACE_SECONDS + 3)
    while gate.waiting:
        clock.now += 0.1
        gate.leave()
        await asyncio.sleep(0)
    gate.leave()
    await asyncio.wait_for(gate.enter(), 1)
    await _enter(gate, 4)
    assert gate.waiting > 0, "the door is as wide as before"


@pytest.fixture
def narrow(example: Example) -> Iterator[Gate]:
    """The example with room for two calls and two that wait."""
    gate = example.runtime.gate
    gate.concurrency, gate.burst = 2, 4
    yield gate
    gate.concurrency, gate.burst = 64, 512


async def test_calls_beyond_the_burst_get_503_at_once_and_health_still_answers(example: Example, narrow: Gate) -> None:
    async with example.client() as client:
        running = [asyncio.create_task(client.get("/v1/slow?seconds=0.5")) for _ in range(4)]
        await asyncio.sleep(0.1)
        began = monotonic()
        refused = await client.get("/v1/whoami")
        seconds = monotonic() - began
        alive = await client.get("/healthz")
        answers = await asyncio.gather(*running)
        after = await client.get("/v1/whoami")
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "overloaded", "1")
    assert seconds < 0.05
    assert alive.status_code == 200
    assert {answer.status_code for answer in answers} == {200}
    assert after.status_code == 200
    assert (narrow.running, narrow.waiting) == (0, 0)


async def test_500_calls_at_once_are_not_refused(example: Example) -> None:
    async with example.client() as client:
        answers = await asyncio.gather(*(client.get("/v1/whoami") for _ in range(500)))
    assert {answer.status_code for answer in answers} == {200}


@dataclass
class Simulation:
    """A service that answers `concurrency` calls at a time, each after `work_seconds`, in simulated time."""

    gate: Gate
    clock: Clock
    work_seconds: float
    done_at: list[float] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)
    refused: int = 0

    async def run(self, seconds: float, calls_a_second: float) -> None:
        """Let calls arrive evenly for so long."""
        until = self.clock.now + seconds
        arrival = self.clock.now
        while self.clock.now < until:
            arrival += 1 / calls_a_second
            while self.done_at and self.done_at[0] <= arrival:
                self.clock.now = heapq.heappop(self.done_at)
                self.gate.leave()
                await asyncio.sleep(0)
            self.clock.now = arrival
            asyncio.create_task(self._call())  # noqa: RUF006 - the gate holds those that wait
            await asyncio.sleep(0)

    async def _call(self) -> None:
        arrived = self.clock.now
        try:
            await self.gate.enter()
        except Overloaded:
            self.refused += 1
            return
        self.waits.append((self.clock.now, self.clock.now - arrived))
        heapq.heappush(self.done_at, self.clock.now + self.work_seconds)

    def rate(self, start: float, end: float) -> float:
        """Calls begun a second between two times."""
        return len([at for at, _ in self.waits if start <= at < end]) / (end - start)


async def test_at_800_calls_a_second_the_burst_alone_keeps_waiting_under_a_second(clock: Clock) -> None:
    service = Simulation(Gate(concurrency=8, burst=512, queue_seconds=0.8, clock=clock), clock, work_seconds=0.01)
    await service.run(5, 8000)
    assert max(wait for _, wait in service.waits) < 0.8
    assert service.rate(clock.now - 4, clock.now) > 0.95 * 800


async def test_at_ten_times_the_load_goodput_stays_and_waiting_is_short_once_the_door_is_narrow(clock: Clock) -> None:
    """Capacity 400 calls a second: 8 at a time, 20 ms each; 4,000 arrive."""
    gate = Gate(concurrency=8, burst=512, queue_seconds=0.8, clock=clock)
    service = Simulation(gate, clock, work_seconds=0.02)
    began = clock.now
    await service.run(10, 400)
    assert service.refused == 0
    await service.run(15, 4000)
    settled = began + 10 + GRACE_SECONDS + 3.5
    late_waits = sorted(wait for at, wait in service.waits if at > settled)
    assert late_waits[int(len(late_waits) * 0.99)] < 1.0
    assert service.rate(settled, clock.now) > 0.95 * 400
    before = service.refused
    await service.run(3, 300)
    calm = clock.now
    await service.run(5, 300)
    assert service.refused == before
    assert max(wait for at, wait in service.waits if at > calm) < 0.1


async def test_behind_a_door_that_never_narrows_ten_times_the_load_waits_for_seconds(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sabotage twin of the test above: the same load, and the burst alone is refused."""
    monkeypatch.setattr(Gate, "_too_slow", lambda _gate: False)
    service = Simulation(Gate(concurrency=8, burst=512, queue_seconds=0.8, clock=clock), clock, work_seconds=0.02)
    await service.run(15, 4000)
    late_waits = sorted(wait for at, wait in service.waits if at > clock.now - 5)
    assert late_waits[int(len(late_waits) * 0.99)] > 1.0
