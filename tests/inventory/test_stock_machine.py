"""Any sequence of commands, in any batches, leaves every invariant whole; what can be foretold comes so (P1, D22)."""

from datetime import datetime, timedelta
from typing import Literal

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from libs.service.errors import OutOfStock, Problem
from services.inventory.domain import commands as c
from services.inventory.domain import holds
from services.inventory.domain.promises import Line, Shortage, Status
from services.inventory.domain.stock import State
from tests.inventory.shop import STORE, Shop, broken, cause

SKUS = ("A", "B", "C")
CAMPAIGNS = ("summer", "winter")
PLACES = ("main", "east")
UNITS = st.integers(1, 9)
LINES = st.lists(st.tuples(st.sampled_from(SKUS), UNITS), min_size=1, max_size=4)
ORDERS = st.sampled_from([f"o-{n}" for n in range(8)])
HOLDS = st.sampled_from([f"h-{n}" for n in range(8)])
AGES = st.integers(-100, 0)

Reason = Literal["damaged", "lost", "found", "correction", "unmatched_return", "write_off"]
REASONS: tuple[Reason, ...] = ("damaged", "lost", "found", "correction", "unmatched_return", "write_off")


def pieces(lines: list[tuple[str, int]]) -> tuple[c.Piece, ...]:
    return tuple(c.Piece(*line) for line in lines)


class StockMachine(RuleBasedStateMachine):
    """Commands in any order; those drawn as `waiting` are applied together with the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.shop = Shop()
        self.waiting: list[c.Command] = []

    @initialize(safety=st.integers(0, 6), hidden=st.booleans())
    def catalogue(self, safety: int, hidden: bool) -> None:
        for sku in ("A", "B"):
            self.shop.do(c.Describe(STORE, cause(), sku, safety, safety if hidden else 0))
        self.shop.do(c.Describe(STORE, cause(), "POST", 0, 0, is_goods=False))

    def at(self, age: int = 0) -> datetime:
        return self.shop.now + timedelta(seconds=age)

    def give(self, command: c.Command, together: bool) -> None:
        self.waiting.append(command)
        if together and not isinstance(command, c.Count):
            return
        batch, self.waiting = self.waiting, []
        expected = self.foretold(batch)
        outcomes = self.shop.apply(batch)
        if expected is not None:
            assert isinstance(outcomes[0], c.Standing) is expected, (batch, outcomes)
        for given, outcome in zip(batch, outcomes, strict=True):
            self.check(given, outcome)

    def foretold(self, batch: list[c.Command]) -> bool | None:
        """Whether a plain wish for open stock must be granted, by the ledger; None where it is not so simple."""
        wish = batch[0]
        if len(batch) > 1 or not isinstance(wish, c.Reserve) or wish.reservation_id in self.shop.reservations:
            return None
        if wish.campaign or wish.customer_id or wish.replaces or wish.backorder:
            return None
        wanted = {sku: n for sku, n in c.summed(wish.pieces).items() if sku != "POST"}
        over = {sku: self.over(sku) for sku in wanted}
        if any(self.shop.sums[sku, State.SHORT] or any(line.from_lock for line in over[sku]) for sku in wanted):
            return None
        free = {sku: self.shop.sums[sku, State.ON_HAND] + sum(line.promised for line in over[sku]) for sku in wanted}
        return all(free[sku] - self.shop.levels[sku].safety_hidden >= n for sku, n in wanted.items())

    def over(self, sku: str) -> list[Line]:
        """The lines of holds on a SKU that have run out and were not swept yet."""
        held = (r for r in self.shop.reservations.values() if r.has_expired(self.shop.now))
        return [r.lines[sku] for r in held if sku in r.lines]

    def check(self, command: c.Command, outcome: c.Outcome | Problem) -> None:
        if isinstance(outcome, OutOfStock):
            assert isinstance(command, c.Reserve)
            assert all(e["available"] < e["wanted"] for e in outcome.errors)

    @rule(seconds=st.sampled_from([1, 30, 100]))
    def time_passes(self, seconds: int) -> None:
        self.shop.tick(seconds)

    @rule(sku=st.sampled_from(SKUS), n=UNITS, place=st.sampled_from(PLACES), age=AGES, together=st.booleans())
    def receive(self, sku: str, n: int, place: str, age: int, together: bool) -> None:
        self.give(c.Receive(STORE, cause("r", self.at(age)), sku, place, n), together)

    @rule(
        sku=st.sampled_from(SKUS),
        n=st.integers(-9, 9).filter(bool),
        place=st.sampled_from(PLACES),
        reason=st.sampled_from(REASONS),
        age=AGES,
        together=st.booleans(),
    )
    def adjust(self, sku: str, n: int, place: str, reason: Reason, age: int, together: bool) -> None:
        self.give(c.Adjust(STORE, cause("a", self.at(age)), sku, place, n, reason), together)

    @rule(
        counted=st.dictionaries(st.sampled_from(SKUS), st.integers(0, 20), min_size=1),
        place=st.sampled_from(PLACES),
        age=AGES,
        version=st.none() | st.integers(0, 20),
    )
    def count(self, counted: dict[str, int], place: str, age: int, version: int | None) -> None:
        if self.waiting:
            self.give(self.waiting.pop(), together=False)
        items = tuple(c.Counted(sku, n, version) for sku, n in counted.items())
        self.give(c.Count(STORE, cause("c", self.at()), "c", place, self.at(age), "erp", items), together=False)

    @rule(
        name=HOLDS,
        lines=LINES,
        ttl=st.sampled_from([1, 50, 500]),
        order=st.none() | ORDERS,
        customer=st.none() | st.sampled_from(["c-1", "c-2"]),
        campaign=st.none() | st.sampled_from(CAMPAIGNS),
        replaces=st.none() | HOLDS,
        allocate=st.booleans(),
        backorder=st.booleans(),
        together=st.booleans(),
    )
    def reserve(
        self,
        name: str,
        lines: list[tuple[str, int]],
        ttl: int,
        order: str | None,
        customer: str | None,
        campaign: str | None,
        replaces: str | None,
        allocate: bool,
        backorder: bool,
        together: bool,
    ) -> None:
        lines = [(sku, n) for sku, n in lines if sku != "C"] or [("POST", 1)]
        self.give(
            c.Reserve(
                STORE,
                cause(name, self.at(), "reservation"),
                name,
                pieces(lines),
                self.at(ttl),
                order,
                customer,
                campaign,
                allocate and order is not None,
                replaces if replaces != name else None,
                backorder and order is not None,
            ),
            together,
        )

    @rule(name=HOLDS, together=st.booleans())
    def release(self, name: str, together: bool) -> None:
        self.give(c.Release(STORE, cause(name, self.at()), name), together)

    @rule(name=HOLDS, order=ORDERS, together=st.booleans())
    def allocate(self, name: str, order: str, together: bool) -> None:
        self.give(c.Allocate(STORE, cause(name, self.at()), name, order), together)

    @rule(together=st.booleans())
    def expire_what_is_due(self, together: bool) -> None:
        for name, reservation in sorted(self.shop.reservations.items()):
            if reservation.has_expired(self.shop.now):
                self.give(c.Expire(STORE, cause(name, self.at()), name), together)

    @rule(order=ORDERS, lines=LINES, campaign=st.none() | st.sampled_from(CAMPAIGNS), together=st.booleans())
    def outside(self, order: str, lines: list[tuple[str, int]], campaign: str | None, together: bool) -> None:
        self.give(
            c.AcceptOutside(STORE, cause(order, self.at()), order, pieces(lines), f"{order}~0", campaign), together
        )

    @rule(order=ORDERS, lines=LINES, together=st.booleans())
    def pay(self, order: str, lines: list[tuple[str, int]], together: bool) -> None:
        self.give(c.Pay(STORE, cause(order, self.at()), order, pieces(lines)), together)

    @rule(order=ORDERS, together=st.booleans())
    def cancel(self, order: str, together: bool) -> None:
        self.give(c.Cancel(STORE, cause(order, self.at()), order), together)

    @rule(order=ORDERS, lines=LINES, together=st.booleans())
    def amend(self, order: str, lines: list[tuple[str, int]], together: bool) -> None:
        self.give(c.Amend(STORE, cause(order, self.at()), order, pieces(lines)), together)

    @rule(order=ORDERS, lines=LINES, place=st.none() | st.sampled_from(PLACES), age=AGES, together=st.booleans())
    def ship(self, order: str, lines: list[tuple[str, int]], place: str | None, age: int, together: bool) -> None:
        self.give(c.Ship(STORE, cause(order, self.at(age)), order, pieces(lines), "s", place), together)

    @rule(order=ORDERS, lines=LINES, together=st.booleans())
    def approve_return(self, order: str, lines: list[tuple[str, int]], together: bool) -> None:
        self.give(c.AwaitReturn(STORE, cause(order, self.at()), order, pieces(lines), "ret"), together)

    @rule(
        order=ORDERS,
        lines=LINES,
        condition=st.sampled_from(["resellable", "damaged"]),
        place=st.none() | st.sampled_from(PLACES),
        age=AGES,
        together=st.booleans(),
    )
    def inspect_return(
        self,
        order: str,
        lines: list[tuple[str, int]],
        condition: c.Condition,
        place: str | None,
        age: int,
        together: bool,
    ) -> None:
        command = c.TakeBack(STORE, cause(order, self.at(age)), order, pieces(lines), "ret", condition, place)
        self.give(command, together)

    @rule(order=ORDERS, together=st.booleans())
    def complete(self, order: str, together: bool) -> None:
        self.give(c.Complete(STORE, cause(order, self.at()), order), together)

    @rule(sku=st.sampled_from(("A", "B")), campaign=st.sampled_from(CAMPAIGNS), n=UNITS, together=st.booleans())
    def lock(self, sku: str, campaign: str, n: int, together: bool) -> None:
        command = c.LockStock(STORE, cause(campaign, self.at()), sku, campaign, n, self.at(), self.at(1000))
        self.give(command, together)

    @rule(sku=st.sampled_from(SKUS), campaign=st.sampled_from(CAMPAIGNS), together=st.booleans())
    def unlock(self, sku: str, campaign: str, together: bool) -> None:
        self.give(c.Unlock(STORE, cause(campaign, self.at()), sku, campaign), together)

    @rule(sku=st.sampled_from(SKUS), safety=st.integers(0, 9), hidden=st.booleans(), together=st.booleans())
    def describe(self, sku: str, safety: int, hidden: bool, together: bool) -> None:
        self.give(c.Describe(STORE, cause(), sku, safety, safety if hidden else 0), together)

    @invariant()
    def nothing_is_broken(self) -> None:
        assert not broken(self.shop)

    @invariant()
    def what_is_refused_holds_nothing(self) -> None:
        for reservation in self.shop.reservations.values():
            if reservation.status is Status.REFUSED:
                assert not any(x.promised or x.short for x in reservation.lines.values())


StockMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestAnySequence = StockMachine.TestCase


def test_the_same_without_the_guarding_line_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sabotage twin: nobody asks whether there is enough."""
    nothing: list[Shortage] = []
    monkeypatch.setattr(holds, "_short", lambda *_: nothing)
    quick = settings(max_examples=100, stateful_step_count=30, deadline=None, database=None, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run_state_machine_as_test(StockMachine, settings=quick)
