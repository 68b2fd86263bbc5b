"""Stores (D4)."""

from typing import Any

from tests.orders.conftest import Shop, accepted, refused

SHANGHAI = {"name": "New", "timezone": "Asia/Shanghai", "currency": "CNY", "language": "zh"}


async def put(shop: Shop, store: str, body: dict[str, Any], key: str = "operator") -> Any:
    async with shop.client(key) as client:
        return await client.put(f"/v1/stores/{store}", json=body)


async def test_a_store_is_made_changed_and_told(shop: Shop) -> None:
    assert (await put(shop, "new", SHANGHAI)).status_code == 201
    assert (await put(shop, "new", SHANGHAI)).status_code == 200
    body = accepted(await put(shop, "new", {**SHANGHAI, "timezone": "Europe/London", "currency": "GBP"}))
    assert (body["store"], body["timezone"]) == ("new", "Europe/London")
    told = [e for e in await shop.events("new") if e.type == "store.changed.v1"]
    assert [(e.store, e.data.timezone, e.data.currency) for e in told] == [
        ("new", "Asia/Shanghai", "CNY"),
        ("new", "Europe/London", "GBP"),
    ]


async def test_zone_and_currency_are_fixed_once_the_store_has_events(shop: Shop) -> None:
    await shop.place("o-fix")
    demo = {"name": "Demo", "timezone": "Asia/Shanghai", "currency": "CNY", "language": "en"}
    refused(await put(shop, "demo", {**demo, "timezone": "Asia/Tokyo"}), 409, "conflict")
    refused(await put(shop, "demo", {**demo, "currency": "USD"}), 409, "conflict")
    assert accepted(await put(shop, "demo", demo))["language"] == "en"


async def test_only_an_operator_with_admin_makes_stores(shop: Shop) -> None:
    refused(await put(shop, "mine", SHANGHAI, key="demo"), 403, "forbidden")


async def test_a_zone_that_does_not_exist_is_refused(shop: Shop) -> None:
    for zone in ("Mars/Olympus", "../../etc/passwd", "", "posixrules/"):
        refused(await put(shop, "mars", {**SHANGHAI, "timezone": zone}), 422, "validation")
    refused(await put(shop, "mars", {**SHANGHAI, "currency": "yuan"}), 422, "validation")
