"""Overload is refused at the door, not queued (P9): a bounded number of calls runs, a bounded number waits its turn.

A burst is not an overload: up to `burst` calls may be inside at once (D61). Only when calls have been waiting longer
than `queue_seconds` without a break for `GRACE_SECONDS` is the door narrowed to what `queue_seconds` suffice for.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic

from libs.service.errors import Overloaded

GRACE_SECONDS = 5.0
"""On a slow machine 500 buyers do not arrive in one instant, and are served all the same."""
_RATE_SECONDS = 1.0
FULL = "too many calls at once; try again"


class Gate:
    """`await gate.enter()` ... `gate.leave()`."""

    def __init__(
        self, *, concurrency: int, burst: int, queue_seconds: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self.concurrency = concurrency
        self.burst = burst
        self.queue_seconds = queue_seconds
        self.running = 0
        self._clock = clock
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()
        self._slow_since: float | None = None
        self._left: deque[float] = deque()

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return len(self._waiting)

    async def enter(self) -> None:
        """Wait for a turn. Raises Overloaded at once when there will be none soon."""
        if self.running < self.concurrency and not self._waiting:
            self._slow_since = None
            self.running += 1
            return
        if self.is_full():
            raise Overloaded(FULL)
        await self._wait()

    def is_full(self) -> bool:
        """Whether the next call would be refused."""
        if self.running < self.concurrency and not self._waiting:
            return False
        return self.running + self.waiting >= self.burst or self._too_slow()

    async def _wait(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, self._clock()))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Give the turn to the next that still waits."""
        now = self._clock()
        self.running -= 1
        self._left.append(now)
        while self._left[0] < now - _RATE_SECONDS:
            self._left.popleft()
        while self._waiting and self.running < self.concurrency:
            turn, since = self._waiting.popleft()
            if turn.done():
                continue
            self._observe(now, now - since)
            self.running += 1
            turn.set_result(None)

    def _observe(self, now: float, waited: float) -> None:
        """Waiting too long begins a spell; one that lasts ends only when nobody waits any more (in `enter`)."""
        if self._slow_since is None and waited > self.queue_seconds:
            self._slow_since = now
        elif waited <= self.queue_seconds and not self._is_narrow():
            self._slow_since = None

    def _is_narrow(self) -> bool:
        return self._slow_since is not None and self._clock() - self._slow_since >= GRACE_SECONDS

    def _too_slow(self) -> bool:
        """Whether waiting has been too long for too long, and would be for one more."""
        if not self._is_narrow():
            return False
        answered_a_second = max(1, len(self._left)) / _RATE_SECONDS
        return self.running + self.waiting > answered_a_second * self.queue_seconds
