"""The lane of reservations: calls that come at once are locked, decided and written together, in order of arrival.

Each batch is one transaction of one store: claims first, then the SKUs of all its commands, sorted, in one statement.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from sqlalchemy import Table

from libs.events.crash import crash_point
from libs.events.transaction import Transactions
from libs.service import problems
from libs.service.answers import Given
from libs.service.errors import Problem
from libs.service.idempotency import Claim, Kept, Taken, claim_all, give_up, keep_all
from libs.service.lane import Lane
from services.inventory.domain.commands import Command, Outcome
from services.inventory.handlers.apply import apply
from services.inventory.metrics import LANE_BATCH, LANE_WAITING

MOST_AT_ONCE = 512

Finish = Callable[[Outcome], Kept]


@dataclass(frozen=True, slots=True)
class Request:
    """One call: what it asks, what it claims to be, and how its outcome is written down."""

    command: Command
    claims: Sequence[Claim]
    finish: Finish


class StockLane:
    """`await lane.ask(request)`; `run` is its loop."""

    def __init__(self, transactions: Transactions, idempotency: Table) -> None:
        self._transactions = transactions
        self._idempotency = idempotency
        self._lane: Lane[Request, Given] = Lane(self._serve, name="reservations", most_at_once=MOST_AT_ONCE)
        self.run = self._lane.run
        self.last_asked = float("-inf")
        """When a call came in last (monotonic seconds): the consumer keeps its batches small meanwhile."""

    async def ask(self, request: Request) -> Given:
        """The answer, after its commit. Raises what it was refused with; Overloaded when too many wait."""
        self.last_asked = monotonic()
        return await self._lane.ask(request.command.store, request, [claim.place for claim in request.claims])

    async def _serve(self, store: str, requests: Sequence[Request]) -> Sequence[Given | Exception]:
        LANE_BATCH.observe(len(requests))
        LANE_WAITING.set(self._lane.waiting)
        crash_point("inventory.before_batch")
        answers = await self._in_one_transaction(store, requests)
        crash_point("inventory.before_answer")
        return answers

    async def _in_one_transaction(self, store: str, requests: Sequence[Request]) -> list[Given | Exception]:
        claims = [claim for request in requests for claim in request.claims]
        async with self._transactions.begin(store) as tx:
            taken = await claim_all(tx.session, self._idempotency, claims, tx.now) if claims else {}
            fresh = [request for request in requests if _known(request, taken) is None]
            outcomes = iter(await apply([request.command for request in fresh], tx))
            answers: list[Given | Exception] = []
            kept: dict[Claim, Kept] = {}
            for request in requests:
                known = _known(request, taken)
                if known is not None:
                    answers.append(_again(known))
                    continue
                answer, keep = _finish(request, next(outcomes))
                answers.append(answer)
                kept |= dict.fromkeys(request.claims, keep) if keep is not None else {}
            if claims:
                await keep_all(tx.session, self._idempotency, kept)
                await give_up(tx.session, self._idempotency, [c for c in claims if c not in taken and c not in kept])
        return answers


def _known(request: Request, taken: dict[Claim, Taken]) -> Taken | None:
    return next((taken[claim] for claim in request.claims if claim in taken), None) if taken else None


def _again(taken: Taken) -> Given | Exception:
    return taken if isinstance(taken, Problem) else Given(taken, repeated=True)


def _finish(request: Request, outcome: Outcome | Problem) -> tuple[Given | Exception, Kept | None]:
    """The answer to a call, and what is kept of it for repeats (D2)."""
    if isinstance(outcome, Problem):
        kept = Kept(outcome.status, headers=outcome.headers, problem=problems.document(outcome))
        return outcome, kept if outcome.kept and request.claims else None
    kept = request.finish(outcome)
    return Given(kept, repeated=False), kept
