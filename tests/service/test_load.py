"""P9 through real sockets: overload is refused, not queued, and it recovers by itself."""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from tests.service.test_lifecycle import Start, key, start

__all__ = ["key", "start"]


@dataclass
class Load:
    """Callers that call again as soon as they are answered, and later when they are refused, as Retry-After says."""

    url: str
    key: str
    path: str
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    other: list[int] = field(default_factory=list)

    async def run(self, callers: int, seconds: float) -> None:
        """All of them for so long."""
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(self._call_until(until))

    async def _call_until(self, until: float) -> None:
        address = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        request = f"GET {self.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n\r\n".encode()
        while time.monotonic() < until:
            began = time.monotonic()
            writer.write(request)
            status = await _answer(reader)
            seconds = time.monotonic() - began
            if status == 200:
                self.accepted.append(seconds)
            elif status == 503:
                self.refused.append(seconds)
                await asyncio.sleep(random.uniform(1, 2))
            else:
                self.other.append(status)
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(head[9:12])


def _quantile(values: list[float], of_hundred: int) -> float:
    return statistics.quantiles(values, n=100)[of_hundred - 1]


@pytest.fixture
async def load(start: Start, example_database: str, key: str) -> AsyncIterator[Load]:
    """A read through the database, with the settings that a service has by default."""
    process = start(example_database, OPSWIRE_LOG_LEVEL="error")
    process.wait_until_ready()
    yield Load(process.url, key, "/v1/notes")
    assert process.popen.poll() is None, "no restart"


async def _rate(load: Load, callers: int, seconds: float) -> tuple[float, Load]:
    phase = Load(load.url, load.key, load.path)
    await phase.run(callers, seconds)
    return len(phase.accepted) / seconds, phase


async def test_500_connections_at_once_are_served(load: Load) -> None:
    _, burst = await _rate(load, 500, 1.0)
    assert burst.refused == []
    assert burst.other == []
    assert len(burst.accepted) >= 500


@pytest.mark.soak
@pytest.mark.timeout(180)
async def test_ten_times_the_load_is_refused_in_time_and_the_rest_is_served(load: Load) -> None:
    peak, _ = await _rate(load, 100, 5)
    goodput, overload = await _rate(load, 2000, 20)
    after, recovered = await _rate(load, 100, 5)
    accepted, refused = _quantile(overload.accepted, 99), _quantile(overload.refused, 95)
    print(f"peak {peak:.0f}/s; at ten times the load {goodput:.0f}/s, accepted p99 {accepted:.3f} s")
    print(f"refused {len(overload.refused)}, p95 {refused:.3f} s; afterwards {after:.0f}/s")
    assert overload.other == []
    assert refused < 0.05
    assert accepted < 1
    assert goodput >= 0.8 * peak
    assert recovered.refused == []
    assert after >= 0.8 * peak
