"""The calls of inventory over HTTP, on a real database."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from libs.events.contracts import (
    SkuChanged,
    SkuDelisted,
    SkuListed,
    StockAdjusted,
    StockLevel,
    StockMismatched,
    StockReceived,
    StockRefused,
    StockReserved,
)
from tests.inventory.conftest import Depot, accepted, refused

DRESS = {
    "kind": "goods",
    "title": "夏季连衣裙",
    "category": "dress",
    "price_cents": 7800,
    "cost_cents": 3000,
    "safety": 10,
    "lead_days": 7,
    "listed": True,
}


async def test_the_wire_example_from_sku_to_level(depot: Depot) -> None:
    await depot.events()
    listed = await depot.call("PUT", "/v1/skus/A001", json=DRESS)
    assert (listed.status_code, listed.headers["etag"]) == (200, '"1"')
    unstocked = await depot.level("A001")
    assert (unstocked["state"], unstocked["available"], unstocked["version"]) == ("unstocked", 0, 0)
    receipt = {"receipt_id": "r-1", "sku": "A001", "warehouse": "main", "quantity": 100, "cost_cents": 3000}
    accepted(await depot.post("/v1/receipts", receipt))
    damaged = {"adjustment_id": "a-1", "sku": "A001", "warehouse": "main", "quantity": -2, "reason": "damaged"}
    accepted(await depot.post("/v1/adjustments", damaged))
    held = accepted(await depot.reserve("x-1", ("A001", 3), order_id="o-1002", ttl_seconds=900))
    assert held == {
        "reservation_id": "x-1",
        "status": "held",
        "lines": [{"sku": "A001", "quantity": 3}],
        "expires_at": "2024-07-01T20:15:00+08:00",
        "order_id": "o-1002",
    }
    response = await depot.call("GET", "/v1/stock/A001")
    level = accepted(response)
    assert response.headers["etag"] == f'"{level["version"]}"'
    assert {k: level[k] for k in ("on_hand", "held", "allocated", "locked", "damaged", "available", "state")} == {
        "on_hand": 98,
        "held": 3,
        "allocated": 0,
        "locked": 0,
        "damaged": 2,
        "available": 95,
        "state": "in_stock",
    }
    assert level["warehouses"] == [{"warehouse": "main", "on_hand": 98, "returning": 0, "damaged": 2}]
    assert [(r["term"], r["quantity"], r["item_count"]) for r in level["reasons"]] == [
        ("on_hand", 98, 0),
        ("held", -3, 1),
        ("allocated", 0, 0),
        ("locked", 0, 0),
        ("safety_hidden", 0, 0),
    ]
    assert level["reasons"][1]["items"] == [
        {"reservation_id": "x-1", "order_id": "o-1002", "quantity": 3, "expires_at": held["expires_at"]}
    ]
    assert [type(e) for e in await depot.events()] == [
        SkuListed,
        StockReceived,
        StockLevel,
        StockAdjusted,
        StockLevel,
        StockReserved,
        StockLevel,
    ]


async def test_a_repeated_receipt_gives_its_answer_again_and_another_body_is_a_conflict(depot: Depot) -> None:
    await depot.stocked("B1", 0)
    receipt = {"receipt_id": "r-b1", "sku": "B1", "quantity": 5}
    first = await depot.post("/v1/receipts", receipt)
    again = await depot.post("/v1/receipts", receipt)
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    refused(await depot.post("/v1/receipts", {**receipt, "quantity": 6}), 409, "conflict")
    assert (await depot.level("B1"))["on_hand"] == 5


async def test_many_receipts_are_taken_as_a_whole(depot: Depot) -> None:
    skus = [{"sku": f"M{n}", "title": f"M {n}", "price_cents": 100, "safety": 0} for n in range(300)]
    accepted(await depot.call("PUT", "/v1/skus", json=skus))
    receipts: list[dict[str, Any]] = [{"receipt_id": f"m-{n}", "sku": f"M{n}", "quantity": n + 1} for n in range(300)]
    bad = await depot.post("/v1/receipts", [*receipts, {"receipt_id": "m-x", "sku": "NONE", "quantity": 1}])
    assert [e["pointer"] for e in refused(bad, 422, "validation")["errors"]] == ["/300/sku"]
    assert (await depot.level("M7"))["on_hand"] == 0
    body = accepted(await depot.post("/v1/receipts", receipts, params={"import_id": "imp-1"}))
    assert body["accepted"] == 300
    again = accepted(
        await depot.post("/v1/receipts", [*receipts[:3], {"receipt_id": "m-n", "sku": "M0", "quantity": 9}])
    )
    assert [item["status"] for item in again["items"]] == ["repeated", "repeated", "repeated", "applied"]
    assert (await depot.level("M0"))["on_hand"] == 10
    changed = await depot.post("/v1/receipts", [{**receipts[0], "quantity": 77}])
    refused(changed, 409, "conflict")
    envelopes = [e for e in await depot.envelopes() if isinstance(e.data, StockReceived)]
    assert {e.import_id for e in envelopes} == {None, "imp-1"}


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/receipts", {"sku": "A001", "quantity": 0}, "/quantity"),
        ("/v1/receipts", {"sku": "A001", "quantity": -1}, "/quantity"),
        ("/v1/receipts", {"sku": "A001", "quantity": "1"}, "/quantity"),
        ("/v1/receipts", {"sku": "A 1", "quantity": 1}, "/sku"),
        ("/v1/receipts", {"sku": "NONE", "quantity": 1}, "/sku"),
        ("/v1/receipts", {"sku": "A001", "quantity": 1, "colour": "red"}, "/colour"),
        ("/v1/receipts", [{"sku": "A001", "quantity": 1}, {"sku": "A001", "quantity": 0}], "/1/quantity"),
        ("/v1/receipts", {"sku": "A001", "quantity": 1, "occurred_at": "2030-01-01T00:00:00Z"}, "/occurred_at"),
        ("/v1/receipts", {"sku": "A001", "quantity": 1, "occurred_at": "2024-01-01T00:00:00"}, "/occurred_at"),
        ("/v1/adjustments", {"sku": "A001", "quantity": 1, "reason": "lost"}, "/quantity"),
        ("/v1/adjustments", {"sku": "A001", "quantity": 0, "reason": "correction"}, "/quantity"),
        ("/v1/adjustments", {"sku": "A001", "quantity": 1, "reason": "stolen"}, "/reason"),
        ("/v1/reservations", {"lines": []}, "/lines"),
        ("/v1/reservations", {"lines": [{"sku": "A001", "quantity": -2}]}, "/lines/0/quantity"),
        ("/v1/reservations", {"lines": [{"sku": "NONE", "quantity": 2}]}, "/lines/0/sku"),
        ("/v1/reservations", {"lines": [{"sku": "A001", "quantity": 1}], "ttl_seconds": 90000}, "/ttl_seconds"),
        ("/v1/reservations", {"lines": [{"sku": "A001", "quantity": 1}], "allocate": True}, "/order_id"),
        ("/v1/counts", {"as_of": "2024-07-01T00:00:00Z", "items": []}, "/items"),
        ("/v1/counts", {"as_of": "2030-07-01T00:00:00Z", "items": [{"sku": "A001", "on_hand": 1}]}, "/as_of"),
        (
            "/v1/counts",
            {"as_of": "2024-07-01T00:00:00Z", "items": [{"sku": "A001", "on_hand": 1}, {"sku": "A001", "on_hand": 1}]},
            "/items/1/sku",
        ),
        (
            "/v1/campaign-locks",
            {
                "campaign": "past",
                "lines": [{"sku": "A001", "quantity": 1}],
                "starts_at": "2024-07-02T00:00:00Z",
                "ends_at": "2024-07-01T23:00:00Z",
            },
            "/ends_at",
        ),
    ],
)
async def test_bad_input_is_refused_with_its_place(depot: Depot, path: str, body: Any, pointer: str) -> None:
    await depot.call("PUT", "/v1/skus/A001", json=DRESS)
    problem = refused(await depot.post(path, body), 422, "validation")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_a_shortage_names_each_short_sku(depot: Depot) -> None:
    await depot.stocked("C1", 1)
    await depot.stocked("C2", 5)
    await depot.events()
    problem = refused(await depot.reserve("c-x", ("C2", 2), ("C1", 2), ("C1", 1)), 409, "out_of_stock")
    assert [(e["pointer"], e["code"], e["wanted"], e["available"]) for e in problem["errors"]] == [
        ("/lines/1/quantity", "short", 3, 1)
    ]
    assert [type(e) for e in await depot.events()] == [StockRefused]
    accepted(await depot.post("/v1/receipts", {"sku": "C1", "quantity": 10}))
    again = refused(await depot.reserve("c-x", ("C2", 2), ("C1", 2), ("C1", 1)), 409, "out_of_stock")
    assert again["errors"] == problem["errors"]


async def test_a_reservation_is_held_allocated_and_released_and_each_step_may_be_repeated(depot: Depot) -> None:
    await depot.stocked("D1", 5)
    accepted(await depot.reserve("d-1", ("D1", 2)))
    for _ in range(2):
        done = accepted(await depot.post("/v1/reservations/d-1/allocate", {"order_id": "o-d1"}))
        assert done["status"] == "allocated"
    assert (await depot.level("D1"))["reasons"][2]["items"] == [
        {"reservation_id": "d-1", "order_id": "o-d1", "quantity": 2}
    ]
    for _ in range(2):
        done = accepted(await depot.call("POST", "/v1/reservations/d-1/release"))
        assert done["status"] == "released"
    problem = refused(await depot.post("/v1/reservations/d-1/allocate", {"order_id": "o-d1"}), 409, "wrong_state")
    assert (problem["state"], problem["possible"]) == ("released", [])
    refused(await depot.post("/v1/reservations/none/release", {}), 404, "not_found")


async def test_an_expired_hold_is_swept_and_says_so(depot: Depot) -> None:
    await depot.stocked("E1", 2)
    accepted(await depot.reserve("e-1", ("E1", 2), ttl_seconds=60))
    depot.tick(seconds=61)
    assert (await depot.level("E1"))["held"] == 2
    accepted(await depot.reserve("e-2", ("E1", 1)))
    assert (await depot.level("E1"))["held"] == 1, "the short reservation swept the expired one first"
    assert accepted(await depot.reserve("e-1", ("E1", 2)))["status"] == "expired"
    refused(await depot.post("/v1/reservations/e-1/allocate", {"order_id": "o-e1"}), 409, "wrong_state")
    depot.tick(seconds=1000)
    await depot.run_timers()
    assert (await depot.level("E1"))["held"] == 0


async def test_an_idempotency_key_stands_for_a_missing_id(depot: Depot) -> None:
    await depot.stocked("F1", 9)
    wish = {"lines": [{"sku": "F1", "quantity": 2}]}
    key = {"Idempotency-Key": "k-1"}
    first = await depot.post("/v1/reservations", wish, headers=key)
    again = await depot.post("/v1/reservations", wish, headers=key)
    assert (first.status_code, again.json()) == (201, first.json())
    other = await depot.post("/v1/reservations", {"lines": [{"sku": "F1", "quantity": 3}]}, headers=key)
    refused(other, 422, "idempotency_mismatch")
    assert (await depot.level("F1"))["held"] == 2


async def test_what_is_refused_for_good_is_kept_and_what_is_not_may_be_tried_again(depot: Depot) -> None:
    await depot.stocked("F2", 1)
    short = {"lines": [{"sku": "F2", "quantity": 2}]}
    key = {"Idempotency-Key": "k-2"}
    refused(await depot.post("/v1/reservations", short, headers=key), 409, "out_of_stock")
    accepted(await depot.post("/v1/receipts", {"sku": "F2", "quantity": 10}))
    refused(await depot.post("/v1/reservations", short, headers=key), 409, "out_of_stock")
    late = {"Idempotency-Key": "k-3"}
    refused(await depot.post("/v1/reservations/f2-x/release", {}, headers=late), 404, "not_found")
    accepted(await depot.reserve("f2-x", ("F2", 1)))
    accepted(await depot.post("/v1/reservations/f2-x/release", {}, headers=late))


async def test_stores_do_not_see_each_other(depot: Depot) -> None:
    await depot.stocked("G1", 5)
    accepted(await depot.reserve("g-1", ("G1", 1)))
    refused(await depot.call("GET", "/v1/stock/G1", key="other"), 404, "not_found")
    refused(await depot.call("GET", "/v1/reservations/g-1", key="other"), 404, "not_found")
    refused(await depot.post("/v1/reservations/g-1/release", {}, key="other"), 404, "not_found")
    assert accepted(await depot.call("GET", "/v1/movements?sku=G1", key="other"))["items"] == []
    refused(await depot.post("/v1/receipts", {"sku": "G1", "quantity": 1}, key="reader"), 403, "forbidden")
    accepted(await depot.post("/v1/receipts", {"sku": "G1", "quantity": 1, "store": "demo"}, key="operator"))
    assert (await depot.level("G1"))["on_hand"] == 6


async def test_the_catalogue_tells_what_changed(depot: Depot) -> None:
    await depot.events()
    accepted(await depot.call("PUT", "/v1/skus/H1", json=DRESS))
    accepted(await depot.call("PUT", "/v1/skus/H1", json=DRESS))
    depot.tick(seconds=1)
    accepted(await depot.call("PUT", "/v1/skus/H1", json={**DRESS, "price_cents": 6900}))
    depot.tick(seconds=1)
    accepted(await depot.call("PUT", "/v1/skus/H1", json={**DRESS, "price_cents": 6900, "listed": False}))
    listed, changed, delisted = await depot.events()
    assert isinstance(listed, SkuListed)
    assert isinstance(changed, SkuChanged)
    assert (changed.before.price_cents, changed.after.price_cents, changed.after.title) == (7800, 6900, None)
    assert isinstance(delisted, SkuDelisted)
    stale = await depot.call("PUT", "/v1/skus/H1", json=DRESS, headers={"If-Match": '"1"'})
    refused(stale, 412, "stale")
    old = {**DRESS, "title": "old", "occurred_at": "2020-01-01T00:00:00Z"}
    assert accepted(await depot.call("PUT", "/v1/skus/H1", json=old))["title"] == DRESS["title"]


async def test_lists_come_in_pages(depot: Depot) -> None:
    await depot.call("PUT", "/v1/skus", json=[{"sku": f"L{n}", "title": "x", "price_cents": 1} for n in range(5)])
    first = await depot.get("/v1/skus", limit=2)
    second = await depot.get("/v1/skus", limit=2, cursor=first["next_cursor"])
    assert len({i["sku"] for i in first["items"] + second["items"]}) == 4


async def test_low_lists_what_is_low_or_sold_out(depot: Depot) -> None:
    await depot.stocked("LOW1", 9, safety=10)
    await depot.stocked("LOW2", 10, safety=10)
    await depot.stocked("LOW3", 5, safety=10)
    accepted(await depot.post("/v1/adjustments", {"sku": "LOW3", "quantity": -5, "reason": "lost"}))
    await depot.stocked("LOW4", 0, safety=10)
    listed = {item["sku"]: item["state"] for item in (await depot.get("/v1/stock", low="true", limit=500))["items"]}
    assert {k: v for k, v in listed.items() if k.startswith("LOW")} == {"LOW1": "low", "LOW3": "sold_out"}


async def test_a_count_shows_its_differences_first_and_then_corrects_them(depot: Depot) -> None:
    await depot.stocked("N1", 10)
    depot.tick(hours=1)
    level = await depot.level("N1")
    wish = {
        "count_id": "count-1",
        "warehouse": "main",
        "as_of": (depot.now - timedelta(minutes=1)).isoformat(),
        "source": "erp",
        "items": [{"sku": "N1", "on_hand": 9, "version": level["version"]}, {"sku": "N9", "on_hand": 3}],
    }
    expected = [
        {"sku": "N1", "expected": 10, "counted": 9, "difference": -1, "status": "applied"},
        {"sku": "N9", "expected": 0, "counted": 3, "difference": 3, "status": "unknown_sku"},
    ]
    dry = accepted(await depot.post("/v1/counts", wish, params={"dry_run": "true"}))
    assert (dry["dry_run"], dry["differences"]) == (True, expected)
    assert (await depot.level("N1"))["on_hand"] == 10
    done = await depot.post("/v1/counts", wish)
    assert (done.status_code, done.json()["dry_run"], done.json()["differences"]) == (200, False, expected)
    assert (await depot.level("N1"))["on_hand"] == 9
    assert (await depot.post("/v1/counts", wish)).json() == done.json()
    stale = {**wish, "count_id": "count-2"}
    lines = accepted(await depot.post("/v1/counts", stale))["differences"]
    assert lines[0]["status"] == "stale"
    assert (await depot.level("N1"))["on_hand"] == 9
    assert ("count-2", "N1") in [(t["count_id"], t["sku"]) for t in (await depot.get("/v1/count-tasks"))["items"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
async def test_a_count_may_be_a_file(depot: Depot, encoding: str) -> None:
    sku = f"P-{encoding}"
    await depot.stocked(sku, 10)
    depot.tick(hours=1)
    response = await depot.call(
        "POST",
        "/v1/counts",
        params={"count_id": f"file-{encoding}", "warehouse": "main", "as_of": depot.now.isoformat(), "source": "erp"},
        content=f"商品编码,实盘数\n{sku},7\n".encode(encoding),
        headers={"Content-Type": "text/csv"},
    )
    assert [(d["sku"], d["difference"]) for d in accepted(response)["differences"]] == [(sku, -3)]


async def test_a_count_in_a_spreadsheet_and_in_a_form(depot: Depot) -> None:
    await depot.stocked("Q1", 10)
    depot.tick(hours=1)
    params = {"count_id": "sheet", "as_of": depot.now.isoformat(), "dry_run": "true"}
    sheet = _xlsx([["sku", "on_hand"], ["Q1", 4]])
    media = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    response = await depot.call("POST", "/v1/counts", params=params, content=sheet, headers={"Content-Type": media})
    assert accepted(response)["differences"][0]["difference"] == -6
    form = await depot.call("POST", "/v1/counts", params=params, files={"file": ("count.xlsx", sheet, media)})
    assert accepted(form)["differences"][0]["difference"] == -6
    bad = _xlsx([["sku", "on_hand"], ["Q1", 4], ["Q1", "many"]])
    response = await depot.call("POST", "/v1/counts", params=params, content=bad, headers={"Content-Type": media})
    (error,) = refused(response, 422, "validation")["errors"]
    assert (error["row"], error["column"]) == (2, "on_hand")
    garbage = await depot.call("POST", "/v1/counts", params=params, content=b"PK", headers={"Content-Type": media})
    assert garbage.status_code == 400


def _xlsx(rows: list[list[Any]]) -> bytes:
    import io

    import xlsxwriter

    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for n, row in enumerate(rows):
            sheet.write_row(n, 0, row)
    return out.getvalue()


async def test_a_campaigns_stock_is_locked_sold_to_it_alone_and_given_back(depot: Depot) -> None:
    await depot.stocked("S1", 10)
    wish = {
        "campaign": "summer",
        "lines": [{"sku": "S1", "quantity": 12}],
        "starts_at": depot.now.isoformat(),
        "ends_at": (depot.now + timedelta(days=5)).isoformat(),
    }
    locked = await depot.post("/v1/campaign-locks", wish)
    assert (locked.status_code, locked.json()) == (
        201,
        {"campaign": "summer", "lines": [{"sku": "S1", "wanted": 12, "locked": 10}]},
    )
    assert (await depot.post("/v1/campaign-locks", wish)).json() == locked.json()
    refused(await depot.reserve("s-1", ("S1", 1)), 409, "out_of_stock")
    accepted(await depot.reserve("s-2", ("S1", 4), campaign="summer"))
    accepted(await depot.post("/v1/receipts", {"sku": "S1", "quantity": 5}))
    level = await depot.level("S1")
    assert (level["locked"], level["held"], level["available"]) == (8, 4, 3)
    assert level["reasons"][3]["items"][0]["campaign"] == "summer"
    depot.tick(hours=2)
    shown = await depot.get("/v1/campaign-locks/summer")
    (line,) = shown["lines"]
    assert (line["wanted"], line["locked"], line["taken"], line["left"]) == (12, 12, 4, 8)
    assert line["run_out_at"] is not None
    assert [b["quantity"] for b in shown["burn_down"]] == [4]
    depot.tick(days=5)
    await depot.run_timers()
    level = await depot.level("S1")
    assert (level["locked"], level["available"]) == (0, 15)
    for _ in range(2):
        assert accepted(await depot.post("/v1/campaign-locks/summer/release", {}))["status"] == "released"
    assert (await depot.get("/v1/campaign-locks/summer"))["status"] == "ended"
    refused(await depot.post("/v1/campaign-locks/none/release", {}), 404, "not_found")


async def test_the_ledger_is_read_newest_first(depot: Depot) -> None:
    await depot.stocked("T1", 10)
    accepted(await depot.reserve("t-1", ("T1", 1)))
    accepted(await depot.post("/v1/reservations/t-1/allocate", {"order_id": "o-t1"}))
    first = await depot.get("/v1/movements", sku="T1", limit=2)
    rest = await depot.get("/v1/movements", sku="T1", limit=2, cursor=first["next_cursor"])
    assert [(m["kind"], m["from_state"], m["to_state"]) for m in first["items"] + rest["items"]] == [
        ("allocated", "held", "allocated"),
        ("held", "on_hand", "held"),
        ("received", "outside", "on_hand"),
    ]
    assert rest["next_cursor"] is None
    entry = first["items"][0]
    assert set(entry) >= {"movement_id", "sku", "warehouse", "at", "kind", "quantity", "cause", "by"}
    assert entry["cause"] == {"type": "reservation", "id": "t-1"}


async def test_slow_movers_and_reorders(depot: Depot) -> None:
    await depot.stocked("U1", 10, cost_cents=50)
    await depot.stocked("U2", 20, lead_days=14, safety=2)
    depot.tick(days=31)
    await depot.stocked("U3", 10)
    accepted(await depot.reserve("u-2", ("U2", 14), order_id="o-u2", allocate=True))
    slow = {item["sku"]: item for item in (await depot.get("/v1/slow-movers", limit=500))["items"]}
    assert slow["U1"]["days_without_sale"] == 31
    assert slow["U1"]["stock_value_cents"] == 500
    assert not {"U2", "U3"} & slow.keys()
    (line,) = [item for item in (await depot.get("/v1/reorder", limit=500))["items"] if item["sku"] == "U2"]
    assert (line["daily_units"], line["days_of_cover"], line["suggested_quantity"]) == (2.0, 3.0, 28 + 2 - 6)


async def test_a_day_is_reconciled(depot: Depot) -> None:
    await depot.stocked("V1", 10)
    depot.tick(days=1)
    day = depot.now.astimezone(ZoneInfo("Asia/Shanghai")).date()
    accepted(await depot.post("/v1/receipts", {"sku": "V1", "quantity": 5}))
    accepted(await depot.post("/v1/adjustments", {"sku": "V1", "quantity": -1, "reason": "lost"}))
    accepted(await depot.reserve("v-1", ("V1", 2)))
    body = await depot.get("/v1/reconciliation", day=str(day), limit=500)
    (line,) = [item for item in body["items"] if item["sku"] == "V1"]
    assert {k: line[k] for k in ("opening", "receipts", "adjustments", "shipped", "closing", "reserved")} == {
        "opening": 10,
        "receipts": 5,
        "adjustments": -1,
        "shipped": 0,
        "closing": 14,
        "reserved": 2,
    }
    assert line["mismatches"] == []
    assert body["mismatch_count"] == 0


async def test_a_day_that_is_over_is_reconciled_once_and_what_differs_is_told(depot: Depot) -> None:
    await depot.stocked("W1", 10)
    depot.tick(days=1)
    await depot.reconcile()
    await depot.sql("UPDATE inventory.level SET short = 3 WHERE sku = 'W1'")
    await depot.events()
    await depot.reconcile()
    assert await depot.events() == [], "that day has been done"
    depot.tick(days=1)
    await depot.reconcile()
    told = [e for e in await depot.events() if isinstance(e, StockMismatched)]
    assert [(e.sku, e.kind, e.expected, e.found) for e in told] == [("W1", "short", 0, 3)]
    await depot.sql("UPDATE inventory.level SET short = 0 WHERE sku = 'W1'")


async def test_opening_stock_of_a_whole_catalogue_is_two_calls(depot: Depot) -> None:
    skus = [{"sku": f"BULK{n}", "title": f"Bulk {n}", "price_cents": 100} for n in range(3_900)]
    receipts = [{"receipt_id": f"bulk-{n}", "sku": f"BULK{n}", "quantity": 50} for n in range(3_900)]
    accepted(await depot.call("PUT", "/v1/skus", json=skus))
    body = accepted(await depot.post("/v1/receipts", receipts))
    assert {item["status"] for item in body["items"]} == {"applied"}
