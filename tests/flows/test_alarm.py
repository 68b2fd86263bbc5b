"""A stock level that falls under its safety level reaches the webhook: once, quickly, whoever else does not answer."""

import asyncio
from collections import Counter
from time import monotonic

from tests.flows.conftest import verified
from tests.support.services import Platform
from tests.support.storefront import Storefront, good, until
from tests.support.webhooks import SECRET, hanging_target, signed_target

CLOSED = "http://127.0.0.1:9/hook"
"""Nobody listens there."""
QUICK_SECONDS = 10.0
"""`bench` measures how quick it is; here it must only not wait for the dead ones, whose limit is 5 s a try."""


async def test_low_stock_is_told_once_beside_a_dead_and_a_hanging_webhook(platform: Platform, shop: Storefront) -> None:
    async with signed_target() as target, hanging_target() as hanging:
        for name, url in (("dead", CLOSED), ("hanging", hanging), ("ops", target.url)):
            body = {"kind": "webhook", "url": url, "secret": SECRET, "language": "en"}
            await shop.put("alerts", f"/v1/channels/{name}", body)
        await shop.stock(12, "L-1", safety=10)
        assert (await shop.level("L-1"))["available"] == 12
        began = monotonic()
        good(await shop.place("o-low", ("L-1", 3)))

        async def arrived() -> bool:
            return bool(target.arrivals)

        await until(arrived, QUICK_SECONDS)
        assert target.arrivals[0].at - began < QUICK_SECONDS
        good(await shop.place("o-lower", ("L-1", 1)))
        await asyncio.sleep(1.0)
        (told,) = target.arrivals
        assert told.body["type"] == "incident.opened"
        about = told.body["data"]
        assert (about["rule"], about["about"]) == ("low_stock", {"sku": "L-1"})
        assert about["figures"] == {"available": 9, "safety": 10}
        (incident,) = (await shop.get("alerts", "/v1/incidents", rule="low_stock"))["items"]
        messages = (await shop.get("alerts", f"/v1/incidents/{incident['incident_id']}"))["notifications"]
        assert Counter((m["channel"], m["status"]) for m in messages) == {
            ("ops", "sent"): 1, ("dead", "pending"): 1, ("hanging", "pending"): 1,
        }  # fmt: skip
        for name in ("dead", "hanging", "ops"):
            off = {"kind": "webhook", "url": target.url, "secret": SECRET, "language": "en"}
            await shop.put("alerts", f"/v1/channels/{name}", off)
        await until(lambda: settled(shop, incident["incident_id"]), 60)
        assert sorted(arrival.body["type"] for arrival in target.arrivals) == ["incident.opened"] * 3
    await verified(platform)


async def settled(shop: Storefront, incident_id: str) -> bool:
    """Whether the two that could not be told were told at their new address."""
    messages = (await shop.get("alerts", f"/v1/incidents/{incident_id}"))["notifications"]
    return all(message["status"] == "sent" for message in messages)
