"""What inventory does about the events of orders and of policy."""

from datetime import datetime, timedelta
from typing import Any

from libs.events.contracts import (
    OrderAmended,
    OrderCancelled,
    OrderCompleted,
    OrderPaid,
    OrderPlaced,
    PolicyChanged,
    ReturnApproved,
    ReturnInspected,
    ShipmentCreated,
    StockAllocated,
    StockLevel,
    StockOversold,
    StockRanLow,
    StockRefused,
)
from libs.events.contracts.base import Line, StockLine
from tests.inventory.conftest import Depot, accepted


def lines(*wanted: tuple[str, int]) -> tuple[Line, ...]:
    return tuple(Line(sku=sku, quantity=n, unit_price_cents=100) for sku, n in wanted)


def units(*wanted: tuple[str, int]) -> tuple[StockLine, ...]:
    return tuple(StockLine(sku=sku, quantity=n) for sku, n in wanted)


def placed(depot: Depot, order: str, *wanted: tuple[str, int], origin: str = "tmall", **more: Any) -> OrderPlaced:
    return OrderPlaced(
        order_id=order,
        origin=origin,
        currency="CNY",
        lines=lines(*wanted),
        shipping_cents=0,
        discount_cents=0,
        total_cents=100,
        placed_at=depot.now,
        **more,
    )


def paid(depot: Depot, order: str, *wanted: tuple[str, int]) -> OrderPaid:
    return OrderPaid(
        order_id=order,
        payment_id=f"p-{order}",
        method="card",
        amount_cents=100,
        currency="CNY",
        total_cents=100,
        lines=lines(*wanted),
        ship_due_at=depot.now + timedelta(days=2),
        is_first_order=False,
    )


def shipped(order: str, *wanted: tuple[str, int], **more: Any) -> ShipmentCreated:
    return ShipmentCreated(
        order_id=order, shipment_id=f"s-{order}", carrier="SF", tracking_number="1", lines=units(*wanted), **more
    )


def returned(kind: type[Any], order: str, *wanted: tuple[str, int], **more: Any) -> Any:
    return kind(return_id=f"ret-{order}", order_id=order, lines=units(*wanted), reason="size", kind="refund", **more)


async def terms(depot: Depot, sku: str) -> dict[str, int]:
    level = await depot.level(sku)
    return {k: level[k] for k in ("on_hand", "held", "allocated", "short") if level[k]}


async def test_an_outside_order_goes_its_way_event_by_event(depot: Depot) -> None:
    await depot.stocked("A1", 5)
    await depot.events()
    await depot.hear(placed(depot, "a-1", ("A1", 7)))
    assert await terms(depot, "A1") == {"on_hand": 5, "held": 5, "short": 2}
    (oversold,) = [e for e in await depot.events() if isinstance(e, StockOversold)]
    assert [(o.order_id, o.quantity) for o in oversold.affected_orders] == [("a-1", 2)]
    await depot.hear(paid(depot, "a-1", ("A1", 7)))
    assert await terms(depot, "A1") == {"on_hand": 5, "allocated": 5, "short": 2}
    accepted(await depot.post("/v1/receipts", {"sku": "A1", "quantity": 10}))
    assert await terms(depot, "A1") == {"on_hand": 15, "allocated": 7}
    await depot.hear(shipped("a-1", ("A1", 7)))
    assert await terms(depot, "A1") == {"on_hand": 8}
    await depot.hear(returned(ReturnApproved, "a-1", ("A1", 2)))
    assert (await depot.level("A1"))["returning"] == 2
    await depot.hear(returned(ReturnInspected, "a-1", ("A1", 2), condition="damaged"), OrderCompleted(order_id="a-1"))
    level = await depot.level("A1")
    assert (level["on_hand"], level["returning"], level["damaged"]) == (8, 0, 2)


async def test_placed_paid_and_shipped_in_one_batch_move_the_level_once(depot: Depot) -> None:
    await depot.stocked("B1", 100)
    await depot.stocked("B2", 100)
    version = (await depot.level("B1"))["version"]
    await depot.events()
    batch = [
        event
        for n in range(20)
        for event in (
            placed(depot, f"b-{n}", ("B1", 1), ("B2", 2)),
            paid(depot, f"b-{n}", ("B1", 1), ("B2", 2)),
            shipped(f"b-{n}", ("B1", 1), ("B2", 2)),
        )
    ]
    await depot.hear(*batch)
    assert await terms(depot, "B1") == {"on_hand": 80}
    assert await terms(depot, "B2") == {"on_hand": 60}
    levels = [e for e in await depot.events() if isinstance(e, StockLevel)]
    assert [(e.sku, e.on_hand, e.version) for e in levels] == [("B1", 80, version + 1), ("B2", 60, version + 1)]


async def test_events_carry_time_cause_and_import_of_what_caused_them(depot: Depot) -> None:
    await depot.stocked("C1", 5)
    await depot.envelopes()
    long_ago = datetime.fromisoformat("2011-03-01T10:00:00+00:00")
    await depot.hear(placed(depot, "c-1", ("C1", 1)), at=long_ago)
    told = await depot.envelopes()
    assert {e.time for e in told} == {long_ago}
    assert all(e.causation_id for e in told)
    (entry,) = [m for m in (await depot.get("/v1/movements", sku="C1"))["items"] if m["kind"] == "held"]
    assert (entry["at"], entry["cause"]) == ("2011-03-01T18:00:00+08:00", {"type": "order", "id": "c-1"})


async def test_a_storefront_orders_payment_repairs_what_the_call_could_not(depot: Depot) -> None:
    await depot.stocked("D1", 2)
    accepted(await depot.reserve("d-1~0", ("D1", 2), order_id="d-1", ttl_seconds=60))
    await depot.hear(placed(depot, "d-1", ("D1", 2), origin="storefront", reservation_id="d-1~0"))
    assert await terms(depot, "D1") == {"on_hand": 2, "held": 2}
    depot.tick(seconds=61)
    await depot.hear(paid(depot, "d-1", ("D1", 2)))
    assert await terms(depot, "D1") == {"on_hand": 2, "allocated": 2}
    accepted(await depot.reserve("d-1~1", ("D1", 2), order_id="d-1", allocate=True))
    assert await terms(depot, "D1") == {"on_hand": 2, "allocated": 2}


async def test_a_late_payment_without_stock_is_refused_by_event(depot: Depot) -> None:
    await depot.stocked("E1", 1)
    accepted(await depot.reserve("e-1~0", ("E1", 1), order_id="e-1", ttl_seconds=60))
    depot.tick(seconds=61)
    accepted(await depot.reserve("e-2~0", ("E1", 1), order_id="e-2", ttl_seconds=3600))
    await depot.events()
    await depot.hear(paid(depot, "e-1", ("E1", 1)))
    (refused,) = [e for e in await depot.events() if isinstance(e, StockRefused)]
    assert (refused.order_id, [(x.sku, x.wanted, x.available) for x in refused.lines]) == ("e-1", [("E1", 1, 0)])


async def test_cancelling_and_amending_give_back(depot: Depot) -> None:
    await depot.stocked("F1", 5)
    await depot.hear(placed(depot, "f-1", ("F1", 4)), placed(depot, "f-2", ("F1", 3)))
    assert await terms(depot, "F1") == {"on_hand": 5, "held": 5, "short": 2}
    amended = OrderAmended(
        order_id="f-1",
        lines_before=lines(("F1", 4)),
        lines_after=lines(("F1", 3)),
        address_changed=False,
        items_cents=1,
        shipping_cents=0,
        discount_cents=0,
        total_cents=1,
    )
    await depot.hear(amended)
    assert await terms(depot, "F1") == {"on_hand": 5, "held": 5, "short": 1}
    await depot.hear(
        OrderCancelled(order_id="f-1", reason="x", by="customer", was_paid=False, lines=amended.lines_after)
    )
    assert await terms(depot, "F1") == {"on_hand": 5, "held": 3}


async def test_an_unknown_sku_of_an_outside_order_is_short_and_can_be_taken_up_later(depot: Depot) -> None:
    await depot.hear(placed(depot, "g-1", ("G1", 2)))
    assert await terms(depot, "G1") == {"short": 2}
    await depot.stocked("G1", 5)
    assert await terms(depot, "G1") == {"on_hand": 5, "held": 2}
    assert [e for e in await depot.events() if isinstance(e, StockAllocated)] == []


async def test_service_lines_never_touch_stock(depot: Depot) -> None:
    accepted(await depot.call("PUT", "/v1/skus/POST", json={"kind": "service", "title": "Postage", "price_cents": 500}))
    await depot.hear(placed(depot, "h-1", ("POST", 1)), paid(depot, "h-1", ("POST", 1)), shipped("h-1", ("POST", 1)))
    assert (await depot.get("/v1/movements", sku="POST"))["items"] == []
    held = accepted(await depot.reserve("h-2", ("POST", 1)))
    assert held["lines"] == [{"sku": "POST", "quantity": 1}]


def safety(depot: Depot, units_: int, *, category: str | None = None, after: float = 0) -> PolicyChanged:
    return PolicyChanged(
        policy_id="rule:low_stock",
        kind="rule",
        scope={"category": category} if category else None,
        after={"enabled": True, "parameters": {"safety": units_}},
        by="li",
        valid_from=depot.now + timedelta(seconds=after),
    )


async def test_safety_is_the_skus_else_its_categorys_else_the_stores(depot: Depot) -> None:
    await depot.stocked("K1", 15, safety=5, category="shoes")
    for sku, category in (("K2", "shoes"), ("K3", "hats")):
        wish = {"title": sku, "price_cents": 1, "category": category}
        accepted(await depot.call("PUT", f"/v1/skus/{sku}", json=wish))
        accepted(await depot.post("/v1/receipts", {"sku": sku, "quantity": 15}))
    await depot.events()
    await depot.hear(safety(depot, 20, category="shoes"), safety(depot, 12))
    await depot.run_timers()
    assert [(await depot.level(sku))["safety"] for sku in ("K1", "K2", "K3")] == [5, 20, 12]
    assert [e.sku for e in await depot.events() if isinstance(e, StockRanLow)] == ["K2"]
    assert (await depot.level("K2"))["state"] == "low"


async def test_a_policy_waits_for_its_time_and_the_later_decision_wins(depot: Depot) -> None:
    wish = {"title": "N", "price_cents": 1, "category": "bags"}
    accepted(await depot.call("PUT", "/v1/skus/N1", json=wish))
    await depot.hear(safety(depot, 7, category="bags"))
    await depot.hear(safety(depot, 9, category="bags", after=60))
    await depot.run_timers()
    assert (await depot.level("N1"))["safety"] == 7
    depot.tick(seconds=61)
    await depot.run_timers()
    assert (await depot.level("N1"))["safety"] == 9
    accepted(await depot.call("PUT", "/v1/skus/N1", json={**wish, "safety": 3}))
    assert (await depot.level("N1"))["safety"] == 3


async def test_hidden_safety_units_are_withheld(depot: Depot) -> None:
    await depot.stocked("Z1", 10, safety=4)
    hide = PolicyChanged(
        policy_id="policy:hide_safety", kind="hide_safety", after={"value": True}, by="li", valid_from=depot.now
    )
    await depot.hear(hide)
    await depot.run_timers()
    level = await depot.level("Z1")
    assert (level["available"], level["safety_hidden"], level["reasons"][4]["quantity"]) == (6, 4, -4)
    await depot.hear(
        PolicyChanged(
            policy_id="policy:hide_safety", kind="hide_safety", after={"value": False}, by="li", valid_from=depot.now
        ),
        at=depot.now + timedelta(seconds=1),
    )
    await depot.run_timers()
    assert (await depot.level("Z1"))["available"] == 10
