"""A load generator of our own: N clients, each sends its next request when the last was answered.

Plain sockets on uvloop and a few lines of HTTP: `bench.load` alone drives tens of thousands of requests a second from
one core, which the figures of the raw echo beside every claim show; a client library would be the bottleneck.
It runs in a process of its own, so that the server's event loop is not ours.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Protocol, cast

import uvloop

from bench.series import quantile
from cli.local.processes import die_with_parent

HOST = "127.0.0.1"
CONNECT_AT_ONCE = 128
WARM_SECONDS = 0.3
RETURN_SECONDS = 0.05
FEWEST = 20
MORE_SECONDS, LONGEST_MORE_SECONDS = 0.5, 15.0


class Requests(Protocol):
    """Makes the bytes of the n-th request. Must survive pickling."""

    def __call__(self, n: int) -> bytes: ...


@dataclass(frozen=True)
class Json:
    """POST of a JSON text in which `{n}` is the request's number and `{k}` that number modulo `modulus`."""

    path: str
    body: str
    key: str = ""
    modulus: int = 1
    method: str = "POST"

    def __call__(self, n: int) -> bytes:
        body = self.body.replace("{n}", str(n)).replace("{k}", str(n % self.modulus)).encode()
        auth = f"authorization: Bearer {self.key}\r\n" if self.key else ""
        head = (
            f"{self.method} {self.path} HTTP/1.1\r\nhost: {HOST}\r\n{auth}"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(frozen=True)
class Volley:
    """An order to the generator: who is asked what, by how many, for how long."""

    port: int
    requests: Requests
    clients: int
    seconds: float
    first: int = 0


@dataclass(frozen=True)
class Answers:
    """What came back after the warm-up; milliseconds of the good answers (2xx)."""

    seconds: float
    good: int
    statuses: dict[int, int]
    p50_ms: float
    p99_ms: float
    sent: int
    """Requests in all, warm-up included: the next volley's numbers begin after them."""

    dropped: int
    """Connections that the server closed before it had answered."""

    generator_cpu: float
    """Share of one core that the generator used."""

    @property
    def per_second(self) -> float:
        return self.good / self.seconds


class Generator:
    """The process that shoots."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_end_with_parent)

    async def shoot(self, volley: Volley) -> Answers:
        """Raises ConnectionError when nobody listens."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _shoot, volley)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    if ask_kernel := die_with_parent(signal.SIGKILL):
        ask_kernel()


def _shoot(volley: Volley) -> Answers:
    return uvloop.run(_volley(volley))


@dataclass(eq=False, slots=True)
class _Tally:
    """What all clients of one volley share."""

    make: Callable[[int], bytes]
    next_number: int
    warm_until: float = 0.0
    ends: float = 0.0
    latest: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    dropped: int = 0

    def is_over(self, now: float) -> bool:
        """Whether the time is up; a server so slow that there is nothing to tell yet gets a little more."""
        if now < self.ends:
            return False
        if len(self.latencies) < FEWEST and now < self.latest:
            self.ends = min(now + MORE_SECONDS, self.latest)
            return False
        return True


class _Client(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    __slots__ = ("_body", "_received", "_sent_at", "_status", "_tally", "_transport", "done")

    def __init__(self, tally: _Tally, done: "asyncio.Future[None]") -> None:
        self._tally = tally
        self.done = done
        self._received = b""
        self._body = -1
        self._status = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class, of no common base

    def connection_lost(self, exc: Exception | None) -> None:
        """A server under pressure may hang up: that is counted, and the client comes back."""
        if not self.done.done():
            self._tally.dropped += 1
            self.done.set_result(None)

    def send(self) -> None:
        tally = self._tally
        assert self._transport is not None
        if tally.is_over(time.perf_counter()):
            if not self.done.done():
                self.done.set_result(None)
            self._transport.close()
            return
        number = tally.next_number
        tally.next_number += 1
        request = tally.make(number)
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        if self._body < 0:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            self._status = int(self._received[9:12])
            self._body = end + 4 + content_length(self._received[:end])
        if len(self._received) >= self._body:
            self._received, self._body = b"", -1
            self._answered()

    def _answered(self) -> None:
        now = time.perf_counter()
        tally = self._tally
        if tally.warm_until <= now < tally.ends:
            tally.statuses[self._status] += 1
            if 200 <= self._status < 300:
                tally.latencies.append(now - self._sent_at)
        self.send()


def content_length(head: bytes) -> int:
    """The length of the body that this head announces; 0 when it announces none."""
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at < 0:
        return 0
    end = lower.find(b"\r\n", at)
    return int(lower[at + 15 : end if end >= 0 else len(lower)])


async def _volley(volley: Volley) -> Answers:
    tally = _Tally(volley.requests, volley.first)
    connections: list[_Client] = []
    for n in range(0, volley.clients, CONNECT_AT_ONCE):
        some = range(min(CONNECT_AT_ONCE, volley.clients - n))
        connections += await asyncio.gather(*(_connect(tally, volley.port) for _ in some))
    cpu, began = time.process_time(), time.perf_counter()
    tally.warm_until = began + min(WARM_SECONDS, volley.seconds / 4)
    tally.ends = began + volley.seconds
    tally.latest = tally.ends + LONGEST_MORE_SECONDS
    await asyncio.gather(*(_live(client, tally, volley.port) for client in connections))
    share = (time.process_time() - cpu) / (time.perf_counter() - began)
    return _answers(tally, volley, share)


async def _connect(tally: _Tally, port: int) -> _Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: _Client(tally, loop.create_future()), HOST, port)
    return client


async def _live(client: _Client, tally: _Tally, port: int) -> None:
    """Ask and ask again until the end, over a new connection where the old one was closed."""
    while True:
        client.send()
        await client.done
        if tally.is_over(time.perf_counter()):
            return
        await asyncio.sleep(RETURN_SECONDS)
        client = await _connect(tally, port)


def _answers(tally: _Tally, volley: Volley, share: float) -> Answers:
    times = sorted(tally.latencies)
    return Answers(
        seconds=tally.ends - tally.warm_until,
        good=len(times),
        statuses=dict(tally.statuses),
        p50_ms=quantile(times, 0.5) * 1000 if times else 0.0,
        p99_ms=quantile(times, 0.99) * 1000 if times else 0.0,
        sent=tally.next_number - volley.first,
        dropped=tally.dropped,
        generator_cpu=share,
    )
