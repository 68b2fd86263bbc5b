"""What orders do to stock: outside orders, payment, parcels, returns."""

from datetime import timedelta

from libs.events.contracts import (
    StockAllocated,
    StockMismatched,
    StockOversold,
    StockRefused,
    StockReleased,
    StockReturned,
    StockShipped,
)
from services.inventory.domain import commands as c
from services.inventory.domain.orders import next_reservation_id
from services.inventory.domain.promises import Status
from tests.inventory.shop import STORE, Shop, cause


def pieces(*wanted: tuple[str, int]) -> tuple[c.Piece, ...]:
    return tuple(c.Piece(*p) for p in wanted)


def pay(shop: Shop, order: str, *wanted: tuple[str, int]) -> None:
    shop.do(c.Pay(STORE, cause(order, shop.now), order, pieces(*wanted)))


def ship(shop: Shop, order: str, *wanted: tuple[str, int], warehouse: str | None = None) -> None:
    shop.do(c.Ship(STORE, cause("s-1", shop.now), order, pieces(*wanted), "s-1", warehouse))


def test_an_outside_order_gets_what_there_is_and_the_rest_is_short() -> None:
    shop = Shop().stocked("A", 3)
    shop.outside("o-1", ("A", 2), ("A", 3))
    level = shop.levels["A"]
    assert (level.held, level.short, level.available) == (3, 2, 0)
    (told,) = [e for e in shop.events if isinstance(e, StockOversold)]
    assert (told.sku, told.short, [(o.order_id, o.quantity) for o in told.affected_orders]) == ("A", 2, [("o-1", 2)])
    assert told.remedy[0] == "urgent_restock"


def test_an_outside_order_of_an_unknown_sku_is_short_of_it() -> None:
    shop = Shop()
    shop.outside("o-1", ("Z", 2))
    level = shop.levels["Z"]
    assert (level.is_known, level.short, level.on_hand) == (False, 2, 0)


def test_receipts_fill_the_oldest_short_order_first() -> None:
    shop = Shop().stocked("A", 0)
    for order in ("o-1", "o-2", "o-3"):
        shop.outside(order, ("A", 2))
        shop.tick(1)
    pay(shop, "o-1", ("A", 2))
    shop.do(c.Receive(STORE, cause("r-1"), "A", "main", 3))
    assert {r: x.lines["A"].short for r, x in shop.reservations.items()} == {"o-1~0": 0, "o-2~0": 1, "o-3~0": 2}
    assert (shop.levels["A"].allocated, shop.levels["A"].held, shop.levels["A"].short) == (2, 1, 3)


def test_an_outside_order_that_came_twice_is_one_order() -> None:
    shop = Shop().stocked("A", 5)
    shop.outside("o-1", ("A", 2))
    shop.outside("o-1", ("A", 2))
    assert shop.levels["A"].held == 2


def test_payment_allocates_the_hold_and_again_does_nothing() -> None:
    shop = Shop().stocked("A", 5)
    shop.reserve("o-1~0", ("A", 2), order="o-1")
    pay(shop, "o-1", ("A", 2))
    pay(shop, "o-1", ("A", 2))
    assert (shop.levels["A"].held, shop.levels["A"].allocated) == (0, 2)
    assert len(shop.told(StockAllocated)) == 1


def test_payment_after_the_hold_ran_out_holds_anew() -> None:
    shop = Shop().stocked("A", 5)
    shop.reserve("o-1~0", ("A", 2), order="o-1", ttl=60)
    shop.tick(61)
    pay(shop, "o-1", ("A", 2))
    assert shop.reservations["o-1~0"].status is Status.EXPIRED
    assert shop.reservations["o-1~1"].status is Status.ALLOCATED
    assert shop.levels["A"].allocated == 2


def test_payment_without_stock_is_refused_once() -> None:
    shop = Shop().stocked("A", 2)
    shop.reserve("o-1~0", ("A", 2), order="o-1", ttl=60)
    shop.tick(61)
    shop.reserve("x-9", ("A", 1))
    shop.events.clear()
    pay(shop, "o-1", ("A", 2))
    pay(shop, "o-1", ("A", 2))
    refused = [e for e in shop.events if isinstance(e, StockRefused)]
    assert [(e.order_id, e.reservation_id) for e in refused] == [("o-1", "o-1~1")]
    assert shop.levels["A"].allocated == 0


def test_the_ids_of_an_orders_holds_are_numbered() -> None:
    assert next_reservation_id("o-1", []) == "o-1~0"
    assert next_reservation_id("o-1", ["cart-5"]) == "o-1~0"
    assert next_reservation_id("o-1", ["o-1~0", "o-1~2", "o-1~x"]) == "o-1~3"


def test_cancelling_gives_everything_back() -> None:
    shop = Shop().stocked("A", 3)
    shop.outside("o-1", ("A", 5))
    pay(shop, "o-1", ("A", 5))
    shop.do(c.Cancel(STORE, cause(), "o-1"))
    level = shop.levels["A"]
    assert (level.held, level.allocated, level.short, level.available) == (0, 0, 0, 3)
    assert [e.reason for e in shop.events if isinstance(e, StockReleased)] == ["cancelled"]


def test_what_a_cancelled_order_gives_back_goes_to_those_who_are_short() -> None:
    shop = Shop().stocked("A", 3)
    shop.outside("o-1", ("A", 3))
    shop.tick(1)
    shop.outside("o-2", ("A", 2))
    shop.do(c.Cancel(STORE, cause(), "o-1"))
    assert (shop.levels["A"].held, shop.levels["A"].short, shop.levels["A"].available) == (2, 0, 1)


def test_an_amended_order_holds_its_new_lines() -> None:
    shop = Shop().stocked("A", 5).stocked("B", 1)
    shop.outside("o-1", ("A", 4))
    shop.do(c.Amend(STORE, cause(), "o-1", pieces(("A", 1), ("B", 3))))
    assert (shop.levels["A"].held, shop.levels["B"].held, shop.levels["B"].short) == (1, 1, 2)
    shop.do(c.Amend(STORE, cause(), "o-1", pieces(("A", 1), ("B", 3))))
    shop.do(c.Amend(STORE, cause(), "o-1", pieces(("A", 2), ("B", 1))))
    assert (shop.levels["A"].held, shop.levels["B"].held, shop.levels["B"].short) == (2, 1, 0)


def test_a_parcel_takes_the_orders_units_out_of_the_house() -> None:
    shop = Shop().stocked("A", 5)
    shop.reserve("o-1~0", ("A", 3), order="o-1")
    pay(shop, "o-1", ("A", 3))
    ship(shop, "o-1", ("A", 2))
    level = shop.levels["A"]
    assert (level.on_hand, level.allocated, level.available) == (3, 1, 2)
    assert [e.order_id for e in shop.events if isinstance(e, StockShipped)] == ["o-1"]


def test_a_parcel_comes_from_the_warehouse_named_else_from_the_fullest() -> None:
    shop = Shop().stocked("A", 2, warehouse="east").stocked("A", 5, warehouse="west")
    shop.outside("o-1", ("A", 7))
    ship(shop, "o-1", ("A", 1), warehouse="east")
    ship(shop, "o-1", ("A", 3))
    assert {w.warehouse: w.on_hand for w in shop.levels["A"].warehouses} == {"east": 1, "west": 2}
    ship(shop, "o-1", ("A", 3))
    assert shop.levels["A"].on_hand == 0


def test_a_parcel_with_units_that_the_ledger_does_not_know_is_a_mismatch() -> None:
    shop = Shop().stocked("A", 1)
    shop.outside("o-1", ("A", 3))
    ship(shop, "o-1", ("A", 3))
    level = shop.levels["A"]
    assert (level.on_hand, level.short, shop.reservations["o-1~0"].lines["A"].shipped) == (0, 0, 3)
    assert [(e.kind, e.found) for e in shop.events if isinstance(e, StockMismatched)] == [("shipped_beyond_on_hand", 2)]


def test_a_parcel_of_an_order_nobody_told_us_about_is_remembered() -> None:
    shop = Shop().stocked("A", 5)
    ship(shop, "o-7", ("A", 2))
    assert shop.levels["A"].on_hand == 3
    shop.do(c.AwaitReturn(STORE, cause(), "o-7", pieces(("A", 2)), "ret-1"))
    assert shop.levels["A"].returning == 2


def test_a_return_goes_from_shipped_over_returning_to_on_hand_or_damaged() -> None:
    shop = Shop().stocked("A", 5)
    shop.outside("o-1", ("A", 4))
    ship(shop, "o-1", ("A", 4))
    shop.do(c.AwaitReturn(STORE, cause(), "o-1", pieces(("A", 3)), "ret-1"))
    assert (shop.levels["A"].on_hand, shop.levels["A"].returning) == (1, 3)
    shop.do(c.TakeBack(STORE, cause(), "o-1", pieces(("A", 2)), "ret-1", "resellable"))
    shop.do(c.TakeBack(STORE, cause(), "o-1", pieces(("A", 1)), "ret-1", "damaged"))
    level = shop.levels["A"]
    assert (level.on_hand, level.returning, level.damaged) == (3, 0, 1)
    assert [e.condition for e in shop.events if isinstance(e, StockReturned)] == ["resellable", "damaged"]
    assert [m.kind for m in shop.ledger[-3:]] == ["returning", "returned", "returned"]


def test_what_the_customer_keeps_is_sold_when_the_order_is_completed() -> None:
    shop = Shop().stocked("A", 5)
    shop.outside("o-1", ("A", 4))
    ship(shop, "o-1", ("A", 4))
    version = shop.levels["A"].version
    shop.do(c.Complete(STORE, cause(), "o-1"))
    shop.do(c.Complete(STORE, cause(), "o-1"))
    assert shop.reservations["o-1~0"].lines["A"].sold == 4
    assert [m.kind for m in shop.ledger][-1] == "sold"
    assert shop.levels["A"].version == version
    shop.do(c.AwaitReturn(STORE, cause(), "o-1", pieces(("A", 1)), "ret-1"))
    assert shop.reservations["o-1~0"].lines["A"].sold == 3


def test_placed_paid_and_shipped_in_one_batch_is_as_if_one_after_another() -> None:
    together, apart = Shop().stocked("A", 9), Shop().stocked("A", 9)
    commands = [
        command
        for n in range(3)
        for command in (
            together.outside_order(f"o-{n}", ("A", 2)),
            c.Pay(STORE, cause(f"o-{n}"), f"o-{n}", pieces(("A", 2))),
            c.Ship(STORE, cause(f"s-{n}"), f"o-{n}", pieces(("A", 2)), f"s-{n}"),
        )
    ]
    together.apply(commands)
    for command in commands:
        apart.do(command)
    assert together.ledger == apart.ledger
    assert together.levels["A"].terms() == apart.levels["A"].terms()
    assert together.reservations == apart.reservations


def test_a_late_storefront_payment_never_breaks_into_others_promises() -> None:
    shop = Shop().stocked("A", 1)
    shop.reserve("o-1~0", ("A", 1), order="o-1", ttl=1)
    shop.tick(2)
    shop.reserve("o-2~0", ("A", 1), order="o-2")
    pay(shop, "o-1", ("A", 1))
    assert shop.reservations["o-2~0"].status is Status.HELD
    assert shop.now - timedelta(seconds=2) < shop.now
