"""An order under any sequence of commands: it never skips a step, never goes back, and its sums hold (ORD-7)."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from libs.service.errors import Validation, WrongState
from services.orders.domain import life, returns, shipping
from services.orders.domain.state import (
    CancelledBy,
    Decided,
    Decision,
    Hold,
    Line,
    Order,
    ReturnStatus,
    Scan,
    Status,
    Units,
)
from tests.orders.samples import NOON, WINDOW, a_refund, a_return, order, parcel, pay, payment

RANK = {
    Status.PLACED: 0,
    Status.PAID: 1,
    Status.PAID_UNFULFILLABLE: 1,
    Status.PARTLY_SHIPPED: 2,
    Status.SHIPPED: 3,
    Status.DELIVERED: 4,
    Status.COMPLETED: 5,
    Status.CANCELLED: 5,
}
ONCE = ("order.placed.v1", "order.paid.v1", "order.delivered.v1", "order.completed.v1", "order.cancelled.v1")
AMOUNTS = st.sampled_from([15_600, 10_600, 5_000, 1, 0])
SELDOM = st.integers(0, 7).map(lambda n: n == 7)
"""For what ends an order: most should live."""


class OrderMachine(RuleBasedStateMachine):
    """Every rule tries a step; refused steps change nothing, allowed ones keep the invariants."""

    def __init__(self) -> None:
        super().__init__()
        self.order: Order = order()
        self.told: Counter[str] = Counter()
        self.hours = 0
        self.number = 0

    @property
    def now(self) -> Any:
        return NOON + timedelta(hours=self.hours)

    def next_id(self, kind: str) -> str:
        self.number += 1
        return f"{kind}-{self.number}"

    def do(self, step: Callable[[], Decided]) -> None:
        self.hours += 1
        before = self.order
        try:
            after, happened = step()
        except (WrongState, Validation):
            return
        assert RANK[after.status] >= RANK[before.status]
        assert before.status not in (Status.CANCELLED, Status.COMPLETED) or after.status is before.status
        self.order = after
        self.told.update(dated.event.TYPE for dated in happened)

    @initialize(held=SELDOM, lines=st.sampled_from([1, 2]), stage=st.integers(0, 3))
    def place(self, held: bool, lines: int, stage: int) -> None:
        two = (Line("A001", 2, 5_000), Line("B002", 1, 5_600))
        asked = order(lines=two if lines == 2 else (Line("A001", 2, 7_800),))
        self.do(lambda: life.place(asked, ("phone_invalid",) if held else (), reviewed_at=self.now))
        if stage > 0:
            self.do(lambda: pay(self.order, payment(15_600, self.next_id("p"))))
        if stage > 1 and not held:
            self.do(lambda: shipping.ship(self.order, shipping.with_lines(self.order, parcel([], "s-0"))))
        if stage > 2 and not held:
            self.do(lambda: shipping.scan(self.order, "s-0", Scan("delivered", self.now)))

    @rule(amount=AMOUNTS, works=st.booleans())
    def pay(self, amount: int, works: bool) -> None:
        status = "succeeded" if works else "failed"
        self.do(lambda: pay(self.order, payment(amount, self.next_id("p"), status=status)))

    @rule(by=st.sampled_from(["customer", "store"]), sure=SELDOM)
    def cancel(self, by: CancelledBy, sure: bool) -> None:
        if sure:
            self.do(lambda: life.cancel(self.order, reason="", by=by, at=self.now))

    @rule(sure=SELDOM)
    def time_out(self, sure: bool) -> None:
        if sure:
            self.do(lambda: life.time_out(self.order, now=self.now))

    @rule(decision=st.sampled_from(Decision))
    def review(self, decision: Decision) -> None:
        self.do(lambda: life.review(self.order, decision, by="li", now=self.now))

    @rule(attempt=st.integers(0, 3), granted=st.booleans())
    def hear_of_stock(self, attempt: int, granted: bool) -> None:
        hold = Hold(f"o-1~{attempt}", attempt)
        if granted:
            self.do(lambda: life.allocate(self.order, hold))
        else:
            self.do(lambda: life.fall_short(self.order, hold, [Units("A001", 1)], now=self.now))

    @rule()
    def backorder(self) -> None:
        self.do(lambda: life.backorder(self.order, now=self.now))

    @rule(sku=st.sampled_from(["A001", "B002"]), quantity=st.integers(1, 2), whole=st.booleans())
    def ship(self, sku: str, quantity: int, whole: bool) -> None:
        lines = [] if whole else [(sku, quantity)]
        sent = parcel(lines, self.next_id("s"))
        self.do(lambda: shipping.ship(self.order, shipping.with_lines(self.order, sent)))

    @rule(data=st.data(), status=st.sampled_from(["moving", "delivered", "exception"]))
    def scan(self, data: st.DataObject, status: Any) -> None:
        if self.order.shipments:
            moved = data.draw(st.sampled_from(self.order.shipments))
            self.do(lambda: shipping.scan(self.order, moved.shipment_id, Scan(status, self.now)))

    @rule(quantity=st.integers(1, 2))
    def ask_return(self, quantity: int) -> None:
        self.do(lambda: returns.request_return(self.order, a_return(quantity, self.next_id("r"))))

    @rule(data=st.data(), wild=SELDOM)
    def step_return(self, data: st.DataObject, wild: bool) -> None:
        if not self.order.returns:
            return
        chosen = data.draw(st.sampled_from(self.order.returns))
        item = chosen.return_id
        allowed = () if wild else returns.RETURN_STEPS.get(chosen.status, ())
        step = data.draw(st.sampled_from(allowed or ("approve", "refuse", "receive", "inspect", "refund", "exchange")))
        at_once = data.draw(SELDOM)
        refund = a_refund(100, self.next_id("f"), return_id=item)
        steps: dict[str, Callable[[], Decided]] = {
            "approve": lambda: returns.approve_return(self.order, item, at=self.now),
            "refuse": lambda: returns.refuse_return(self.order, item, refusal=None, at=self.now),
            "receive": lambda: returns.receive_return(self.order, item, at=self.now),
            "inspect": lambda: returns.inspect_return(self.order, item, "resellable", at=self.now),
            "refund": lambda: returns.refund_return(self.order, item, refund, at_once=at_once),
            "exchange": lambda: returns.exchange_return(
                self.order, item, [Line("C003", 1, 100)], hold=None, at=self.now
            ),
        }
        self.do(steps[step])

    @rule(amount=AMOUNTS.filter(bool))
    def refund(self, amount: int) -> None:
        self.do(lambda: life.refund(self.order, a_refund(amount, self.next_id("f"))))

    @rule(days=st.integers(0, 20))
    def wait(self, days: int) -> None:
        self.hours += 24 * days
        self.do(lambda: life.complete(self.order, window=WINDOW, now=self.now))

    @invariant()
    def units_add_up(self) -> None:
        for line in self.order.lines:
            assert 0 <= line.returned <= line.shipped <= line.quantity
            assert line.quantity > 0

    @invariant()
    def money_adds_up(self) -> None:
        assert 0 <= self.order.refunded_cents <= max(self.order.paid_cents, 0)
        assert self.order.total_cents >= 0
        if self.order.paid_at is not None:
            assert self.told["order.paid.v1"] == 1

    @invariant()
    def milestones_are_told_once(self) -> None:
        assert all(self.told[kind] <= 1 for kind in ONCE)
        assert (self.order.status is Status.CANCELLED) == (self.told["order.cancelled.v1"] == 1)
        assert (self.order.delivered_at is not None) == (self.told["order.delivered.v1"] == 1)

    @invariant()
    def nothing_leaves_unpaid_or_unreviewed(self) -> None:
        if self.order.shipments:
            assert self.order.paid_at is not None
            assert self.order.status is not Status.CANCELLED

    @invariant()
    def open_returns_keep_an_order_open(self) -> None:
        if self.order.status is Status.COMPLETED:
            closed = {ReturnStatus.REFUSED, ReturnStatus.REFUNDED, ReturnStatus.EXCHANGED}
            assert all(item.status in closed for item in self.order.returns)

    @invariant()
    def what_is_called_possible_is_possible(self) -> None:
        possible = life.possible(self.order)
        if "cancel" in possible:
            life.cancel(self.order, reason="", by="store", at=self.now)
        if "ship" in possible:
            shipping.ship(self.order, shipping.with_lines(self.order, parcel([])))
        if "backorder" in possible:
            life.backorder(self.order, now=self.now)
        if "refund" in possible:
            life.refund(self.order, a_refund(1, "probe"))


TestOrderMachine = OrderMachine.TestCase
TestOrderMachine.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
