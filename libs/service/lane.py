"""A lane: calls that arrive while a batch is in the database are gathered into the next one.

No timer: a call alone goes at once, and under load the batches grow by themselves. Stores take turns, since row-level
security is set for a transaction. One call that breaks a batch is found by giving each of its calls a turn of its own.
"""

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from libs.events.failures import Verdict, decide
from libs.service.errors import Overloaded

A = TypeVar("A")
R = TypeVar("R")
Serve = Callable[[str, Sequence[A]], Awaitable[Sequence[R | Exception]]]
"""Serves the calls of one store in one transaction: an answer, or an error, for each, in their order."""

MOST_AT_ONCE = 256
MOST_WAITING = 20_000
TRIES = 3


@dataclass(eq=False, slots=True)
class _Call(Generic[A, R]):
    asked: A
    places: frozenset[Hashable]
    answer: "asyncio.Future[R]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def give(self, answer: R | Exception) -> None:
        """Answer, unless the caller has left."""
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class Lane(Generic[A, R]):
    """`await lane.ask(store, what)`; `run` is the loop that serves, one batch at a time."""

    def __init__(self, serve: Serve[A, R], *, name: str, most_at_once: int = MOST_AT_ONCE) -> None:
        self._serve = serve
        self._name = name
        self._most_at_once = most_at_once
        self._waiting: OrderedDict[str, deque[_Call[A, R]]] = OrderedDict()
        self._count = 0
        self._asked = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Calls that no batch has taken yet."""
        return self._count

    async def ask(self, store: str, what: A, places: Collection[Hashable] = ()) -> R:
        """The answer. Of two calls with a place in common, the second is served after the first.

        Raises what it was refused with; Overloaded when too many wait.
        """
        if self._count >= MOST_WAITING:
            raise Overloaded(f"too many wait for {self._name}; try again")
        call: _Call[A, R] = _Call(what, frozenset(places))
        self._waiting.setdefault(store, deque()).append(call)
        self._count += 1
        self._asked.set()
        return await call.answer

    async def run(self) -> None:
        """Serve for ever."""
        try:
            while True:
                await self._asked.wait()
                self._asked.clear()
                while self._waiting:
                    await self._turn(*self._take())
        finally:
            for call in (call for queue in self._waiting.values() for call in queue):
                call.give(_stopping())

    def _take(self) -> tuple[str, list[_Call[A, R]]]:
        """The next store's calls, without those whose caller has left."""
        store, queue = self._waiting.popitem(last=False)
        taken: list[_Call[A, R]] = []
        later: list[_Call[A, R]] = []
        places: set[Hashable] = set()
        while queue and len(taken) < self._most_at_once:
            call = queue.popleft()
            if call.answer.done():
                self._count -= 1
            elif call.places & places:
                later.append(call)
            else:
                places |= call.places
                taken.append(call)
        queue.extendleft(reversed(later))
        if queue:
            self._waiting[store] = queue
        self._count -= len(taken)
        return store, taken

    async def _turn(self, store: str, calls: list[_Call[A, R]]) -> None:
        """Answer every call, whatever happens."""
        if not calls:
            return
        try:
            answers = await self._until_it_works(store, [call.asked for call in calls])
        except asyncio.CancelledError:
            for call in calls:
                call.give(_stopping())
            raise
        except Exception as error:  # noqa: BLE001  whatever happened is the answer of whose call it is
            await self._one_by_one(store, calls, error)
            return
        for call, answer in zip(calls, answers, strict=True):
            call.give(answer)

    async def _one_by_one(self, store: str, calls: list[_Call[A, R]], error: Exception) -> None:
        if len(calls) == 1 or decide(error) is Verdict.RETRY:
            for call in calls:
                call.give(_own(error))
            return
        for call in calls:
            await self._turn(store, [call])

    async def _until_it_works(self, store: str, asked: Sequence[A]) -> Sequence[R | Exception]:
        """Deadlocks and what changed meanwhile are tried again."""
        for attempt in range(1, TRIES):
            try:
                return await self._serve(store, asked)
            except Exception as error:
                if decide(error) is not Verdict.RETRY:
                    raise
                await asyncio.sleep(random.uniform(0.001, 0.01) * attempt)
        return await self._serve(store, asked)


def _own(error: Exception) -> Exception:
    """A copy, so that the tracebacks of several callers do not grow into each other; itself where it has no copies."""
    try:
        return copy(error)
    except TypeError:
        return error


def _stopping() -> Overloaded:
    return Overloaded("the service stops; the same call may be repeated")
