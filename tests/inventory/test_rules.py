"""Every operating rule about stock, INV-1 to INV-12, driven over HTTP and seen in its events."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from libs.events.contracts import (
    CampaignEnded,
    CampaignPlanned,
    OrderCancelled,
    PolicyChanged,
    ReturnApproved,
    ReturnInspected,
    SkuChanged,
    StockAdjusted,
    StockAllocated,
    StockBackIn,
    StockCounted,
    StockLevel,
    StockLocked,
    StockMismatched,
    StockOversold,
    StockRanLow,
    StockRefused,
    StockReleased,
    StockReserved,
    StockReturned,
    StockShipped,
    StockSoldOut,
    StockUnlocked,
)
from libs.events.contracts.base import Event
from tests.inventory.conftest import Depot, accepted, refused
from tests.inventory.test_reactions import paid, placed, returned, shipped

E = TypeVar("E", bound=Event)


async def told(depot: Depot, kind: type[E]) -> list[E]:
    """Events of one type since the last look."""
    return [event for event in await depot.events() if isinstance(event, kind)]


async def count(depot: Depot, name: str, items: Sequence[dict[str, Any]], **more: Any) -> Any:
    """Hand in a count."""
    body = {"count_id": name, "as_of": depot.now.isoformat(), "source": "erp", "items": list(items), **more}
    return accepted(await depot.post("/v1/counts", body))


def campaign(kind: Any, depot: Depot, name: str, *promised: tuple[str, int], **more: Any) -> Any:
    return kind(
        campaign=name,
        theme="夏季清仓",
        starts_at=more.get("starts_at", depot.now + timedelta(days=10)),
        ends_at=more.get("ends_at", depot.now + timedelta(days=15)),
        skus=[{"sku": sku, "quantity": n} for sku, n in promised],
        offer="",
        budget_cents=0,
        channels=(),
        owner="li",
        goals={},
    )


# INV-1


async def test_inv_1_stock_follows_orders_and_returns_without_a_manual_step(depot: Depot) -> None:
    await depot.stocked("R1", 10)
    await depot.events()
    accepted(await depot.reserve("r1-hold", ("R1", 3), order_id="r1-own"))
    await depot.hear(paid(depot, "r1-own", ("R1", 3)))
    await depot.hear(placed(depot, "r1-out", ("R1", 2)), paid(depot, "r1-out", ("R1", 2)))
    await depot.hear(shipped("r1-own", ("R1", 3)))
    await depot.hear(returned(ReturnApproved, "r1-own", ("R1", 1)))
    await depot.hear(returned(ReturnInspected, "r1-own", ("R1", 1), condition="resellable"))
    await depot.hear(OrderCancelled(order_id="r1-out", reason="", by="customer", was_paid=True, lines=()))
    level = await depot.level("R1")
    assert (level["on_hand"], level["available"], level["allocated"]) == (8, 8, 0)
    events = await depot.events()
    kinds = {type(event) for event in events}
    assert kinds >= {StockReserved, StockAllocated, StockShipped, StockReturned, StockReleased, StockLevel}
    assert [e.version for e in events if isinstance(e, StockLevel)] == list(range(2, 9)), "one a commit, none missing"


# INV-2


async def test_inv_2_a_count_from_the_erp_is_told_with_its_source_full_or_changes_only(depot: Depot) -> None:
    for sku in ("R2A", "R2B"):
        await depot.stocked(sku, 5)
    await depot.events()
    await count(depot, "full", [{"sku": "R2A", "on_hand": 5}, {"sku": "R2B", "on_hand": 5}])
    await count(depot, "changes", [{"sku": "R2B", "on_hand": 4}], source="erp")
    await count(depot, "shelf", [{"sku": "R2A", "on_hand": 5}], source="person")
    counted = await told(depot, StockCounted)
    assert [(e.count_id, e.source, e.item_count, e.difference_count) for e in counted] == [
        ("full", "erp", 2, 0), ("changes", "erp", 1, 1), ("shelf", "person", 1, 0),
    ]  # fmt: skip
    assert counted[0].as_of == depot.now


# INV-3


async def test_inv_3_nine_of_ten_warn_ten_do_not_and_a_warning_is_re_armed_above_the_level(depot: Depot) -> None:
    await depot.stocked("R3", 10, safety=10)
    assert await told(depot, StockRanLow) == [], "10 does not warn"
    accepted(await depot.reserve("r3-1", ("R3", 1)))
    accepted(await depot.reserve("r3-2", ("R3", 1)))
    events = await depot.events()
    assert [(e.available, e.safety) for e in events if isinstance(e, StockRanLow)] == [(9, 10)]
    accepted(await depot.post("/v1/receipts", {"sku": "R3", "quantity": 2}))
    accepted(await depot.reserve("r3-3", ("R3", 1)))
    assert not [e for e in await depot.events() if isinstance(e, StockRanLow | StockBackIn)], "10 is not clearly above"
    accepted(await depot.post("/v1/receipts", {"sku": "R3", "quantity": 2}))
    assert [e.available for e in await told(depot, StockBackIn)] == [11]
    accepted(await depot.reserve("r3-4", ("R3", 11)))
    events = await depot.events()
    assert [e.available for e in events if isinstance(e, StockSoldOut)] == [0]
    assert not [e for e in events if isinstance(e, StockRanLow)], "sold out implies it"
    low = {item["sku"]: item["state"] for item in (await depot.get("/v1/stock", low="true", limit=500))["items"]}
    assert low["R3"] == "sold_out"


# INV-4


async def test_inv_4_a_checkout_gets_all_its_lines_or_a_refusal_that_is_told(depot: Depot) -> None:
    await depot.stocked("R4A", 5)
    await depot.stocked("R4B", 1)
    await depot.events()
    problem = refused(await depot.reserve("r4", ("R4A", 1), ("R4B", 2), order_id="o-r4"), 409, "out_of_stock")
    assert [(e["pointer"], e["wanted"], e["available"]) for e in problem["errors"]] == [("/lines/1/quantity", 2, 1)]
    assert (await depot.level("R4A"))["held"] == 0
    (event,) = await told(depot, StockRefused)
    assert (event.order_id, [(x.sku, x.wanted, x.available) for x in event.lines]) == ("o-r4", [("R4B", 2, 1)])


async def test_refusals_are_kept_so_that_lost_demand_can_be_counted(depot: Depot) -> None:
    await depot.stocked("R4C", 2)
    for n in range(3):
        refused(await depot.reserve(f"r4c-{n}", ("R4C", 3), customer_id="c-lost"), 409, "out_of_stock")
        refused(await depot.reserve(f"r4c-{n}", ("R4C", 3), customer_id="c-lost"), 409, "out_of_stock")
    (lost,) = [i for i in (await depot.get("/v1/lost-demand", limit=500))["items"] if i["sku"] == "R4C"]
    assert (lost["refusals"], lost["wanted"], lost["lacking"]) == (3, 9, 3), "a repeated call is one refusal"
    first = await depot.get("/v1/refusals", sku="R4C", limit=2)
    rest = await depot.get("/v1/refusals", sku="R4C", limit=2, cursor=first["next_cursor"])
    assert [item["reservation_id"] for item in first["items"] + rest["items"]] == ["r4c-2", "r4c-1", "r4c-0"]
    assert (first["items"][0]["saw"], first["items"][0]["quantity"]) == (2, 3)
    assert (await depot.get("/v1/refusals", sku="R4C", to="2001-01-01"))["items"] == []
    bad = await depot.call("GET", "/v1/refusals", params={"from": "2024-02-02", "to": "2024-02-01"})
    assert refused(bad, 422, "validation")["errors"][0]["pointer"] == "/from"


async def test_a_near_miss_is_told_again_who_asked_for_what_and_what_each_saw(depot: Depot) -> None:
    await depot.stocked("R4D", 5)
    accepted(await depot.reserve("near-1", ("R4D", 3), customer_id="c-1"))
    accepted(await depot.reserve("near-2", ("R4D", 2), order_id="o-near"))
    refused(await depot.reserve("near-3", ("R4D", 1), order_id="o-late"), 409, "out_of_stock")
    accepted(await depot.post("/v1/reservations/near-1/release", {}))
    whole = await depot.get("/v1/stock/R4D/history")
    seen = [(i["kind"], i["reservation_id"], i["quantity"], i["saw"], i["left"]) for i in whole["items"]]
    assert seen == [
        ("released", "near-1", 3, 0, 3),
        ("refused", "near-3", 1, 0, 0),
        ("held", "near-2", 2, 2, 0),
        ("held", "near-1", 3, 5, 2),
        ("received", None, 5, 0, 5),
    ]
    assert [i["order_id"] for i in whole["items"]] == [None, "o-late", "o-near", None, None]
    paged: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = await depot.get("/v1/stock/R4D/history", limit=2, **cursor)
        paged += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert paged == whole["items"]
    assert (await depot.get("/v1/stock/R4D/history", to="2001-01-01"))["items"] == []
    refused(await depot.call("GET", "/v1/stock/NONE/history"), 404, "not_found")
    refused(await depot.call("GET", "/v1/stock/R4D/history", params={"cursor": "x"}), 422, "validation")


# INV-5


async def test_inv_5_an_outside_order_beyond_stock_names_who_is_short_and_what_to_do(depot: Depot) -> None:
    await depot.stocked("R5", 3, lead_days=5)
    accepted(await depot.reserve("r5-cart", ("R5", 1)))
    await depot.hear(placed(depot, "r5-a", ("R5", 2)))
    depot.tick(seconds=1)
    await depot.hear(placed(depot, "r5-b", ("R5", 4)))
    (event,) = await told(depot, StockOversold)
    assert (event.sku, event.short, [(o.order_id, o.quantity) for o in event.affected_orders]) == (
        "R5", 4, [("r5-b", 4)],
    )  # fmt: skip
    assert event.remedy == ("urgent_restock", "delay_coupon", "priority_shipping", "cancel")
    accepted(await depot.post("/v1/adjustments", {"sku": "R5", "quantity": -3, "reason": "lost"}))
    (event,) = await told(depot, StockOversold)
    assert event.short == 7, "the holds of the storefront lose theirs last"
    assert [(o.order_id, o.quantity) for o in event.affected_orders] == [("r5-a", 2)]
    (oversold,) = [i for i in (await depot.get("/v1/oversells", limit=500))["items"] if i["sku"] == "R5"]
    assert [(o["order_id"], o["quantity"]) for o in oversold["affected_orders"]] == [
        ("r5-b", 4), ("r5-a", 2), (None, 1),
    ]  # fmt: skip
    remedies = {r["remedy"]: r for r in oversold["remedies"]}
    assert remedies["urgent_restock"] == {"remedy": "urgent_restock", "quantity": 7, "lead_days": 5}
    assert remedies["delay_coupon"]["coupon"] == {"spend_cents": 20_000, "off_cents": 3_000}
    accepted(await depot.post("/v1/receipts", {"sku": "R5", "quantity": 7}))
    assert not [i for i in (await depot.get("/v1/oversells", limit=500))["items"] if i["sku"] == "R5"]


async def test_compensation_is_recorded_once_beside_its_order(depot: Depot) -> None:
    await depot.stocked("R5C", 0)
    await depot.hear(placed(depot, "r5c", ("R5C", 1)))
    given = {
        "compensation_id": "comp-1",
        "order_id": "r5c",
        "remedy": "delay_coupon",
        "amount_cents": 3000,
        "note": "电话 13800005678 已联系",
    }
    made = accepted(await depot.post("/v1/oversells/R5C/compensations", given))
    assert "13800005678" not in made["note"]
    assert accepted(await depot.post("/v1/oversells/R5C/compensations", given)) == made
    refused(await depot.post("/v1/oversells/R5C/compensations", {**given, "amount_cents": 1}), 409, "conflict")
    refused(await depot.post("/v1/oversells/R5C/compensations", {**given, "remedy": "roses"}), 422, "validation")
    other = {**given, "compensation_id": "comp-2", "order_id": "nobody"}
    refused(await depot.post("/v1/oversells/R5C/compensations", other), 404, "not_found")
    (oversold,) = [i for i in (await depot.get("/v1/oversells", limit=500))["items"] if i["sku"] == "R5C"]
    (done,) = oversold["affected_orders"][0]["compensations"]
    assert (done["compensation_id"], done["amount_cents"], done["by"]) == ("comp-1", 3000, made["by"])
    listed = await depot.get("/v1/compensations", sku="R5C")
    assert [item["compensation_id"] for item in listed["items"]] == ["comp-1"]
    assert (await depot.get("/v1/oversells", key="other"))["items"] == []


# INV-6


async def test_inv_6_every_unit_leaves_one_state_and_enters_another(depot: Depot) -> None:
    await depot.stocked("R6", 4)
    await depot.hear(placed(depot, "r6", ("R6", 2)), paid(depot, "r6", ("R6", 2)), shipped("r6", ("R6", 2)))
    await depot.hear(returned(ReturnApproved, "r6", ("R6", 1)))
    assert (await depot.level("R6"))["returning"] == 1
    await depot.hear(returned(ReturnInspected, "r6", ("R6", 1), condition="damaged"))
    moves = (await depot.get("/v1/movements", sku="R6", limit=50))["items"][::-1]
    assert [(m["kind"], m["from_state"], m["to_state"], m["quantity"]) for m in moves] == [
        ("received", "outside", "on_hand", 4),
        ("held", "on_hand", "held", 2),
        ("allocated", "held", "allocated", 2),
        ("shipped", "allocated", "shipped", 2),
        ("returning", "shipped", "returning", 1),
        ("returned", "returning", "damaged", 1),
    ]
    level = await depot.level("R6")
    assert (level["on_hand"], level["damaged"], level["returning"]) == (2, 1, 0)


async def test_each_term_of_available_can_be_drilled_beyond_a_hundred_items(depot: Depot) -> None:
    await depot.stocked("R6D", 500)
    for n in range(103):
        accepted(await depot.reserve(f"r6d-{n:03}", ("R6D", 1)))
        depot.tick(seconds=0.01)
    level = await depot.level("R6D")
    held = next(reason for reason in level["reasons"] if reason["term"] == "held")
    assert (held["quantity"], held["item_count"], len(held["items"])) == (-103, 103, 100)
    first = await depot.get("/v1/stock/R6D/reasons/held", limit=100)
    rest = await depot.get("/v1/stock/R6D/reasons/held", limit=100, cursor=first["next_cursor"])
    assert first["items"] == held["items"]
    assert [item["reservation_id"] for item in rest["items"]] == ["r6d-100", "r6d-101", "r6d-102"]
    assert (await depot.get("/v1/stock/R6D/reasons/allocated"))["items"] == []
    refused(await depot.call("GET", "/v1/stock/R6D/reasons/colour"), 422, "validation")
    refused(await depot.call("GET", "/v1/stock/NOTHING/reasons/held"), 404, "not_found")


# INV-7


def lock_of(depot: Depot, name: str, *lines: tuple[str, int], starts: float = 10, ends: float = 15) -> dict[str, Any]:
    return {
        "campaign": name,
        "lines": [{"sku": sku, "quantity": n} for sku, n in lines],
        "starts_at": (depot.now + timedelta(days=starts)).isoformat(),
        "ends_at": (depot.now + timedelta(days=ends)).isoformat(),
    }


async def test_inv_7_a_lock_is_told_topped_up_sold_to_its_campaign_alone_and_given_back(depot: Depot) -> None:
    await depot.stocked("R7", 6)
    await depot.events()
    wish = lock_of(depot, "inv7", ("R7", 10))
    accepted(await depot.post("/v1/campaign-locks", wish))
    accepted(await depot.post("/v1/receipts", {"sku": "R7", "quantity": 6}))
    locked = await told(depot, StockLocked)
    assert [(e.quantity, e.wanted, e.locked) for e in locked] == [(6, 10, 6), (4, 10, 10)]
    assert (locked[0].starts_at, locked[0].ends_at) == (depot.now + timedelta(days=10), depot.now + timedelta(days=15))
    refused(await depot.reserve("inv7-other", ("R7", 3)), 409, "out_of_stock")
    accepted(await depot.reserve("inv7-own", ("R7", 11), campaign="inv7"))
    depot.tick(days=15)
    await depot.run_timers()
    await depot.hear(campaign(CampaignEnded, depot, "inv7"))
    (given,) = await told(depot, StockUnlocked)
    assert (given.quantity, given.locked, given.has_ended) == (10, 0, True), "the hold had run out with it"
    assert (await depot.level("R7"))["available"] == 12


async def test_a_lock_shows_what_was_promised_what_is_missing_and_how_it_will_last(depot: Depot) -> None:
    await depot.stocked("R7B", 100)
    await depot.hear(campaign(CampaignPlanned, depot, "inv7b", ("R7B", 120), ("R7C", 5)))
    planned = await depot.get("/v1/campaign-locks/inv7b")
    assert (planned["status"], planned["complete"]) == ("planned", False)
    accepted(await depot.post("/v1/campaign-locks", lock_of(depot, "inv7b", ("R7B", 100))))
    shown = await depot.get("/v1/campaign-locks/inv7b")
    lines = {line["sku"]: line for line in shown["lines"]}
    assert (lines["R7B"]["promised"], lines["R7B"]["wanted"], lines["R7B"]["missing"]) == (120, 100, 20)
    assert (lines["R7C"]["promised"], lines["R7C"]["missing"]) == (5, 5)
    assert shown["complete"] is False
    assert shown["starts_at"] > shown["warn_at"]
    assert (lines["R7B"]["run_out_at"], lines["R7B"]["projected_leftover"]) == (None, 100), "nothing sold: all is left"
    depot.tick(days=10)
    accepted(await depot.reserve("inv7b-1", ("R7B", 10), campaign="inv7b", order_id="o-7b", allocate=True))
    depot.tick(days=1)
    (line,) = [x for x in (await depot.get("/v1/campaign-locks/inv7b"))["lines"] if x["sku"] == "R7B"]
    assert line["run_out_at"] is None
    assert 50 - 2 <= line["projected_leftover"] <= 50 + 2, "ten a day for four days more, of 90"
    accepted(await depot.reserve("inv7b-2", ("R7B", 60), campaign="inv7b", order_id="o-7c", allocate=True))
    (line,) = [x for x in (await depot.get("/v1/campaign-locks/inv7b"))["lines"] if x["sku"] == "R7B"]
    assert (line["left"], line["projected_leftover"]) == (30, 0)
    assert line["run_out_at"] is not None
    await depot.hear(campaign(CampaignEnded, depot, "inv7b"))
    assert (await depot.get("/v1/campaign-locks/inv7b"))["status"] == "ended", "a campaign that ends early gives back"
    assert (await depot.level("R7B"))["locked"] == 0


# INV-8


async def test_inv_8_a_best_seller_that_will_not_last_is_suggested_with_the_arithmetic(depot: Depot) -> None:
    await depot.stocked("R8", 30, lead_days=10, safety=4)
    await depot.stocked("R8L", 500)
    await depot.stocked("R8C", 100)
    for n, units in enumerate((7, 7)):
        accepted(await depot.reserve(f"r8-{n}", ("R8", units), order_id=f"o-r8-{n}", allocate=True))
    accepted(await depot.reserve("r8-l", ("R8L", 7), order_id="o-r8-l", allocate=True))
    accepted(await depot.reserve("r8-c", ("R8C", 90), order_id="o-r8-c", allocate=True))
    await depot.hear(OrderCancelled(order_id="o-r8-c", reason="", by="customer", was_paid=True, lines=()))
    due = {item["sku"]: item for item in (await depot.get("/v1/reorder", limit=500))["items"]}
    assert not {"R8L", "R8C"} & due.keys(), "70 days of cover; and what was cancelled was not sold"
    assert due["R8"] | {"title": "R8"} == {
        "sku": "R8",
        "title": "R8",
        "available": 16,
        "units_sold": 14,
        "sales_days": 7,
        "daily_units": 2.0,
        "days_of_cover": 8.0,
        "lead_days": 10,
        "safety": 4,
        "short": 0,
        "is_due": True,
        "suggested_quantity": 8,
        "arithmetic": "ceil(14 / 7 x 10) + 4 + 0 - 16 = 8",
    }
    every = {item["sku"]: item for item in (await depot.get("/v1/reorder", limit=500, all="true"))["items"]}
    assert (every["R8L"]["is_due"], every["R8L"]["days_of_cover"], every["R8L"]["lead_days"]) == (False, 493.0, 7)
    depot.tick(days=8)
    assert "R8" not in {item["sku"] for item in (await depot.get("/v1/reorder", limit=500, all="true"))["items"]}


# INV-9


async def test_inv_9_what_has_not_sold_for_thirty_days_is_a_slow_mover_unless_the_store_says_otherwise(
    depot: Depot,
) -> None:
    await depot.stocked("R9", 4)
    depot.tick(days=29, hours=23)
    assert "R9" not in {i["sku"] for i in (await depot.get("/v1/slow-movers", limit=500))["items"]}
    depot.tick(hours=1)
    assert "R9" in {i["sku"] for i in (await depot.get("/v1/slow-movers", limit=500))["items"]}
    assert "R9" not in {i["sku"] for i in (await depot.get("/v1/slow-movers", limit=500, days=31))["items"]}
    changed = PolicyChanged(
        policy_id="slow_mover_days", kind="slow_mover_days", before=None, after={"value": 60}, by="li",
        valid_from=depot.now,
    )  # fmt: skip
    await depot.hear(changed)
    assert "R9" not in {i["sku"] for i in (await depot.get("/v1/slow-movers", limit=500))["items"]}
    refused(await depot.call("GET", "/v1/slow-movers", params={"days": 0}), 422, "validation")


# INV-10


async def test_inv_10_every_difference_is_an_adjustment_with_who_when_and_why(depot: Depot) -> None:
    await depot.stocked("R10", 10)
    await depot.events()
    answer = await count(depot, "c-r10", [{"sku": "R10", "on_hand": 7}])
    assert answer["differences"] == [
        {"sku": "R10", "expected": 10, "counted": 7, "difference": -3, "status": "applied"}
    ]
    events = await depot.events()
    (adjusted,) = [e for e in events if isinstance(e, StockAdjusted)]
    assert (adjusted.quantity, adjusted.reason, adjusted.count_id) == (-3, "correction", "c-r10")
    assert adjusted.by.startswith("key:")
    (counted,) = [e for e in events if isinstance(e, StockCounted)]
    assert [(d.sku, d.difference) for d in counted.differences] == [("R10", -3)]
    listed = await depot.get("/v1/counts", limit=1)
    assert (listed["items"][0]["count_id"], listed["items"][0]["difference_count"]) == ("c-r10", 1)
    shown = await depot.get("/v1/counts/c-r10")
    assert (shown["source"], shown["differences"]) == ("erp", answer["differences"])
    refused(await depot.call("GET", "/v1/counts/nothing"), 404, "not_found")


async def test_a_stale_line_becomes_a_task_and_not_an_overwrite(depot: Depot) -> None:
    await depot.stocked("R10S", 10)
    version = (await depot.level("R10S"))["version"]
    accepted(await depot.post("/v1/receipts", {"sku": "R10S", "quantity": 5}))
    answer = await count(
        depot, "c-stale", [{"sku": "R10S", "on_hand": 9, "version": version}, {"sku": "R10X", "on_hand": 1}]
    )
    assert [line["status"] for line in answer["differences"]] == ["stale", "unknown_sku"]
    assert (await depot.level("R10S"))["on_hand"] == 15
    open_tasks = (await depot.get("/v1/count-tasks", limit=500))["items"]
    assert [(t["sku"], t["status"]) for t in open_tasks if t["count_id"] == "c-stale"] == [
        ("R10X", "unknown_sku"), ("R10S", "stale"),
    ]  # fmt: skip
    done = await depot.post("/v1/count-tasks/c-stale/R10X/resolve", {"note": "旧编码"})
    assert (accepted(done)["note"], accepted(done)["resolved_by"][:4]) == ("旧编码", "key:")
    assert accepted(await depot.post("/v1/count-tasks/c-stale/R10X/resolve", {})) == accepted(done)
    refused(await depot.post("/v1/count-tasks/c-stale/R10/resolve", {}), 404, "not_found")
    depot.tick(minutes=1)
    await count(depot, "c-fresh", [{"sku": "R10S", "on_hand": 14}])
    left = [t for t in (await depot.get("/v1/count-tasks", limit=500))["items"] if t["count_id"] == "c-stale"]
    assert left == [], "a later count has done the other"
    finished = (await depot.get("/v1/count-tasks", status="done", limit=500))["items"]
    assert {t["resolved_by"] for t in finished if t["sku"] == "R10S"} == {"count:c-fresh"}


# INV-11


async def test_inv_11_a_day_that_does_not_add_up_is_listed_and_told(depot: Depot) -> None:
    await depot.stocked("R11", 9)
    accepted(await depot.reserve("r11", ("R11", 2)))
    await depot.sql("UPDATE inventory.level SET held = held + 1 WHERE sku = 'R11'")
    body = await depot.get("/v1/reconciliation", limit=500)
    (line,) = [item for item in body["items"] if item["sku"] == "R11"]
    assert line["mismatches"] == [{"kind": "reserved", "expected": 2, "found": 3}]
    depot.tick(days=1)
    await depot.events()
    await depot.reconcile()
    (event,) = [e for e in await told(depot, StockMismatched) if e.sku == "R11"]
    assert (event.kind, event.expected, event.found) == ("reserved", 2, 3)
    await depot.sql("UPDATE inventory.level SET held = held - 1 WHERE sku = 'R11'")
    refused(await depot.call("GET", "/v1/reconciliation", params={"day": "2024-02-30"}), 422, "validation")


# INV-12


async def test_inv_12_levels_and_costs_that_turnover_is_made_of_are_told(depot: Depot) -> None:
    await depot.stocked("R12", 10, cost_cents=300)
    await depot.hear(placed(depot, "r12", ("R12", 4)), paid(depot, "r12", ("R12", 4)), shipped("r12", ("R12", 4)))
    accepted(await depot.call("PUT", "/v1/skus/R12", json={"title": "R12", "price_cents": 100, "cost_cents": 350}))
    events = await depot.events()
    assert [e.on_hand for e in events if isinstance(e, StockLevel) and e.sku == "R12"][-1] == 6
    assert [(e.before.cost_cents, e.after.cost_cents) for e in events if isinstance(e, SkuChanged)] == [(300, 350)]
    assert [e.lines[0].quantity for e in events if isinstance(e, StockShipped)] == [4]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/stock?low=perhaps"),
        ("GET", "/v1/stock?limit=501"),
        ("GET", "/v1/movements?sku=a%20b"),
        ("GET", "/v1/slow-movers?days=x"),
        ("GET", "/v1/reorder?cursor=zzz"),
        ("GET", "/v1/reconciliation?day=today"),
        ("GET", "/v1/lost-demand?from=1"),
        ("GET", "/v1/count-tasks?status=late"),
        ("GET", "/v1/oversells?limit=0"),
        ("GET", "/v1/counts?cursor=e30"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(depot: Depot, method: str, path: str) -> None:
    refused(await depot.call(method, path), 422, "validation")
