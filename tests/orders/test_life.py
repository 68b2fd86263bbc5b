"""The life of an order: what is decided when (ORD-1 to ORD-7, D14 to D20)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from libs.events.contracts import OrderAmended, OrderPaid, OrderUnfulfillable
from libs.service.errors import Validation, WrongState
from services.orders.domain import life, shipping
from services.orders.domain.state import Decision, Hold, HoldState, Line, Scan, Status, Units
from tests.orders.samples import (
    NOON,
    PROMISE,
    WINDOW,
    a_refund,
    delivered,
    order,
    paid,
    parcel,
    pay,
    payment,
    placed,
    shipped,
    types,
)

# placing and review


def test_an_order_is_placed_at_its_own_time_and_reviewed_when_it_is_accepted() -> None:
    late = NOON + timedelta(hours=3)
    after, happened = life.place(order(), (), reviewed_at=late)
    assert [(dated.event.TYPE, dated.at) for dated in happened] == [
        ("order.placed.v1", NOON),
        ("order.reviewed.v1", late),
    ]
    assert after.review.decision is Decision.APPROVED


def test_an_order_with_reasons_waits_for_a_person() -> None:
    held, _ = life.place(order(), ("phone_invalid",), reviewed_at=NOON)
    assert held.review.decision is Decision.HELD
    approved, happened = life.review(held, Decision.APPROVED, by="key:li", now=NOON)
    assert approved.review.decision is Decision.APPROVED
    assert [dated.event.TYPE for dated in happened] == ["order.reviewed.v1"]
    assert life.review(approved, Decision.APPROVED, by="key:li", now=NOON) == (approved, ())


def test_a_held_order_may_be_paid_but_not_shipped() -> None:
    held, _ = life.place(order(), ("phone_invalid",), reviewed_at=NOON)
    bought, _ = pay(held, payment())
    assert bought.status is Status.PAID
    with pytest.raises(WrongState) as refused:
        shipping.ship(bought, parcel())
    assert "ship" not in refused.value.members["possible"]
    assert "review" in refused.value.members["possible"]


# payment


def test_an_order_is_paid_once_when_its_payments_reach_the_total() -> None:
    half, first = pay(placed(), payment(7_800, "p-1"))
    assert (half.status, types((half, first))) == (Status.PLACED, ["payment.succeeded.v1"])
    whole, second = pay(half, payment(7_800, "p-2", paid_at=NOON + timedelta(hours=2)))
    assert types((whole, second)) == ["payment.succeeded.v1", "order.paid.v1"]
    told = second[1].event
    assert isinstance(told, OrderPaid)
    assert (told.amount_cents, told.payment_id, second[1].at) == (15_600, "p-2", NOON + timedelta(hours=2))
    assert told.ship_due_at == NOON + timedelta(hours=2) + PROMISE
    more, third = pay(whole, payment(100, "p-3"))
    assert (more.paid_cents, more.status, types((more, third))) == (15_700, Status.PAID, ["payment.succeeded.v1"])


def test_a_failed_try_is_told_and_pays_nothing() -> None:
    after, happened = pay(placed(), payment(status="failed", reason="no funds"))
    assert (after.status, after.paid_cents) == (Status.PLACED, 0)
    assert types((after, happened)) == ["payment.failed.v1"]


def test_a_payment_in_another_currency_is_refused() -> None:
    with pytest.raises(Validation):
        pay(placed(), payment(currency="USD"))


def test_money_for_a_cancelled_order_is_kept_and_pays_nothing() -> None:
    ended, _ = life.cancel(placed(), reason="changed my mind", by="customer", at=NOON)
    after, happened = pay(ended, payment())
    assert (after.status, after.paid_cents) == (Status.CANCELLED, 15_600)
    assert types((after, happened)) == ["payment.succeeded.v1"]


def test_a_free_order_is_paid_by_a_payment_of_nothing() -> None:
    after, happened = pay(placed(discount_cents=15_600), payment(0))
    assert after.status is Status.PAID
    assert types((after, happened))[-1] == "order.paid.v1"


# the end


def test_an_unpaid_order_times_out_and_a_paid_one_does_not() -> None:
    ended, happened = life.time_out(placed(), now=NOON + timedelta(hours=24))
    assert (ended.status, ended.cancelled_by, types((ended, happened))) == (
        Status.CANCELLED,
        "timeout",
        ["order.cancelled.v1"],
    )
    assert life.time_out(paid(), now=NOON + timedelta(hours=24)) == (paid(), ())


def test_a_shipped_order_cannot_be_cancelled() -> None:
    with pytest.raises(WrongState) as refused:
        life.cancel(shipped(), reason="too late", by="customer", at=NOON)
    assert refused.value.members["state"] == "shipped"
    assert refused.value.members["possible"] == ["scan", "return", "refund"]


def test_an_order_completes_when_its_return_window_is_over() -> None:
    arrived = delivered()
    end = NOON + timedelta(days=1) + WINDOW
    assert life.complete(arrived, window=WINDOW, now=end - timedelta(seconds=1)) == (arrived, ())
    completed, happened = life.complete(arrived, window=WINDOW, now=end)
    assert (completed.status, types((completed, happened))) == (Status.COMPLETED, ["order.completed.v1"])
    assert life.complete(completed, window=WINDOW, now=end) == (completed, ())


# stock


def test_a_hold_that_ran_out_leaves_the_order_placed() -> None:
    after, happened = life.lapse(placed(), "o-1~0")
    assert after.hold is not None
    assert (after.status, after.hold.state, happened) == (Status.PLACED, HoldState.LAPSED, ())


def test_news_of_an_older_hold_changes_nothing() -> None:
    again = replace(paid(), hold=Hold("o-1~1", 1, None, HoldState.ALLOCATED))
    assert life.lapse(again, "o-1~0") == (again, ())
    assert life.fall_short(again, Hold("o-1~0"), [Units("A001", 2)], now=NOON) == (again, ())


def test_a_paid_order_without_stock_is_told_once_and_is_paid_again_by_a_backorder() -> None:
    bought, _ = pay(placed(), payment())
    short, happened = life.fall_short(bought, Hold("o-1~1", 1), [Units("A001", 2)], now=NOON)
    told = happened[0].event
    assert isinstance(told, OrderUnfulfillable)
    assert (short.status, told.lines[0].quantity) == (Status.PAID_UNFULFILLABLE, 2)
    assert life.fall_short(short, Hold("o-1~1", 1), [Units("A001", 2)], now=NOON) == (short, ())
    waiting, _ = life.backorder(short, now=NOON)
    assert (waiting.status, waiting.backordered_at) == (Status.PAID_UNFULFILLABLE, NOON)
    filled, _ = life.allocate(waiting, Hold("o-1~2", 2))
    assert (filled.status, filled.backordered_at) == (Status.PAID, None)


def test_all_money_back_ends_an_order_that_cannot_be_fulfilled() -> None:
    bought, _ = pay(placed(), payment())
    short, _ = life.fall_short(bought, Hold("o-1~1", 1), [Units("A001", 2)], now=NOON)
    part, _ = life.refund(short, a_refund(600, "f-1"))
    assert part.status is Status.PAID_UNFULFILLABLE
    ended, happened = life.refund(part, a_refund(15_000, "f-2"))
    assert (ended.status, types((ended, happened))) == (
        Status.CANCELLED,
        ["refund.issued.v1", "order.cancelled.v1"],
    )


# amendment


def test_an_unpaid_order_takes_new_lines_and_tells_the_new_totals() -> None:
    hold = Hold("o-1~1", 1, NOON + timedelta(minutes=15))
    after, happened = life.amend(
        placed(), [Line("A001", 3, 7_800)], address_changed=False, reasons=(), now=NOON, hold=hold
    )
    told = happened[0].event
    assert isinstance(told, OrderAmended)
    assert (after.total_cents, told.total_cents, after.hold) == (23_400, 23_400, hold)
    assert (told.lines_before[0].quantity, told.lines_after[0].quantity) == (2, 3)


def test_a_paid_order_is_not_owed_more_by_an_amendment() -> None:
    with pytest.raises(Validation):
        life.amend(paid(), [Line("A001", 3, 7_800)], address_changed=False, reasons=(), now=NOON)
    less, _ = life.amend(paid(), [Line("A001", 1, 7_800)], address_changed=False, reasons=(), now=NOON)
    assert less.refundable_cents == 15_600


def test_a_good_address_lets_a_held_order_pass() -> None:
    held, _ = life.place(order(), ("address_incomplete",), reviewed_at=NOON)
    after, happened = life.amend(held, None, address_changed=True, reasons=(), now=NOON)
    assert after.review.decision is Decision.APPROVED
    assert types((after, happened)) == ["order.amended.v1", "order.reviewed.v1"]


def test_a_shipped_order_cannot_be_amended() -> None:
    with pytest.raises(WrongState):
        life.amend(shipped(), None, address_changed=True, reasons=(), now=NOON)


# refunds


def test_more_than_was_paid_is_not_given_back_unless_it_is_a_fact() -> None:
    with pytest.raises(Validation):
        life.refund(shipped(), a_refund(15_601))
    assert life.refund(shipped(), a_refund(15_601), is_fact=True)[0].refunded_cents == 15_601
    with pytest.raises(WrongState):
        life.refund(placed(), a_refund(1))


def test_the_share_of_goods_is_what_is_left_of_them() -> None:
    bought, _ = pay(placed(shipping_cents=1_000), payment(16_600))
    assert life.goods_share(bought, 16_600) == 15_600
    part, _ = life.refund(bought, a_refund(10_000))
    assert life.goods_share(part, 6_600) == 5_600


# parcels


def test_services_do_not_keep_an_order_open() -> None:
    bought = paid(lines=(Line("A001", 1, 15_000), Line("POST", 1, 600, kind="service")))
    after, _ = shipping.ship(bought, parcel([("A001", 1)]))
    assert after.status is Status.SHIPPED


def test_parcels_move_an_order_step_by_step() -> None:
    first, _ = shipping.ship(paid(), parcel([("A001", 1)]))
    assert first.status is Status.PARTLY_SHIPPED
    arrived, happened = shipping.scan(first, "s-1", Scan("delivered", NOON + timedelta(days=1)))
    assert (arrived.status, types((arrived, happened))) == (Status.PARTLY_SHIPPED, ["shipment.moved.v1"])
    second, _ = shipping.ship(arrived, parcel([("A001", 1)], "s-2"))
    assert second.status is Status.SHIPPED
    end, happened = shipping.scan(second, "s-2", Scan("delivered", NOON + timedelta(days=2)))
    assert (end.status, types((end, happened))) == (
        Status.DELIVERED,
        ["shipment.moved.v1", "order.delivered.v1"],
    )


def test_a_late_or_repeated_scan_does_not_move_a_parcel_twice() -> None:
    moving = Scan("moving", NOON + timedelta(hours=5), "杭州")
    once, _ = shipping.scan(shipped(), "s-1", moving)
    assert shipping.scan(once, "s-1", moving) == (once, ())
    late, _ = shipping.scan(once, "s-1", Scan("exception", NOON + timedelta(hours=3)))
    assert late.shipments[0].status == "moving"
    end, _ = shipping.scan(late, "s-1", Scan("delivered", NOON + timedelta(days=1)))
    assert shipping.scan(end, "s-1", Scan("moving", NOON + timedelta(days=2))) == (end, ())


def test_no_more_is_shipped_than_is_open() -> None:
    with pytest.raises(Validation) as refused:
        shipping.ship(paid(), parcel([("A001", 2), ("A001", 1)]))
    assert refused.value.errors[0]["pointer"] == "/lines/0/quantity"
    with pytest.raises(Validation):
        shipping.ship(paid(), parcel([("B002", 1)]))


def test_a_parcel_without_lines_has_everything_that_is_open() -> None:
    bought = paid(lines=(Line("A001", 1, 5_000), Line("B002", 1, 5_600), Line("A001", 1, 5_000)))
    assert shipping.with_lines(bought, parcel([])).lines == (Units("A001", 2), Units("B002", 1))
