"""Goods that come back (ORD-6, D20)."""

from datetime import timedelta

import pytest

from libs.events.contracts import OrderAmended
from libs.service.errors import Validation, WrongState
from services.orders.domain import life, returns, shipping
from services.orders.domain.state import Line, Order, ReturnStatus, Scan, Status
from tests.orders.samples import NOON, WINDOW, a_refund, a_return, delivered, parcel, placed, shipped, types

LATER = NOON + timedelta(days=3)


def inspected(quantity: int = 1) -> Order:
    order, _ = returns.request_return(delivered(), a_return(quantity))
    order, _ = returns.approve_return(order, "r-1", at=LATER)
    order, _ = returns.receive_return(order, "r-1", at=LATER)
    return returns.inspect_return(order, "r-1", "resellable", at=LATER)[0]


def test_a_return_goes_its_steps_and_each_has_its_time() -> None:
    order, asked = returns.request_return(delivered(), a_return())
    order, approved = returns.approve_return(order, "r-1", at=LATER)
    order, received = returns.receive_return(order, "r-1", at=LATER)
    assert order.lines[0].returned == 1
    order, looked = returns.inspect_return(order, "r-1", "damaged", at=LATER)
    order, refunded = returns.refund_return(order, "r-1", a_refund(return_id="r-1"))
    told = [dated.event.TYPE for dated in (*asked, *approved, *received, *looked, *refunded)]
    assert told == [
        "return.requested.v1",
        "return.approved.v1",
        "return.received.v1",
        "return.inspected.v1",
        "refund.issued.v1",
    ]
    item = order.returns[0]
    assert (item.status, item.condition, item.refund_id) == (ReturnStatus.REFUNDED, "damaged", "f-1")


@pytest.mark.parametrize("step", ["receive", "inspect", "refund", "exchange"])
def test_no_step_of_a_return_is_skipped(step: str) -> None:
    order, _ = returns.request_return(delivered(), a_return())
    steps = {
        "receive": lambda: returns.receive_return(order, "r-1", at=LATER),
        "inspect": lambda: returns.inspect_return(order, "r-1", "resellable", at=LATER),
        "refund": lambda: returns.refund_return(order, "r-1", a_refund()),
        "exchange": lambda: returns.exchange_return(order, "r-1", [Line("B", 1, 1)], hold=None, at=LATER),
    }
    with pytest.raises(WrongState) as refused:
        steps[step]()
    assert (refused.value.members["state"], refused.value.members["possible"]) == ("requested", ["approve", "refuse"])


def test_an_unshipped_order_has_nothing_to_return() -> None:
    with pytest.raises(WrongState):
        returns.request_return(placed(), a_return())


def test_no_more_comes_back_than_was_shipped() -> None:
    order, _ = returns.request_return(shipped(), a_return(1))
    with pytest.raises(Validation):
        returns.request_return(order, a_return(2, "r-2"))
    refused, _ = returns.refuse_return(order, "r-1", refusal="worn", at=LATER)
    again, _ = returns.request_return(refused, a_return(2, "r-2"))
    assert [item.status for item in again.returns] == [ReturnStatus.REFUSED, ReturnStatus.REQUESTED]


def test_money_goes_back_before_inspection_only_where_policy_says_so() -> None:
    order, _ = returns.request_return(delivered(), a_return())
    order, _ = returns.approve_return(order, "r-1", at=LATER)
    with pytest.raises(WrongState):
        returns.refund_return(order, "r-1", a_refund())
    order, _ = returns.refund_return(order, "r-1", a_refund(return_id="r-1"), at_once=True)
    assert order.returns[0].status is ReturnStatus.APPROVED
    with pytest.raises(WrongState):
        returns.refund_return(order, "r-1", a_refund(refund_id="f-2"), at_once=True)
    order, _ = returns.receive_return(order, "r-1", at=LATER)
    order, _ = returns.inspect_return(order, "r-1", "resellable", at=LATER)
    assert order.returns[0].status is ReturnStatus.REFUNDED


def test_an_exchange_ships_other_goods_on_the_same_order_whose_totals_change() -> None:
    order, happened = returns.exchange_return(inspected(), "r-1", [Line("B002", 1, 8_800)], hold=None, at=LATER)
    told = happened[0].event
    assert isinstance(told, OrderAmended)
    assert told.total_cents == 7_800 + 8_800
    assert [(line.sku, line.quantity, line.shipped) for line in order.lines] == [("A001", 1, 1), ("B002", 1, 0)]
    sent, _ = shipping.ship(order, parcel([("B002", 1)], "s-2"))
    assert sent.status is Status.DELIVERED
    arrived, happened = shipping.scan(sent, "s-2", Scan("delivered", LATER))
    assert types((arrived, happened)) == ["shipment.moved.v1"]


def test_an_exchange_of_everything_leaves_only_the_new_goods() -> None:
    order, _ = returns.exchange_return(inspected(2), "r-1", [Line("B002", 2, 7_800)], hold=None, at=LATER)
    assert [line.sku for line in order.lines] == ["B002"]


def test_an_open_return_keeps_an_order_from_completing() -> None:
    order, _ = returns.request_return(delivered(), a_return())
    far = NOON + timedelta(days=30)
    assert life.complete(order, window=WINDOW, now=far) == (order, ())
    refused, _ = returns.refuse_return(order, "r-1", refusal=None, at=LATER)
    assert life.complete(refused, window=WINDOW, now=far)[0].status is Status.COMPLETED


def test_an_exchange_that_leaves_a_negative_total_is_refused() -> None:
    order, _ = returns.request_return(delivered(discount_cents=5_000), a_return(2))
    order, _ = returns.approve_return(order, "r-1", at=LATER)
    order, _ = returns.receive_return(order, "r-1", at=LATER)
    order, _ = returns.inspect_return(order, "r-1", "resellable", at=LATER)
    with pytest.raises(Validation):
        returns.exchange_return(order, "r-1", [Line("B002", 1, 100)], hold=None, at=LATER)
