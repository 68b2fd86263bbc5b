"""P9 through real sockets: overload is refused, not queued, and it recovers by itself.

What the service can answer is set by the time its work takes, not by the machine, so that ten times of it is little for
callers and machine even when others are busy there. Beside it the same callers call a yardstick that does nothing: what
that takes is not the service's doing.
"""

import asyncio
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import pytest

from libs.service.overload import GRACE_SECONDS
from tests.service.test_lifecycle import Start, key, start

__all__ = ["key", "start"]


WORKERS, WORK_SECONDS = 4, 0.2
CAPACITY = WORKERS / WORK_SECONDS
"""Calls a second that it can answer."""
PEAK, OVERLOAD = 2 * WORKERS, int(10 * CAPACITY * 1.5)
"""Callers: enough to keep it busy; and, with 1.5 s between a refusal and the next try, ten times what it can answer."""
RECOVERY_SECONDS = 30.0
ROUNDS = 3


@dataclass
class Load:
    """Callers that call again as soon as they are answered, and later when they are refused, as Retry-After says."""

    url: str
    key: str
    path: str
    yardstick: str
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    since: float = 0.0
    other: list[int] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    """Seconds a call to the yardstick took."""

    async def run(self, callers: int, seconds: float, lead: float = 0.0) -> None:
        """All of them for so long; what began in the lead before it is not counted."""
        self.since = time.monotonic() + lead
        until = self.since + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(self._call_until(until))
            for _ in range(5):
                group.create_task(self._measure_until(until))

    async def _call_until(self, until: float) -> None:
        async with _connection(self.url) as (reader, writer):
            while time.monotonic() < until:
                began = time.monotonic()
                writer.write(
                    f"GET {self.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n\r\n".encode()
                )
                status = await _answer(reader)
                seconds = time.monotonic() - began
                if began >= self.since:
                    self._count(status, seconds)
                if status == 503:
                    await asyncio.sleep(random.uniform(1, 2))

    def _count(self, status: int, seconds: float) -> None:
        if status == 200:
            self.accepted.append(seconds)
        elif status == 503:
            self.refused.append(seconds)
        else:
            self.other.append(status)

    async def _measure_until(self, until: float) -> None:
        async with _connection(self.yardstick) as (reader, writer):
            while time.monotonic() < until:
                began = time.monotonic()
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                await _answer(reader)
                if began >= self.since:
                    self.idle.append(time.monotonic() - began)
                await asyncio.sleep(0.02)


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(head[9:12])


def _quantile(values: list[float], of_hundred: int) -> float:
    return statistics.quantiles(values, n=100)[of_hundred - 1]


@pytest.fixture
def yardstick() -> Iterator[str]:
    """The address of a service that does nothing."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.service.yardstick"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"


@pytest.fixture
async def loaded(start: Start, example_database: str, key: str, yardstick: str) -> AsyncIterator[Callable[..., Load]]:
    """A service with the settings that it has by default, and these; calls to one path of it."""
    started = []

    def make(path: str, **settings: str) -> Load:
        started.append(start(example_database, OPSWIRE_LOG_LEVEL="error", **settings))
        started[-1].wait_until_ready()
        return Load(started[-1].url, key, path, yardstick)

    yield make
    assert [process.popen.poll() for process in started] == [None], "no restart"


async def _phase(load: Load, callers: int, seconds: float, lead: float = 0.0) -> tuple[float, Load]:
    """Answers a second, and what was seen."""
    phase = replace(load, accepted=[], refused=[], other=[], idle=[])
    await phase.run(callers, seconds, lead)
    return len(phase.accepted) / seconds, phase


async def test_500_connections_at_once_are_served(loaded: Callable[..., Load]) -> None:
    _, burst = await _phase(loaded("/v1/notes"), 500, 1.0)
    assert burst.refused == []
    assert burst.other == []
    assert len(burst.accepted) >= 500


@pytest.mark.soak
@pytest.mark.timeout(400)
async def test_ten_times_the_load_is_refused_in_time_and_the_rest_is_served(loaded: Callable[..., Load]) -> None:
    """One good round of three is enough: a machine has its moments, a service that queues has no good one."""
    load = loaded(f"/v1/slow?seconds={WORK_SECONDS}", OPSWIRE_CONCURRENCY=str(WORKERS))
    broken: list[list[str]] = []
    while [] not in broken and len(broken) < ROUNDS:
        broken.append(await _round(load))
    assert [] in broken, broken


async def _round(load: Load) -> list[str]:
    """Normal load, ten times what can be answered, normal again: what of the promise was not kept."""
    peak, _ = await _phase(load, PEAK, 5)
    # 500 at once are a burst and wait (D61); that it is more shows when the grace is over and these are worked off
    goodput, overload = await _phase(load, OVERLOAD, 15, lead=GRACE_SECONDS + 512 / peak)
    calm_seconds = await _until_calm(load)
    after, _ = await _phase(load, PEAK, 5)
    refused, machine = _quantile(overload.refused, 95), _quantile(overload.idle, 95)
    accepted, machine_at_worst = _quantile(overload.accepted, 99), _quantile(overload.idle, 99)
    offered = (len(overload.refused) + len(overload.accepted)) / 15
    print(
        f"peak {peak:.0f}/s; of {offered:.0f}/s {goodput:.0f}/s were answered in {accepted:.3f} s (p99; yardstick"
        f" {machine_at_worst:.3f}), {len(overload.refused)} refused in {refused:.3f} s (p95; yardstick {machine:.3f});"
        f" calm after {calm_seconds:.1f} s: {after:.0f}/s"
    )
    slower = CAPACITY / goodput
    kept = {
        "answers and refusals, nothing else": overload.other == [],
        "far more was offered than can be answered": offered > 5 * peak,
        "refused within 50 ms": refused < 0.05 + machine,
        "accepted within a second, or what the machine makes of it": accepted < slower + machine_at_worst,
        "goodput at least 80 % of peak": goodput >= 0.8 * peak,
        "normal again within 30 s": calm_seconds < RECOVERY_SECONDS and after >= 0.8 * peak,
    }
    return [promise for promise, is_kept in kept.items() if not is_kept]


async def _until_calm(load: Load) -> float:
    """Seconds until nobody of a normal number of callers is refused any more."""
    began = time.monotonic()
    while time.monotonic() - began < RECOVERY_SECONDS:
        _, calm = await _phase(load, PEAK, 1)
        if not calm.refused:
            break
    return time.monotonic() - began
