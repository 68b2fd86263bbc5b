"""The lane: calls that arrive while a batch is in the database are gathered into the next one.

No timer: a call alone goes at once, and under load the batches grow by themselves. A store's calls are decided in the
order in which they arrived; stores take turns, since row-level security is set for a transaction. One call that breaks
a batch is found by giving each of its calls a transaction of its own.
"""

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from sqlalchemy import Table, text

from libs.events.crash import crash_point
from libs.events.failures import Verdict, decide
from libs.events.transaction import Transaction, Transactions
from libs.service import problems
from libs.service.errors import Overloaded, Problem
from libs.service.idempotency import Claim, Kept, claim_all, keep_all
from services.inventory.domain.commands import Command, Outcome
from services.inventory.handlers.apply import apply
from services.inventory.metrics import LANE_BATCH, LANE_RETRIES, LANE_WAITING

MOST_AT_ONCE = 512
MOST_WAITING = 20_000
TRIES = 3

Finish = Callable[[Outcome], Kept]


@dataclass(eq=False, slots=True)
class Request:
    """One call: what it asks, what it claims to be, and how its outcome is written down."""

    store: str
    command: Command
    claims: Sequence[Claim]
    finish: Finish
    answer: "asyncio.Future[Given]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def give(self, answer: "Given | Problem") -> None:
        """Answer, unless the caller has left."""
        if isinstance(answer, Problem):
            self.fail(answer)
        elif not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Answer with an error, unless the caller has left."""
        if not self.answer.done():
            self.answer.set_exception(error)


def _fail(batch: "Sequence[Request]", error: Exception) -> None:
    for request in batch:
        request.fail(error)


@dataclass(frozen=True, slots=True)
class Given:
    """An answer, and whether it was given before."""

    kept: Kept
    repeated: bool = False


class Lane:
    """`await lane.ask(request)`; `run` is the loop that serves them, one transaction at a time."""

    def __init__(self, transactions: Transactions, idempotency: Table) -> None:
        self._transactions = transactions
        self._idempotency = idempotency
        self._waiting: OrderedDict[str, deque[Request]] = OrderedDict()
        self._count = 0
        self._asked = asyncio.Event()
        self.last_asked = float("-inf")
        """When a call came in last (monotonic seconds): the consumer keeps its batches small meanwhile."""

    @property
    def waiting(self) -> int:
        """Calls that no batch has taken yet."""
        return self._count

    async def ask(self, request: Request) -> Given:
        """The answer, after its commit. Raises the problem it was refused with; Overloaded when too many wait."""
        if self._count >= MOST_WAITING:
            raise Overloaded("too many reservations wait; try again")
        self._waiting.setdefault(request.store, deque()).append(request)
        self._count += 1
        self.last_asked = monotonic()
        self._asked.set()
        return await request.answer

    async def run(self) -> None:
        """Serve for ever."""
        try:
            while True:
                await self._asked.wait()
                self._asked.clear()
                while batch := self._take():
                    LANE_BATCH.observe(len(batch))
                    await self._serve(batch)
        finally:
            for request in (request for queue in self._waiting.values() for request in queue):
                request.fail(Overloaded("the service stops; the same call may be repeated"))

    def _take(self) -> list[Request]:
        """The next store's calls, without those whose caller has left. A claim made twice waits for its first."""
        if not self._waiting:
            return []
        store, queue = self._waiting.popitem(last=False)
        taken: list[Request] = []
        later: list[Request] = []
        claimed: set[tuple[str, str, str]] = set()
        while queue and len(taken) < MOST_AT_ONCE:
            request = queue.popleft()
            places = {claim.place for claim in request.claims}
            if request.answer.done():
                self._count -= 1
            elif places & claimed:
                later.append(request)
            else:
                claimed |= places
                taken.append(request)
        queue.extendleft(reversed(later))
        if queue:
            self._waiting[store] = queue
        self._count -= len(taken)
        LANE_WAITING.set(self._count)
        return taken

    async def _serve(self, batch: list[Request]) -> None:
        """Answer every request of the batch, whatever happens."""
        try:
            answers = await self._until_it_works(batch)
        except asyncio.CancelledError:
            _fail(batch, Overloaded("the service stops; the same call may be repeated"))
            raise
        except Exception as error:  # noqa: BLE001  whatever happened is the answer of whose call it is
            if len(batch) == 1 or decide(error) is Verdict.RETRY:
                _fail(batch, error)
            else:
                for request in batch:
                    await self._serve([request])
            return
        crash_point("inventory.before_answer")
        for request, answer in zip(batch, answers, strict=True):
            request.give(answer)

    async def _until_it_works(self, batch: list[Request]) -> "list[Given | Problem]":
        """Deadlocks and what changed meanwhile are tried again."""
        for attempt in range(1, TRIES):
            try:
                return await self._attempt(batch)
            except Exception as error:
                if decide(error) is not Verdict.RETRY:
                    raise
                LANE_RETRIES.inc()
                await asyncio.sleep(random.uniform(0.001, 0.01) * attempt)
        return await self._attempt(batch)

    async def _attempt(self, batch: Sequence[Request]) -> list[Given | Problem]:
        crash_point("inventory.before_batch")
        async with self._transactions.begin(batch[0].store) as tx:
            claimed = [claim for request in batch for claim in request.claims]
            taken = await claim_all(tx.session, self._idempotency, claimed, tx.now) if claimed else {}
            known = {n: taken[k] for n, request in enumerate(batch) for k in request.claims if k in taken}
            outcomes = iter(await apply([r.command for n, r in enumerate(batch) if n not in known], tx))
            answers: list[Given | Problem] = []
            kept: dict[Claim, Kept] = {}
            for n, request in enumerate(batch):
                if n in known:
                    answers.append(_again(known[n]))
                    continue
                answer, keep = _finish(request, next(outcomes))
                answers.append(answer)
                kept |= dict.fromkeys(request.claims, keep) if keep is not None else {}
            await keep_all(tx.session, self._idempotency, kept)
            await self._give_up(tx, [c for c in claimed if c not in taken and c not in kept])
        return answers

    async def _give_up(self, tx: Transaction, claims: Sequence[Claim]) -> None:
        """Forget the claims of calls whose refusal is not kept: their next try is a first one."""
        if claims:
            await tx.session.execute(
                text(
                    f"DELETE FROM {self._idempotency.fullname} WHERE (store, route, key) IN (SELECT * FROM"
                    " unnest(CAST(:stores AS text[]), CAST(:routes AS text[]), CAST(:keys AS text[])))"
                ),
                {
                    "stores": [claim.store for claim in claims],
                    "routes": [claim.route for claim in claims],
                    "keys": [claim.key for claim in claims],
                },
            )


def _again(taken: Kept | Problem) -> Given | Problem:
    return taken if isinstance(taken, Problem) else Given(taken, repeated=True)


def _finish(request: Request, outcome: Outcome | Problem) -> tuple[Given | Problem, Kept | None]:
    """The answer to a call, and what is kept of it for repeats (D2)."""
    if isinstance(outcome, Problem):
        kept = Kept(outcome.status, headers=outcome.headers, problem=problems.document(outcome))
        return outcome, kept if outcome.kept and request.claims else None
    kept = request.finish(outcome)
    return Given(kept), kept
