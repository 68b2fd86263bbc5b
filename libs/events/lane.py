"""A lane: what is handed in while the last batch is on its way is gathered and sent as the next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field

from libs.events.bus import BusUnavailable, Message

MOST_IN_FLIGHT = 20_000
"""Messages of one flight, unless a single post has more."""

MOST_WAITING = 200_000
"""Messages that may wait for a flight; whoever comes then waits for room."""


@dataclass(eq=False, slots=True)
class Post:
    """The messages of one call to `publish`, and its answer."""

    messages: Sequence[Message]
    answer: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def succeed(self) -> None:
        if not self.answer.done():
            self.answer.set_result(None)

    def fail(self, error: Exception) -> None:
        """Every publisher gets a copy of his own, so that tracebacks do not grow into each other."""
        if not self.answer.done():
            self.answer.set_exception(copy(error))


Send = Callable[[Sequence[Post]], Awaitable[None]]
"""Sends posts, in their order, and answers each; an exception is the answer of those not yet answered."""


class Lane:
    """One flight at a time, no timer: under load the flights grow by themselves."""

    def __init__(self, send: Send, *, name: str, timeout: float) -> None:
        """`timeout`: seconds after which a publisher is told BusUnavailable; his messages may still arrive."""
        self._send = send
        self._name = name
        self._timeout = timeout
        self._waiting: deque[Post] = deque()
        self._count = 0
        self._handed_in = asyncio.Event()
        self._idle = asyncio.Event()
        self._room = asyncio.Condition()
        self._loop: asyncio.Task[None] | None = None
        """Cannot end before `close`: whatever a flight raises is the answer of its publishers."""
        self._closed = False

    async def post(self, messages: Sequence[Message]) -> None:
        """Return when all are acknowledged. Raises BusUnavailable, or what `send` answered."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._wait_for_room()
                await self._hand_in(Post(messages))
        except TimeoutError as error:
            raise BusUnavailable(f"{self._name}: not acknowledged within {self._timeout:g} s") from error

    async def _wait_for_room(self) -> None:
        if self._count >= MOST_WAITING:
            async with self._room:
                await self._room.wait_for(lambda: self._count < MOST_WAITING)

    async def _hand_in(self, post: Post) -> None:
        if self._closed:
            raise BusUnavailable(f"{self._name} is closed")
        if self._loop is None:
            self._loop = asyncio.create_task(self._run(), name=f"lane {self._name}")
        self._waiting.append(post)
        self._count += len(post.messages)
        self._handed_in.set()
        self._idle.clear()
        await post.answer

    async def _run(self) -> None:
        while True:
            await self._handed_in.wait()
            self._handed_in.clear()
            while posts := await self._take():
                await self._fly(posts)
            if not self._waiting:
                self._idle.set()

    async def _take(self) -> list[Post]:
        """The next flight, without the posts whose publishers have given up."""
        posts: list[Post] = []
        size = 0
        while self._waiting and (not posts or size + len(self._waiting[0].messages) <= MOST_IN_FLIGHT):
            post = self._waiting.popleft()
            self._count -= len(post.messages)
            if not post.answer.done():
                posts.append(post)
                size += len(post.messages)
        async with self._room:
            self._room.notify_all()
        return posts

    async def _fly(self, posts: list[Post]) -> None:
        try:
            await self._send(posts)
        except Exception as error:  # noqa: BLE001  whatever happened is the answer of these publishers
            for post in posts:
                post.fail(error)
        except asyncio.CancelledError:
            for post in posts:
                post.fail(BusUnavailable(f"{self._name} was closed"))
            raise

    async def close(self, *, grace: float) -> None:
        """Let what was handed in be sent for `grace` seconds; the rest is answered with BusUnavailable."""
        self._closed = True
        loop, self._loop = self._loop, None
        if loop is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._idle.wait()
        loop.cancel()
        await asyncio.wait([loop])
        for post in self._waiting:
            post.fail(BusUnavailable(f"{self._name} was closed"))
        self._waiting.clear()
