"""Holds: all lines or none, ids that may be repeated, one winner between expiry and payment."""

from datetime import timedelta

from libs.events.contracts import StockAllocated, StockLevel, StockRefused, StockReleased, StockReserved
from libs.service.errors import Conflict, OutOfStock, Validation, WrongState
from services.inventory.domain import commands as c
from services.inventory.domain.promises import Status
from tests.inventory.shop import NOON, STORE, Shop, cause


def test_a_hold_takes_units_from_what_is_available() -> None:
    shop = Shop().stocked("A", 10)
    held = shop.reserve("x-1", ("A", 3))
    assert isinstance(held, c.Standing)
    assert (held.status, held.pieces, held.expires_at) == (Status.HELD, (("A", 3),), NOON + timedelta(minutes=15))
    level = shop.levels["A"]
    assert (level.on_hand, level.held, level.available) == (10, 3, 7)
    assert [type(e) for e in shop.events] == [StockReserved, StockLevel]


def test_all_lines_are_held_or_none() -> None:
    shop = Shop().stocked("A", 10).stocked("B", 1)
    refused = shop.reserve("x-1", ("A", 2), ("B", 2))
    assert isinstance(refused, OutOfStock)
    assert refused.errors == [
        {
            "pointer": "/lines/1/quantity",
            "code": "short",
            "message": "wanted 2, available 1",
            "sku": "B",
            "wanted": 2,
            "available": 1,
        }
    ]
    assert refused.detail == "1 of 2 lines can be held"
    assert shop.levels["A"].held == 0
    assert [type(e) for e in shop.events] == [StockRefused]


def test_a_sku_on_two_lines_is_one_wish_with_one_error_at_its_first_line() -> None:
    shop = Shop().stocked("A", 3).stocked("B", 9)
    refused = shop.reserve("x-1", ("B", 1), ("A", 2), ("A", 2))
    assert isinstance(refused, OutOfStock)
    assert [(e["pointer"], e["wanted"], e["available"]) for e in refused.errors] == [("/lines/1/quantity", 4, 3)]
    held = shop.reserve("x-2", ("A", 2), ("B", 1), ("A", 1))
    assert isinstance(held, c.Standing)
    assert held.pieces == (("A", 3), ("B", 1))


def test_a_refused_id_stays_refused_with_the_same_words() -> None:
    shop = Shop().stocked("A", 1)
    first = shop.reserve("x-1", ("A", 2))
    shop.do(c.Receive(STORE, cause("r-2"), "A", "main", 10))
    again = shop.reserve("x-1", ("A", 2))
    assert isinstance(first, OutOfStock)
    assert isinstance(again, OutOfStock)
    assert again.errors == first.errors
    assert shop.levels["A"].held == 0


def test_a_repeated_id_answers_with_the_present_state() -> None:
    shop = Shop().stocked("A", 5)
    shop.reserve("x-1", ("A", 2))
    assert shop.reserve("x-1", ("A", 2)) == shop.reserve("x-1", ("A", 1), ("A", 1))
    assert shop.levels["A"].held == 2
    shop.do(c.Release(STORE, cause(), "x-1"))
    again = shop.reserve("x-1", ("A", 2))
    assert isinstance(again, c.Standing)
    assert again.status is Status.RELEASED
    assert shop.levels["A"].held == 0


def test_a_repeated_id_with_other_lines_is_a_conflict() -> None:
    shop = Shop().stocked("A", 5)
    shop.reserve("x-1", ("A", 2))
    assert isinstance(shop.reserve("x-1", ("A", 3)), Conflict)
    assert isinstance(shop.reserve("x-1", ("A", 2), campaign="summer"), Conflict)


def test_an_unknown_sku_is_a_validation_error_that_names_the_line() -> None:
    shop = Shop().stocked("A", 5)
    answer = shop.reserve("x-1", ("A", 1), ("Z", 1))
    assert isinstance(answer, Validation)
    assert [(e["pointer"], e["code"]) for e in answer.errors] == [("/lines/1/sku", "sku_unknown")]
    assert "x-1" not in shop.reservations


def test_a_service_never_touches_stock() -> None:
    shop = Shop().stocked("A", 5)
    shop.do(c.Describe(STORE, cause(), "POST", 0, 0, is_goods=False))
    held = shop.reserve("x-1", ("POST", 1), ("A", 1))
    assert isinstance(held, c.Standing)
    assert held.pieces == (("POST", 1), ("A", 1))
    assert [m.sku for m in shop.ledger if m.kind == "held"] == ["A"]


def test_an_expired_hold_gives_its_units_back_and_cannot_be_allocated() -> None:
    shop = Shop().stocked("A", 5)
    shop.reserve("x-1", ("A", 5), ttl=60, order="o-1")
    shop.tick(60)
    late = shop.do(c.Allocate(STORE, cause(), "x-1", "o-1"))
    assert isinstance(late, WrongState)
    assert late.members["state"] == "expired"
    assert shop.levels["A"].available == 5
    assert [e.reason for e in shop.events if isinstance(e, StockReleased)] == ["expired"]


def test_a_hold_is_allocated_in_its_last_moment() -> None:
    shop = Shop().stocked("A", 5)
    shop.reserve("x-1", ("A", 5), ttl=60, order="o-1")
    shop.tick(59.999)
    first = shop.do(c.Allocate(STORE, cause(), "x-1", "o-1"))
    assert isinstance(first, c.Standing)
    assert first.status is Status.ALLOCATED
    shop.tick(3600)
    shop.do(c.Expire(STORE, cause(), "x-1"))
    assert shop.do(c.Allocate(STORE, cause(), "x-1", "o-1")) == first
    assert (shop.levels["A"].held, shop.levels["A"].allocated) == (0, 5)
    assert len(shop.told(StockAllocated)) == 1


def test_only_one_order_can_own_a_reservation() -> None:
    shop = Shop().stocked("A", 5)
    shop.reserve("x-1", ("A", 1), order="o-1")
    assert isinstance(shop.do(c.Allocate(STORE, cause(), "x-1", "o-2")), Conflict)


def test_an_order_takes_over_the_hold_of_its_cart() -> None:
    shop = Shop().stocked("A", 5)
    shop.reserve("cart-1", ("A", 2), customer_id="c-1", ttl=60)
    shop.tick(30)
    held = shop.reserve("cart-1", ("A", 2), customer_id="c-1", order="o-1", ttl=900)
    assert isinstance(held, c.Standing)
    assert (held.order_id, held.expires_at) == ("o-1", shop.now + timedelta(seconds=900))
    shop.reserve("cart-2", ("A", 1), customer_id="c-1")
    assert shop.levels["A"].held == 3


def test_a_customers_new_hold_replaces_only_those_without_an_order() -> None:
    shop = Shop().stocked("A", 5)
    shop.reserve("cart-1", ("A", 3), customer_id="c-1")
    shop.reserve("o-9~0", ("A", 1), customer_id="c-1", order="o-9")
    assert shop.reservations["cart-1"].status is Status.RELEASED
    assert shop.levels["A"].held == 1
    shop.reserve("cart-2", ("A", 4), customer_id="c-1")
    assert shop.levels["A"].held == 5
    assert isinstance(shop.reserve("cart-3", ("A", 5), customer_id="c-1"), OutOfStock)
    assert shop.reservations["cart-2"].status is Status.HELD, "a refusal takes nothing away"


def test_a_hold_that_replaces_another_counts_its_units() -> None:
    shop = Shop().stocked("A", 5).stocked("B", 5)
    shop.reserve("o-1~0", ("A", 4), order="o-1")
    held = shop.reserve("o-1~1", ("A", 5), ("B", 1), order="o-1", replaces="o-1~0")
    assert isinstance(held, c.Standing)
    assert shop.reservations["o-1~0"].status is Status.RELEASED
    assert (shop.levels["A"].held, shop.levels["B"].held) == (5, 1)
    assert isinstance(shop.reserve("o-1~2", ("A", 6), order="o-1", replaces="o-1~1"), OutOfStock)
    assert shop.reservations["o-1~1"].status is Status.HELD


def test_a_hold_can_be_allocated_in_the_same_call() -> None:
    shop = Shop().stocked("A", 5)
    held = shop.reserve("o-1~1", ("A", 2), order="o-1", allocate=True)
    assert isinstance(held, c.Standing)
    assert (held.status, shop.levels["A"].allocated, shop.levels["A"].held) == (Status.ALLOCATED, 2, 0)
    assert [m.kind for m in shop.ledger[-2:]] == ["held", "allocated"]


def test_a_backorder_takes_what_there_is_and_gets_the_rest_from_receipts() -> None:
    shop = Shop().stocked("A", 2)
    shop.reserve("o-1~1", ("A", 5), order="o-1", allocate=True, backorder=True)
    assert (shop.levels["A"].allocated, shop.levels["A"].short) == (2, 3)
    shop.events.clear()
    shop.do(c.Receive(STORE, cause("r-2"), "A", "main", 10))
    level = shop.levels["A"]
    assert (level.allocated, level.short, level.available) == (5, 0, 7)
    told = shop.told(StockAllocated)
    assert [[(x.sku, x.quantity) for x in e.lines] for e in told if isinstance(e, StockAllocated)] == [[("A", 3)]]


def test_withheld_safety_units_are_not_promised() -> None:
    shop = Shop().stocked("A", 10)
    shop.do(c.Describe(STORE, cause(), "A", 4, 4))
    assert shop.levels["A"].available == 6
    assert isinstance(shop.reserve("x-1", ("A", 7)), OutOfStock)
    assert isinstance(shop.reserve("x-2", ("A", 6)), c.Standing)
