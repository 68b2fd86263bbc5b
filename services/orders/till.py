"""The till: buyers who come at once are looked up together, their orders are made together (D12, D61).

Between the two, each one's stock is asked for over HTTP, without a transaction; inventory gathers those calls too.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Table

from libs.events.crash import crash_point
from libs.events.transaction import Transaction, Transactions
from libs.service import problems
from libs.service.answers import Answer, Given
from libs.service.errors import Conflict, Problem
from libs.service.idempotency import Claim, Kept, claim_all, give_up, keep_all, look_up_all
from libs.service.lane import Lane
from services.orders import store as db
from services.orders.answers import Shown, order_body
from services.orders.domain.state import Hold, Order
from services.orders.handlers import placing
from services.orders.handlers.common import policies
from services.orders.handlers.placing import Asked, Kit, Placement
from services.orders.sealing import masked


@dataclass(frozen=True, slots=True)
class Buyer:
    """One call that places an order: what it claims to be, what it asks for, how it wants to be answered."""

    store: str
    claims: Sequence[Claim]
    asked: Asked
    currency: str
    zone: ZoneInfo

    @property
    def places(self) -> frozenset[tuple[str, str, str]]:
        """The rows of its claims: of two calls for one order, the second waits for the first."""
        return frozenset(claim.place for claim in self.claims)


@dataclass(frozen=True, slots=True)
class _Turn:
    """A buyer whose stock is held, or who is refused and wants it kept (D2)."""

    buyer: Buyer
    hold: Hold | None = None
    refusal: Problem | None = None


class Till:
    """`await till.sell(buyer)`; `looking.run` and `making.run` are its loops."""

    def __init__(self, transactions: Transactions, idempotency: Table, kit: Kit, clock: Callable[[], datetime]) -> None:
        self._transactions = transactions
        self._idempotency = idempotency
        self._kit = kit
        self._clock = clock
        self.looking: Lane[Buyer, Asked | Kept] = Lane(self._look, name="looking up")
        self.making: Lane[_Turn, Given] = Lane(self._make, name="placing orders")

    async def sell(self, buyer: Buyer) -> Given:
        """Place the order once, however often it is asked for. Raises why it is refused."""
        try:
            asked = await self.looking.ask(buyer.store, buyer)
            if isinstance(asked, Kept):
                return Given(asked, repeated=True)
            hold = await placing.hold_stock(asked, self._kit, buyer.store, self._clock())
        except Problem as problem:
            by_key = [claim for claim in buyer.claims if not claim.is_natural]
            if not problem.kept or not by_key:
                raise
            refused = _Turn(replace(buyer, claims=by_key), refusal=problem)
            return await self.making.ask(buyer.store, refused, refused.buyer.places)
        return await self.making.ask(buyer.store, _Turn(buyer, hold), buyer.places)

    # before stock is asked for

    async def _look(self, store: str, buyers: Sequence[Buyer]) -> Sequence[Asked | Kept | Exception]:
        claims = [claim for buyer in buyers for claim in buyer.claims]
        async with self._transactions.begin(store, read_only=True) as tx:
            taken = await look_up_all(tx.session, self._idempotency, claims)
            existing = await db.find_existing(tx.session, store, [buyer.asked.order.order_id for buyer in buyers])
            hold = (await policies(tx, store)).hold
        known = [next((taken[claim] for claim in buyer.claims if claim in taken), None) for buyer in buyers]
        return [
            kept if kept is not None else _checked(buyer, existing, tx.now, hold)
            for buyer, kept in zip(buyers, known, strict=True)
        ]

    # when it is held

    async def _make(self, store: str, turns: Sequence[_Turn]) -> Sequence[Given | Exception]:
        claims = [claim for turn in turns for claim in turn.buyer.claims]
        crash_point("orders.before_placing")
        async with self._transactions.begin(store) as tx:
            taken = await claim_all(tx.session, self._idempotency, claims, tx.now)
            answers: dict[int, Given | Exception] = {n: a for n, t in enumerate(turns) if (a := _known(t, taken))}
            fresh = [n for n in range(len(turns)) if n not in answers]
            placements = [Placement(turns[n].buyer.asked, turns[n].hold) for n in fresh]
            made = await placing.place_all(placements, tx, self._kit)
            answers |= {n: _given(turns[n].buyer, order) for n, order in zip(fresh, made, strict=True)}
            await self._keep(turns, answers, taken, tx)
        crash_point("orders.after_placing")
        return [answers[n] for n in range(len(turns))]

    async def _keep(
        self,
        turns: Sequence[_Turn],
        answers: Mapping[int, Given | Exception],
        taken: Collection[Claim],
        tx: Transaction,
    ) -> None:
        """Write down what was given; take back the claims of calls whose refusal is not kept."""
        kept: dict[Claim, Kept] = {}
        given_up: list[Claim] = []
        for n, turn in enumerate(turns):
            mine = [claim for claim in turn.buyer.claims if claim not in taken]
            answer = answers[n]
            if isinstance(answer, Given):
                kept |= dict.fromkeys(mine, answer.kept)
            else:
                given_up += mine
        await keep_all(tx.session, self._idempotency, kept)
        await give_up(tx.session, self._idempotency, given_up)


def _checked(buyer: Buyer, existing: Collection[str], now: datetime, hold: timedelta) -> Asked | Problem:
    """The order as it can be made, with the store's hold where the caller names none."""
    order = buyer.asked.order
    if order.order_id in existing:
        return Conflict(f"order {order.order_id} exists with another content")
    try:
        placing.check(buyer.asked, currency=buyer.currency, now=now)
    except Problem as problem:
        return problem
    return replace(buyer.asked, hold=buyer.asked.hold or hold)


def _known(turn: _Turn, taken: Mapping[Claim, Kept | Problem]) -> Given | Problem | None:
    """What was answered before, or is to be kept without any order."""
    for claim in turn.buyer.claims:
        before = taken.get(claim)
        if before is not None:
            return Given(before, repeated=True) if isinstance(before, Kept) else before
    if turn.refusal is None:
        return None
    kept = Kept(turn.refusal.status, headers=turn.refusal.headers, problem=problems.document(turn.refusal))
    return Given(kept, repeated=False)


def _given(buyer: Buyer, order: Order | Problem) -> Given | Problem:
    if isinstance(order, Problem):
        return order
    consignee = buyer.asked.consignee
    body = order_body(Shown(buyer.store, order, masked(consignee) if consignee else None))
    answer = Answer(201, body, etag=order.version, location=f"/v1/orders/{order.order_id}")
    return Given(answer.kept(buyer.zone), repeated=False)
