"""Reading orders: lists, versions, other stores, personal data (P7, P12)."""

from datetime import timedelta
from typing import Any

import pytest

from tests.orders.conftest import ZHANG, Shop, accepted, order_json, refused
from tests.orders.samples import NOON


async def test_lists_go_newest_first_by_store_days_and_pages(shop: Shop) -> None:
    for number in range(5):
        at = NOON + timedelta(hours=number * 6)
        await shop.place(f"l-{number}", customer_id="c-list", placed_at=at.isoformat()) if at <= shop.now else None
        shop.wait(hours=6)
    for number in range(1, 5):
        at = NOON + timedelta(hours=number * 6)
        await shop.place(f"l-{number}", customer_id="c-list", placed_at=at.isoformat())
    first = await shop.get("/v1/orders", customer_id="c-list", limit=2)
    page = accepted(first)
    assert [o["order_id"] for o in page["items"]] == ["l-4", "l-3"]
    assert 'rel="next"' in first.headers["link"]
    rest = accepted(await shop.get("/v1/orders", customer_id="c-list", cursor=page["next_cursor"]))
    assert ([o["order_id"] for o in rest["items"]], rest["next_cursor"]) == (["l-2", "l-1", "l-0"], None)
    day = accepted(await shop.get("/v1/orders", customer_id="c-list", **{"from": "2024-07-02", "to": "2024-07-02"}))
    assert [o["order_id"] for o in day["items"]] == ["l-4", "l-3", "l-2"], "the store's day begins at 16:00 UTC"


async def test_a_status_selects(shop: Shop) -> None:
    await shop.place("l-paid", customer_id="c-status")
    await shop.pay("l-paid")
    await shop.place("l-open", customer_id="c-status")
    found = accepted(await shop.get("/v1/orders", customer_id="c-status", status="paid"))
    assert [o["order_id"] for o in found["items"]] == ["l-paid"]


@pytest.mark.parametrize(
    "question",
    [
        {"status": "lost"},
        {"from": "yesterday"},
        {"from": "2024-07-01T00:00:00Z"},
        {"from": "2024-07-02", "to": "2024-07-01"},
        {"cursor": "x"},
        {"limit": "0"},
        {"limit": "501"},
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(shop: Shop, question: dict[str, str]) -> None:
    refused(await shop.get("/v1/orders", **question), 422, "validation")


async def test_an_order_has_a_version(shop: Shop) -> None:
    await shop.place("v-1")
    async with shop.client() as client:
        first = await client.get("/v1/orders/v-1")
        known = await client.get("/v1/orders/v-1", headers={"If-None-Match": first.headers["etag"]})
    assert (first.headers["etag"], known.status_code) == ('"1"', 304)
    await shop.pay("v-1")
    assert (await shop.get("/v1/orders/v-1")).headers["etag"] == '"2"'


async def test_another_stores_order_is_not_found(shop: Shop) -> None:
    await shop.place("x-1")
    refused(await shop.get("/v1/orders/x-1", key="other"), 404, "not_found")
    refused(await shop.post("/v1/orders/x-1/cancel", {"reason": ""}, key="other"), 404, "not_found")
    assert accepted(await shop.get("/v1/orders", key="other"))["items"] == []
    assert accepted(await shop.get("/v1/orders/x-1", key="operator", store="demo"))["order_id"] == "x-1"


async def test_reading_does_not_write(shop: Shop) -> None:
    refused(await shop.post("/v1/orders", order_json("x-2"), key="reader"), 403, "forbidden")


# personal data


async def test_personal_data_is_masked_unless_the_key_may_see_it(shop: Shop) -> None:
    await shop.place("pii-1")
    masked = accepted(await shop.get("/v1/orders/pii-1"))["consignee"]
    assert masked == {"name": "张*", "phone": "138****5678", "province": "浙江", "city": "杭州", "address": "***"}
    assert accepted(await shop.get("/v1/orders/pii-1", key="pii"))["consignee"] == ZHANG
    listed = accepted(await shop.get("/v1/orders", key="pii"))["items"]
    assert ZHANG in [order["consignee"] for order in listed]


async def test_personal_data_is_nowhere_in_the_clear(shop: Shop) -> None:
    """Canaries through the calls; every table of the database is searched (P12)."""
    canary: dict[str, Any] = {
        "name": "Zhang Canary",
        "phone": "13911112222",
        "province": "浙江",
        "city": "杭州",
        "address": "Canary Street 7",
    }
    await shop.place("pii-2", consignee=canary, customer_id="canary@example.com")
    await shop.pay("pii-2", status="failed", reason="call 13911112222")
    body = {"reason": "write to canary@example.com", "by": "customer"}
    accepted(await shop.post("/v1/orders/pii-2/cancel", body))
    names = await shop.sql(
        "SELECT table_schema || '.' || table_name FROM information_schema.tables"
        " WHERE table_schema IN ('orders', 'access')"
    )
    for (name,) in names:
        async with shop.runtime.engine.connect() as session:
            from sqlalchemy import text

            rows = await session.execute(text(f"SELECT t::text, row_to_json(t)::text FROM {name} t"))
            everything = "\n".join(str(row) for row in rows)
        for secret in ("Zhang Canary", "13911112222", "Canary Street", "canary@example.com"):
            assert secret not in everything, f"{secret} in {name}"
            assert secret.encode().hex() not in everything, f"{secret} in {name}"


async def test_personal_data_is_deleted_in_time_and_the_order_stays(shop: Shop) -> None:
    from services.orders.handlers.reactions import forget_personal_data

    await shop.place("pii-3")
    shop.wait(days=181)
    await forget_personal_data(shop.runtime.worker)
    assert accepted(await shop.get("/v1/orders/pii-3", key="pii"))["consignee"] is None
