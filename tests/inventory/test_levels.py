"""Edges with hysteresis, goods in, corrections, counts and locks."""

from datetime import timedelta

import pytest

from libs.events.contracts import (
    StockAdjusted,
    StockBackIn,
    StockCounted,
    StockLevel,
    StockLocked,
    StockMismatched,
    StockOversold,
    StockRanLow,
    StockReceived,
    StockSoldOut,
    StockUnlocked,
)
from libs.service.errors import Validation
from services.inventory.domain import commands as c
from services.inventory.domain.stock import Edge, edge_after, rearm_at
from tests.inventory.shop import NOON, STORE, Shop, cause

EDGES = (StockRanLow, StockSoldOut, StockBackIn)


def receive(shop: Shop, quantity: int, sku: str = "A", warehouse: str = "main") -> None:
    shop.do(c.Receive(STORE, cause(f"r-{len(shop.ledger)}", shop.now), sku, warehouse, quantity))


def adjust(shop: Shop, quantity: int, reason: c.AdjustmentReason = "correction", warehouse: str = "main") -> int:
    done = shop.do(c.Adjust(STORE, cause("a-1", shop.now), "A", warehouse, quantity, reason))
    assert isinstance(done, c.Adjusted)
    return done.applied


def count(shop: Shop, on_hand: int, *, as_of: float = 0, version: int | None = None) -> c.Difference:
    at = shop.now + timedelta(seconds=as_of)
    items = (c.Counted("A", on_hand, version),)
    done = shop.do(c.Count(STORE, cause("c-1", shop.now), "c-1", "main", at, "erp", items))
    assert isinstance(done, c.Compared)
    return done.lines[0]


def edges(shop: Shop) -> list[str]:
    found = [type(e).__name__ for e in shop.events if isinstance(e, EDGES)]
    shop.events.clear()
    return found


# edges


def test_nine_of_ten_warn_and_ten_do_not() -> None:
    assert edge_after(Edge.CLEAR, 10, 10) is Edge.CLEAR
    assert edge_after(Edge.CLEAR, 9, 10) is Edge.LOW


@pytest.mark.parametrize(("safety", "expected"), [(0, 1), (1, 2), (10, 11), (11, 13), (20, 22), (95, 105)])
def test_a_warning_is_re_armed_a_tenth_above_the_safety_level(safety: int, expected: int) -> None:
    assert rearm_at(safety) == expected


def test_falling_and_rising_raises_each_edge_once() -> None:
    shop = Shop().stocked("A", 12, safety=10)
    adjust(shop, -2)
    assert edges(shop) == []
    adjust(shop, -1)
    assert edges(shop) == ["StockRanLow"]
    adjust(shop, -1)
    assert edges(shop) == []
    receive(shop, 2)
    assert edges(shop) == [], "10 available is no warning, but 11 re-arm it"
    adjust(shop, -1)
    assert edges(shop) == []
    receive(shop, 2)
    assert edges(shop) == ["StockBackIn"]
    adjust(shop, -2)
    assert edges(shop) == ["StockRanLow"]


def test_selling_out_at_once_implies_the_low_edge() -> None:
    shop = Shop().stocked("A", 12, safety=10)
    adjust(shop, -12)
    assert edges(shop) == ["StockSoldOut"]
    receive(shop, 5)
    assert edges(shop) == [], "sold out stays until the level is re-armed"
    receive(shop, 6)
    assert edges(shop) == ["StockBackIn"]


def test_a_sku_without_any_movement_is_neither_low_nor_sold_out() -> None:
    shop = Shop()
    shop.do(c.Describe(STORE, cause(), "A", 10, 0))
    assert shop.events == []
    assert shop.levels["A"].state == "unstocked"
    receive(shop, 5)
    assert edges(shop) == ["StockRanLow"]
    assert shop.levels["A"].state == "low"


def test_a_higher_safety_level_raises_the_edge_at_once() -> None:
    shop = Shop().stocked("A", 20, safety=10)
    version = shop.levels["A"].version
    shop.do(c.Describe(STORE, cause(), "A", 21, 0))
    assert [type(e) for e in shop.events] == [StockLevel, StockRanLow]
    assert shop.levels["A"].version == version + 1


def test_a_level_is_told_once_a_commit_with_the_next_version() -> None:
    shop = Shop().stocked("A", 20)
    version = shop.levels["A"].version
    shop.apply([shop.outside_order(f"o-{n}", ("A", 1)) for n in range(3)])
    told = [e for e in shop.events if isinstance(e, StockLevel)]
    assert [(e.version, e.held, e.available) for e in told] == [(version + 1, 3, 17)]


def test_what_goes_back_and_forth_in_one_commit_changes_no_version() -> None:
    shop = Shop().stocked("A", 20)
    version = shop.levels["A"].version
    shop.apply([shop.outside_order("o-1", ("A", 1)), c.Cancel(STORE, cause(), "o-1")])
    assert shop.levels["A"].version == version


# goods in and corrections


def test_goods_come_into_their_warehouse() -> None:
    shop = Shop().stocked("A", 10)
    receive(shop, 5, warehouse="east")
    assert {w.warehouse: w.on_hand for w in shop.levels["A"].warehouses} == {"main": 10, "east": 5}
    assert [type(e) for e in shop.events] == [StockReceived, StockLevel]


def test_goods_of_an_unknown_sku_and_of_a_service_are_refused() -> None:
    shop = Shop().stocked("A", 10)
    shop.do(c.Describe(STORE, cause(), "POST", 0, 0, is_goods=False))
    assert isinstance(shop.do(c.Receive(STORE, cause(), "Z", "main", 1)), Validation)
    assert isinstance(shop.do(c.Receive(STORE, cause(), "POST", "main", 1)), Validation)


def test_damaged_units_leave_on_hand_and_may_be_repaired() -> None:
    shop = Shop().stocked("A", 10)
    assert adjust(shop, -3, "damaged") == -3
    assert (shop.levels["A"].on_hand, shop.levels["A"].damaged) == (7, 3)
    assert adjust(shop, 5, "damaged") == 3
    assert (shop.levels["A"].on_hand, shop.levels["A"].damaged) == (10, 0)


def test_a_write_off_beyond_what_is_there_takes_what_is_there_and_tells() -> None:
    shop = Shop().stocked("A", 4)
    assert adjust(shop, -10, "write_off") == -4
    mismatch = [e for e in shop.events if isinstance(e, StockMismatched)]
    assert [(e.kind, e.expected, e.found) for e in mismatch] == [("write_off_beyond_on_hand", -10, -4)]
    assert [e.quantity for e in shop.events if isinstance(e, StockAdjusted)] == [-4]


def test_a_correction_takes_promises_from_the_latest_order_first_and_storefront_holds_last() -> None:
    shop = Shop().stocked("A", 10)
    shop.reserve("o-1~0", ("A", 3), order="o-1")
    shop.tick(1)
    shop.outside("o-2", ("A", 3))
    shop.tick(1)
    shop.outside("o-3", ("A", 3))
    shop.events.clear()
    adjust(shop, -5, "lost")
    short = {r: line.short for r, x in shop.reservations.items() for line in x.lines.values()}
    assert short == {"o-1~0": 0, "o-2~0": 1, "o-3~0": 3}
    (told,) = [e for e in shop.events if isinstance(e, StockOversold)]
    assert (told.short, [(o.order_id, o.quantity) for o in told.affected_orders]) == (4, [("o-3", 3), ("o-2", 1)])
    adjust(shop, -4, "lost")
    assert shop.reservations["o-1~0"].lines["A"].short == 2
    receive(shop, 3)
    assert {r: x.lines["A"].short for r, x in shop.reservations.items()} == {"o-1~0": 0, "o-2~0": 2, "o-3~0": 3}


# counts


def test_a_count_corrects_the_difference_and_says_so() -> None:
    shop = Shop().stocked("A", 10)
    shop.tick(60)
    line = count(shop, 8)
    assert (line.expected, line.counted, line.difference, line.status) == (10, 8, -2, "applied")
    assert shop.levels["A"].on_hand == 8
    (adjusted,) = [e for e in shop.events if isinstance(e, StockAdjusted)]
    assert (adjusted.quantity, adjusted.reason, adjusted.count_id) == (-2, "correction", "c-1")
    (counted,) = [e for e in shop.events if isinstance(e, StockCounted)]
    assert (counted.item_count, counted.difference_count) == (1, 1)


def test_movements_after_the_count_are_kept_on_top_of_it() -> None:
    shop = Shop().stocked("A", 10)
    shop.tick(60)
    receive(shop, 5)
    line = count(shop, 9, as_of=-30)
    assert (line.expected, line.difference) == (10, -1)
    assert shop.levels["A"].on_hand == 14


def test_goods_that_were_in_the_house_when_it_was_counted_are_absorbed() -> None:
    shop = Shop().stocked("A", 10)
    shop.tick(60)
    assert count(shop, 15).difference == 5
    late = c.Receive(STORE, cause("r-late", shop.now - timedelta(seconds=10)), "A", "main", 5)
    shop.do(late)
    assert shop.levels["A"].on_hand == 15
    assert [(m.kind, m.from_state, m.to_state, m.quantity) for m in shop.ledger[-2:]] == [
        ("received", "outside", "on_hand", 5),
        ("counted", "on_hand", "outside", 5),
    ]


def test_a_parcel_that_had_left_when_it_was_counted_is_absorbed() -> None:
    shop = Shop().stocked("A", 10)
    shop.outside("o-1", ("A", 4))
    shop.tick(60)
    count(shop, 6)
    assert (shop.levels["A"].on_hand, shop.levels["A"].short) == (6, 0)
    pieces = (c.Piece("A", 4),)
    shop.do(c.Ship(STORE, cause("s-1", shop.now - timedelta(seconds=5)), "o-1", pieces, "s-1"))
    assert shop.levels["A"].on_hand == 6


def test_a_line_is_stale_only_after_a_movement_that_changed_on_hand() -> None:
    shop = Shop().stocked("A", 10)
    version = shop.levels["A"].version
    shop.reserve("x-1", ("A", 2))
    assert count(shop, 9, version=version).status == "applied"
    stale = count(shop, 5, version=version)
    assert (stale.status, stale.expected, stale.difference) == ("stale", 9, -4)
    assert shop.levels["A"].on_hand == 9


def test_an_unknown_sku_in_a_count_is_named() -> None:
    shop = Shop().stocked("B", 1)
    assert count(shop, 5).status == "unknown_sku"


def test_a_count_never_makes_a_level_negative() -> None:
    shop = Shop().stocked("A", 10)
    shop.outside("o-1", ("A", 10))
    shop.tick(60)
    shop.do(c.Ship(STORE, cause("s-1", shop.now), "o-1", (c.Piece("A", 10),), "s-1"))
    assert count(shop, 4, as_of=-30).difference == -6
    assert shop.levels["A"].on_hand == 0
    assert shop.told(StockMismatched)


# campaign locks


def lock(shop: Shop, quantity: int, campaign: str = "summer") -> c.LockedStock:
    ends_at = shop.now + timedelta(days=5)
    done = shop.do(c.LockStock(STORE, cause(campaign), "A", campaign, quantity, shop.now, ends_at))
    assert isinstance(done, c.LockedStock)
    return done


def test_a_lock_larger_than_available_locks_what_there_is_and_is_topped_up_by_receipts() -> None:
    shop = Shop().stocked("A", 6)
    assert lock(shop, 10) == c.LockedStock("A", 10, 6)
    receive(shop, 3)
    receive(shop, 3)
    assert (shop.levels["A"].locked, shop.levels["A"].available) == (10, 2)
    assert [e.quantity for e in shop.events if isinstance(e, StockLocked)] == [6, 3, 1]


def test_a_campaigns_order_takes_its_lock_first_then_open_stock_and_nobody_else_does() -> None:
    shop = Shop().stocked("A", 10)
    lock(shop, 6)
    assert isinstance(shop.reserve("x-1", ("A", 5)), Exception)
    assert isinstance(shop.reserve("x-2", ("A", 8), campaign="summer"), c.Standing)
    assert (shop.levels["A"].locked, shop.levels["A"].held) == (0, 8)
    shop.do(c.Release(STORE, cause(), "x-2"))
    assert (shop.levels["A"].locked, shop.levels["A"].available) == (6, 4)


def test_when_a_campaign_ends_what_is_left_goes_back_and_its_holds_stay() -> None:
    shop = Shop().stocked("A", 10)
    lock(shop, 6)
    shop.reserve("x-1", ("A", 2), campaign="summer")
    assert shop.do(c.Unlock(STORE, cause(), "A", "summer")) == c.LockedStock("A", 6, 4)
    assert (shop.levels["A"].locked, shop.levels["A"].held, shop.levels["A"].available) == (0, 2, 8)
    assert [e.quantity for e in shop.events if isinstance(e, StockUnlocked)] == [4]
    shop.do(c.Release(STORE, cause(), "x-1"))
    assert shop.levels["A"].available == 10


def test_a_count_takes_from_locks_before_it_breaks_promises() -> None:
    shop = Shop().stocked("A", 10)
    lock(shop, 6)
    shop.outside("o-1", ("A", 4))
    adjust(shop, -5, "lost")
    assert (shop.levels["A"].locked, shop.levels["A"].short) == (1, 0)
    receive(shop, 5)
    assert shop.levels["A"].locked == 6


def test_the_time_of_a_count_does_not_move_the_first_receipt() -> None:
    shop = Shop().stocked("A", 1)
    assert shop.ledger[0].at == NOON
