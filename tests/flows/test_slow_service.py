"""A question that nobody answers reaches the chat by itself: once for each ruler, and the answer ends it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.flows.conftest import verified
from tests.support.services import Platform
from tests.support.storefront import Storefront, good, until
from tests.support.webhooks import SECRET, signed_target

PATIENCE_SECONDS = 40.0
"""A beat comes every 5 s, the clocks are looked at every second."""


def event(n: int, kind: str, at: datetime, **data: Any) -> dict[str, Any]:
    about = {"conversation_id": "slow-1", **data}
    envelope = {"specversion": "1.0", "id": f"slow-{n}", "source": "/chat", "type": kind, "time": at.isoformat()}
    return {**envelope, "data": about}


async def bring(platform: Platform, *events: dict[str, Any]) -> None:
    headers = {"content-type": "application/cloudevents-batch+json"}
    answer = await platform.client("alerts").post(
        "/v1/events", params={"store": "demo"}, json=list(events), headers=headers
    )
    assert good(answer)["accepted"] == len(events)


async def test_slow_service_is_told_once_a_ruler_and_its_end_once(platform: Platform, shop: Storefront) -> None:
    asked = datetime.now(UTC) - timedelta(minutes=10, seconds=5)
    three_minutes = [{"class": "pre_sale", "kind": "first_response", "seconds": 180}]
    await shop.put("alerts", "/v1/sla-policies/marketplace", {"limits": three_minutes})
    async with signed_target() as target:
        routes = [{"rules": ["response_presale"], "severity": "info"}]
        ops = {"kind": "webhook", "url": target.url, "secret": SECRET, "language": "en", "routes": routes}
        await shop.put("alerts", "/v1/channels/desk", ops)
        opened = event(1, "conversation.opened.v1", asked, customer_id="c-9", topic_class="pre_sale", via="chat")
        bot = event(2, "message.replied.v1", asked, message_id="m-1", is_automatic=True)
        await bring(platform, opened, bot)

        async def told(count: int) -> bool:
            return len(target.arrivals) >= count

        await until(lambda: told(2), PATIENCE_SECONDS)
        first = {arrival.body["data"]["about"]["policy"]: arrival.body for arrival in target.arrivals}
        assert {name: body["type"] for name, body in first.items()} == dict.fromkeys(
            ("default", "marketplace"), "incident.opened"
        )
        assert "no reply within 3 min" in first["marketplace"]["data"]["title"]
        await bring(platform, event(3, "message.replied.v1", datetime.now(UTC), message_id="m-2", agent_id="7"))
        await until(lambda: told(4), PATIENCE_SECONDS)
        assert sorted(arrival.body["type"] for arrival in target.arrivals) == [
            *["incident.opened"] * 2,
            *["incident.recovered"] * 2,
        ]
        shown = await shop.get("alerts", "/v1/conversations/slow-1")
        assert [(c["policy"], c["state"], c["agent_id"]) for c in shown["clocks"]] == [
            ("default", "breached", "7"),
            ("marketplace", "breached", "7"),
        ]
        await shop.put("alerts", "/v1/channels/desk", {**ops, "enabled": False})
    await verified(platform)
