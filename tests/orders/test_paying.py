"""Payments, the stock they buy, and money that goes back (D15 to D17, D70, D82)."""

from datetime import datetime, timedelta

import pytest

from libs.events.contracts import PolicyChanged, StockAllocated, StockRefused
from libs.events.contracts.inventory import RefusedLine
from tests.orders.conftest import Shop, accepted, line_json, payment_json, pointers, refused
from tests.orders.samples import NOON


async def test_a_payment_of_the_total_pays_the_order_and_allocates_its_stock(shop: Shop) -> None:
    await shop.place("p-1")
    response = await shop.post("/v1/orders/p-1/payments", payment_json("pay-1", 15_600))
    body = accepted(response)
    assert response.status_code == 201
    assert (body["payment_id"], body["status"], body["order"]["status"]) == ("pay-1", "succeeded", "paid")
    assert (body["order"]["paid_cents"], body["order"]["hold_expires_at"]) == (15_600, None)
    assert shop.shelf.calls[-1] == "allocate p-1~0"
    assert (await shop.types("p-1"))[2:] == ["payment.succeeded.v1", "order.paid.v1"]
    paid = (await shop.events("p-1"))[-1]
    assert paid.data.ship_due_at == shop.now + timedelta(hours=48)
    assert paid.data.is_first_order is True


async def test_the_next_order_of_the_customer_is_not_his_first(shop: Shop) -> None:
    for number in (1, 2):
        await shop.place(f"p-first-{number}", customer_id="c-first")
        await shop.pay(f"p-first-{number}")
    told = [(await shop.events(f"p-first-{number}"))[-1].data.is_first_order for number in (1, 2)]
    assert told == [True, False]


async def test_a_repeated_payment_gets_the_first_answer_and_counts_once(shop: Shop) -> None:
    await shop.place("p-twice")
    first = await shop.post("/v1/orders/p-twice/payments", payment_json("pay-twice", 15_600))
    again = await shop.post("/v1/orders/p-twice/payments", payment_json("pay-twice", 15_600))
    assert (again.status_code, again.text) == (201, first.text)
    refused(await shop.post("/v1/orders/p-twice/payments", payment_json("pay-twice", 1)), 409, "conflict")
    assert (await shop.types("p-twice")).count("payment.succeeded.v1") == 1


async def test_a_payment_id_belongs_to_one_order(shop: Shop) -> None:
    await shop.place("p-mine")
    await shop.place("p-yours")
    accepted(await shop.post("/v1/orders/p-mine/payments", payment_json("pay-mine", 100)))
    refused(await shop.post("/v1/orders/p-yours/payments", payment_json("pay-mine", 100)), 409, "conflict")


async def test_a_failed_payment_is_told(shop: Shop) -> None:
    await shop.place("p-failed")
    order = await shop.pay("p-failed", status="failed", reason="call 13800005678")
    assert (order["status"], order["paid_cents"]) == ("placed", 0)
    told = (await shop.events("p-failed"))[-1]
    assert (told.type, told.data.reason) == ("payment.failed.v1", "call 138****5678")


async def test_a_payment_in_another_currency_or_from_the_future_is_refused(shop: Shop) -> None:
    await shop.place("p-bad")
    path = "/v1/orders/p-bad/payments"
    problem = refused(await shop.post(path, payment_json("pay-bad", 1, currency="USD")), 422, "validation")
    assert pointers(problem) == ["/currency"]
    late = (shop.now + timedelta(minutes=6)).isoformat()
    problem = refused(await shop.post(path, payment_json("pay-bad", 1, paid_at=late)), 422, "validation")
    assert pointers(problem) == ["/paid_at"]
    problem = refused(await shop.post(path, payment_json("pay-bad", -1)), 422, "validation")
    assert pointers(problem) == ["/amount_cents"]


async def test_a_payment_for_an_unknown_order_is_not_found(shop: Shop) -> None:
    refused(await shop.post("/v1/orders/nowhere/payments", payment_json("pay-x", 1)), 404, "not_found")


async def test_a_late_payment_gets_its_stock_anew(shop: Shop) -> None:
    await shop.place("p-late")
    shop.shelf.expire("p-late~0")
    order = await shop.pay("p-late")
    assert (order["status"], order["reservation_id"]) == ("paid", "p-late~1")


async def test_a_late_payment_without_stock_makes_the_order_unfulfillable_at_once(shop: Shop) -> None:
    await shop.place("p-none", lines=[{"sku": "B002", "quantity": 2, "unit_price_cents": 7_800}])
    left, shop.shelf.units["B002"] = shop.shelf.units["B002"], 0
    shop.shelf.expire("p-none~0")
    shop.shelf.units["B002"] = 1
    order = await shop.pay("p-none")
    shop.shelf.units["B002"] = left
    assert order["status"] == "paid_unfulfillable"
    told = (await shop.events("p-none"))[-1]
    assert (told.type, told.data.lines[0].sku, told.data.lines[0].quantity) == ("order.unfulfillable.v1", "B002", 1)
    again = accepted(await shop.post("/v1/orders/p-none/payments", payment_json("p-p-none", 15_600)))
    assert again["order"] == order, "the repeat shows the end state too"


async def test_a_backorder_waits_until_inventory_has_everything(shop: Shop) -> None:
    order = await _unfulfillable(shop, "p-back")
    assert order["status"] == "paid_unfulfillable"
    order = accepted(await shop.post("/v1/orders/p-back/backorder"))
    assert (order["status"], order["backordered_at"] is not None) == ("paid_unfulfillable", True)
    again = accepted(await shop.post("/v1/orders/p-back/backorder"))
    assert again == order

    shop.shelf.units["B002"] = 0
    await shop.run_timers()
    waiting = accepted(await shop.get("/v1/orders/p-back"))
    assert (waiting["status"], waiting["reservation_id"]) == ("paid_unfulfillable", "p-back~2")

    shop.shelf.units["B002"] = 10**6
    shop.shelf.fill("p-back~2")
    await shop.hear(StockAllocated(reservation_id="p-back~2", order_id="p-back", lines=()))
    await shop.run_timers()
    order = accepted(await shop.get("/v1/orders/p-back"))
    assert (order["status"], order["backordered_at"]) == ("paid", None)
    assert await shop.sql("SELECT kind FROM orders.timers WHERE order_id = 'p-back'") == []


async def test_a_full_refund_ends_an_unfulfillable_order(shop: Shop) -> None:
    await _unfulfillable(shop, "p-ended")
    body = accepted(await shop.post("/v1/orders/p-ended/refunds", {"refund_id": "f-ended", "amount_cents": 15_600}))
    assert (body["order"]["status"], body["items_cents"]) == ("cancelled", 15_600)
    assert (await shop.types("p-ended"))[-2:] == ["refund.issued.v1", "order.cancelled.v1"]


async def _unfulfillable(shop: Shop, order_id: str) -> dict[str, object]:
    await shop.place(order_id, lines=[{"sku": "B002", "quantity": 2, "unit_price_cents": 7_800}])
    shop.shelf.expire(f"{order_id}~0")
    shop.shelf.units["B002"] = 0
    order = await shop.pay(order_id)
    shop.shelf.units["B002"] = 10**6
    return order


async def test_with_inventory_away_the_answer_says_paid_and_the_event_decides_later(shop: Shop) -> None:
    await shop.place("p-dark")
    shop.shelf.is_away = True
    order = await shop.pay("p-dark")
    shop.shelf.is_away = False
    assert order["status"] == "paid"
    line = RefusedLine(sku="A001", wanted=2, available=0)
    told = StockRefused(reservation_id="p-dark~1", order_id="p-dark", lines=(line,))
    await shop.hear(told, told)
    assert accepted(await shop.get("/v1/orders/p-dark"))["status"] == "paid_unfulfillable"
    assert (await shop.types("p-dark")).count("order.unfulfillable.v1") == 1


async def test_an_order_cancelled_while_its_stock_was_asked_for_gives_it_back(shop: Shop) -> None:
    await shop.place("p-gone")
    shop.shelf.expire("p-gone~0")
    hold = shop.shelf.hold

    async def cancelled_meanwhile(store: str, request: object) -> object:
        made = await hold(store, request)  # type: ignore[arg-type]
        accepted(await shop.post("/v1/orders/p-gone/cancel", {"reason": "changed my mind", "by": "customer"}))
        return made

    shop.shelf.hold = cancelled_meanwhile  # type: ignore[assignment,method-assign]
    await shop.pay("p-gone")
    shop.shelf.hold = hold  # type: ignore[method-assign]
    assert shop.shelf.kept["p-gone~1"].reservation.status == "released"


async def test_money_for_a_cancelled_order_is_kept_and_takes_no_stock(shop: Shop) -> None:
    await shop.place("p-dead")
    accepted(await shop.post("/v1/orders/p-dead/cancel", {"reason": "no", "by": "customer"}))
    calls = len(shop.shelf.calls)
    order = await shop.pay("p-dead")
    assert (order["status"], order["paid_cents"], len(shop.shelf.calls)) == ("cancelled", 15_600, calls)
    assert "order.paid.v1" not in await shop.types("p-dead")


async def test_the_promise_is_what_the_store_decided_last(shop: Shop) -> None:
    await shop.hear(promise(24))
    await shop.hear(promise(12), at=shop.now - timedelta(days=1))
    await shop.place("p-promise")
    order = await shop.pay("p-promise", paid_at=shop.now.isoformat())
    await shop.hear(promise(48), at=shop.now + timedelta(seconds=1))
    assert datetime.fromisoformat(order["ship_due_at"]) == shop.now + timedelta(hours=24)


def promise(hours: int) -> PolicyChanged:
    return PolicyChanged(
        policy_id="ship_promise", kind="ship_promise", after={"value": hours}, by="li", valid_from=NOON
    )


async def test_an_unpaid_order_is_cancelled_a_day_after_it_was_accepted(shop: Shop) -> None:
    await shop.place("p-unpaid", placed_at=(shop.now - timedelta(days=3)).isoformat())
    await shop.run_timers()
    assert accepted(await shop.get("/v1/orders/p-unpaid"))["status"] == "placed"
    shop.wait(hours=24)
    await shop.run_timers()
    order = accepted(await shop.get("/v1/orders/p-unpaid"))
    assert (order["status"], order["cancelled_by"]) == ("cancelled", "timeout")
    assert await shop.sql("SELECT 1 FROM orders.timers WHERE order_id = 'p-unpaid'") == []


async def test_an_old_imported_order_is_not_timed_out(shop: Shop) -> None:
    body = {"order_id": "p-old", "origin": "tmall", "currency": "CNY", "placed_at": "2024-06-01T00:00:00Z"}
    lines = [{"sku": "A001", "quantity": 1, "unit_price_cents": 1}]
    accepted(await shop.post("/v1/orders?import_id=history", {**body, "lines": lines}))
    shop.wait(hours=30)
    await shop.run_timers()
    assert accepted(await shop.get("/v1/orders/p-old"))["status"] == "placed"
    assert {e.import_id for e in await shop.events("p-old")} == {"history"}


async def test_a_refund_is_at_most_what_was_paid_and_is_told(shop: Shop) -> None:
    await shop.place("p-refund", shipping_cents=1_000)
    await shop.pay("p-refund", 16_600)
    path = "/v1/orders/p-refund/refunds"
    body = accepted(await shop.post(path, {"refund_id": "f-1", "amount_cents": 16_000, "reason": "late"}))
    assert (body["items_cents"], body["order"]["refunded_cents"]) == (15_600, 16_000)
    assert (await shop.events("p-refund"))[-1].data.currency == "CNY"
    problem = refused(await shop.post(path, {"refund_id": "f-2", "amount_cents": 601}), 422, "validation")
    assert pointers(problem) == ["/amount_cents"]
    again = accepted(await shop.post(path, {"refund_id": "f-1", "amount_cents": 16_000, "reason": "late"}))
    assert again == body


async def test_the_day_lists_what_does_not_fit(shop: Shop) -> None:
    shop.wait(days=30)
    at = shop.now.isoformat()
    await shop.place("rec-more", placed_at=at)
    await shop.pay("rec-more", 15_700, paid_at=at)
    await shop.place("rec-part", placed_at=at)
    await shop.pay("rec-part", 100, paid_at=at)
    await shop.place("rec-fine", placed_at=at)
    await shop.pay("rec-fine", paid_at=at)
    accepted(await shop.post("/v1/orders/rec-fine/refunds", {"refund_id": "rec-f", "amount_cents": 100}))
    day = (shop.now + timedelta(hours=8)).date().isoformat()
    found = accepted(await shop.get("/v1/reconciliation", day=day))
    kinds = {item["order_id"]: item["kind"] for item in found["items"]}
    assert kinds == {
        "rec-more": "other_amount_paid",
        "rec-part": "paid_in_part",
        "rec-fine": "refund_without_return",
    }
    assert (found["payments"], found["payments_cents"], found["refunds_cents"]) == (3, 31_400, 100)


async def test_each_list_of_the_day_is_there_and_a_payment_leaves_it_when_its_order_comes(shop: Shop) -> None:
    shop.wait(days=30)
    at = shop.now.isoformat()
    day = (shop.now + timedelta(hours=8)).date().isoformat()
    await shop.place("lists-more", placed_at=at)
    await shop.pay("lists-more", 15_700, paid_at=at)
    stray = payment_json("p-stray", 700, paid_at=at)
    for _ in range(2):
        refused(await shop.post("/v1/orders/lists-late/payments", stray), 404, "not_found")
    failed = payment_json("p-failed", 700, paid_at=at, status="failed")
    refused(await shop.post("/v1/orders/lists-late/payments", failed), 404, "not_found")
    found = accepted(await shop.get("/v1/reconciliation", day=day))
    assert [(i["order_id"], i["payment_id"], i["found_cents"]) for i in found["paid_without_order"]] == [
        ("lists-late", "p-stray", 700)
    ]
    assert [(i["order_id"], i["expected_cents"], i["found_cents"]) for i in found["paid_other_amount"]] == [
        ("lists-more", 15_600, 15_700)
    ]
    assert found["counts"] == {"paid_without_order": 1, "paid_other_amount": 1, "refund_without_return": 0}
    assert await shop.events("lists-late") == []
    await shop.place("lists-late", placed_at=at, lines=[line_json("A001", 1, 700)])
    accepted(await shop.post("/v1/orders/lists-late/payments", stray))
    assert accepted(await shop.get("/v1/reconciliation", day=day))["paid_without_order"] == []
    assert accepted(await shop.get("/v1/reconciliation", day=day, key="other"))["items"] == []


@pytest.mark.parametrize("day", ["", "2024-07", "2024-02-30", "yesterday"])
async def test_a_day_that_is_none_is_refused(shop: Shop, day: str) -> None:
    refused(await shop.get("/v1/reconciliation", day=day), 422, "validation")
