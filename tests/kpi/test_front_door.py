"""Traffic over HTTP: what is accepted is on the bus before the answer, what is refused is listed, nothing leaks."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.kpi.conftest import KpiService

VIEW: dict[str, Any] = {
    "type": "page.viewed",
    "time": "2024-07-01T10:00:00+08:00",
    "visitor_id": "v-1",
    "url_path": "/p/A001",
    "page_kind": "product",
    "sku": "A001",
}
STRUCTURED: dict[str, Any] = {
    "specversion": "1.0",
    "source": "/shop",
    "type": "page.viewed.v1",
    "time": "2024-07-01T10:00:00+08:00",
    "data": {"visitor_id": "v-2", "url_path": "/", "page_kind": "home"},
}
SPEND: dict[str, Any] = {
    "specversion": "1.0",
    "source": "/ads",
    "type": "ad.spent.v1",
    "time": "2024-07-02T01:00:00+08:00",
    "data": {
        "channel": "paid",
        "day": "2024-07-01",
        "impressions": 1000,
        "clicks": 50,
        "spend_cents": 30000,
        "currency": "CNY",
    },
}


def view(event_id: str, **changes: Any) -> dict[str, Any]:
    return {"id": event_id, **VIEW, **changes}


async def accepted(kpi: KpiService, *ids: str) -> list[Any]:
    """The events with these ids on topic traffic, in the order of the ids."""
    events = {event.id: event for event in await kpi.events("traffic")}
    return [events[event_id] for event_id in ids if event_id in events]


async def test_the_short_form_is_on_the_bus_before_the_answer(kpi: KpiService) -> None:
    answer = await kpi.post("/v1/events", [view("s-1"), view("s-2", visitor_id="v-9")])
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "rejected": 0, "items": []})
    first, second = await accepted(kpi, "s-1", "s-2")
    assert (first.store, first.source, first.subject) == ("demo", "/stores/demo/traffic", "v-1")
    assert second.subject == "v-9"
    assert first.time == datetime(2024, 7, 1, 2, tzinfo=UTC)
    assert abs(first.recorded_time - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/cloudevents+json", {"id": "c-1", **STRUCTURED}),
        ("application/cloudevents-batch+json", [{"id": "c-2", **STRUCTURED}]),
        ("application/json", [{"id": "c-3", **STRUCTURED}]),
    ],
)
async def test_cloudevents_are_taken_one_by_one_and_in_batches(kpi: KpiService, content_type: str, body: Any) -> None:
    answer = await kpi.post("/v1/events", content=json.dumps(body).encode(), content_type=content_type)
    assert answer.json()["accepted"] == 1
    event_id = body["id"] if isinstance(body, dict) else body[0]["id"]
    (event,) = await accepted(kpi, event_id)
    assert (event.source, event.subject) == ("/shop", "v-2")


async def test_a_cloudevent_in_binary_mode_is_taken(kpi: KpiService) -> None:
    answer = await kpi.post(
        "/v1/events",
        STRUCTURED["data"],
        ce_specversion="1.0",
        ce_id="b-1",
        ce_source="/shop",
        ce_type="page.viewed.v1",
        ce_time="2024-07-01T10:00:00Z",
    )
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert len(await accepted(kpi, "b-1")) == 1


async def test_only_what_was_refused_is_listed(kpi: KpiService) -> None:
    answer = await kpi.post("/v1/events", [view("m-1"), view("m-2", time="2024-07-01T10:00:00"), view("m-3")])
    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 2,
        "rejected": 1,
        "items": [
            {
                "index": 1,
                "id": "m-2",
                "code": "validation",
                "pointer": "/time",
                "message": "not a time with offset",
            }
        ],
    }
    assert len(await accepted(kpi, "m-1", "m-2", "m-3")) == 2


async def test_all_refused_is_422_with_the_same_body(kpi: KpiService) -> None:
    answer = await kpi.post("/v1/events", [view("r-1", page_kind="shop")])
    assert answer.status_code == 422
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (0, 1)
    assert answer.json()["items"][0]["pointer"] == "/page_kind"
    assert answer.json()["code"] == "validation"


async def test_an_empty_batch_is_202_with_zeros(kpi: KpiService) -> None:
    answer = await kpi.post("/v1/events", [])
    assert (answer.status_code, answer.json()) == (202, {"accepted": 0, "rejected": 0, "items": []})


async def test_a_thousand_items_are_taken_and_one_more_is_413(kpi: KpiService) -> None:
    assert (await kpi.post("/v1/events", [view(f"k-{n}") for n in range(1000)])).json()["accepted"] == 1000
    assert (await kpi.post("/v1/events", [view(f"l-{n}") for n in range(1001)])).status_code == 413


@pytest.mark.parametrize("raw", [b"[{]", b'[{"id":"a","id":"b"}]', b"[NaN]", b"\xff"])
async def test_what_is_no_strict_json_is_400(kpi: KpiService, raw: bytes) -> None:
    answer = await kpi.post("/v1/events", content=raw, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


async def test_another_content_type_is_415(kpi: KpiService) -> None:
    answer = await kpi.post("/v1/events", content=b"a=b", content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media")


async def test_types_of_other_owners_are_refused_by_their_type(kpi: KpiService) -> None:
    order = {**STRUCTURED, "id": "o-1", "type": "order.paid.v1"}
    answer = await kpi.post("/v1/events", [order, {"id": "c-9", **STRUCTURED}])
    assert (answer.json()["accepted"], answer.json()["items"][0]["pointer"]) == (1, "/type")


async def test_an_event_of_another_store_is_refused(kpi: KpiService) -> None:
    answer = await kpi.post("/v1/events", [{**STRUCTURED, "id": "x-1", "store": "other"}])
    assert (answer.status_code, answer.json()["items"][0]["pointer"]) == (422, "/store")


async def test_an_event_from_the_future_is_accepted_to_be_quarantined(kpi: KpiService) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert (await kpi.post("/v1/events", [view("f-1", time=ahead)])).json()["accepted"] == 1


async def test_what_is_personal_never_reaches_the_bus(kpi: KpiService) -> None:
    await kpi.post(
        "/v1/events",
        [
            view(
                "p-1", url_path="/u/13800005678?mail=li@example.com", customer_id="13800005678", source="li@example.com"
            ),
            view("p-2", customer_id="13800005678", page_kind="nonsense"),
            view("p-3", customer_id="c-9", url_path="/p/A001?utm=1#x", time="2024-07-01T10:00:00Z"),
        ],
    )
    raw = b"".join(record.value for record in await kpi.records("traffic"))
    for canary in (b"13800005678", b"li@example.com", b"utm=1"):
        assert canary not in raw
    (event,) = await accepted(kpi, "p-1")
    assert event.data.customer_id.startswith("h_")
    assert (await accepted(kpi, "p-3"))[0].data.customer_id == "c-9"


async def test_an_operator_names_the_store(kpi: KpiService) -> None:
    assert (await kpi.post("/v1/events", [view("op-0")], key="operator")).status_code == 422
    assert (await kpi.post("/v1/events?store=other", [view("op-1")], key="operator")).json()["accepted"] == 1
    assert (await accepted(kpi, "op-1"))[0].store == "other"
    assert (await kpi.post("/v1/events?store=other", [view("op-2")])).status_code == 403


async def test_an_operators_events_may_each_name_their_store(kpi: KpiService) -> None:
    named = [{"id": f"on-{store}", **STRUCTURED, "store": store} for store in ("demo", "other", "nowhere")]
    answer = await kpi.post("/v1/events", [*named, {"id": "on-none", **STRUCTURED}, view("on-short")], key="operator")
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    assert [(item["id"], item["pointer"]) for item in answer.json()["items"]] == [
        ("on-nowhere", "/store"),
        ("on-none", "/store"),
        ("on-short", ""),
    ]
    assert [event.store for event in await accepted(kpi, "on-demo", "on-other")] == ["demo", "other"]
    spend = [{"id": "on-ad", **SPEND, "store": "other"}]
    assert (await kpi.post("/v1/events", spend, key="operator")).json()["accepted"] == 1
    assert "other" in [event.store for event in await kpi.waiting("marketing")]


@pytest.mark.parametrize(("key", "status"), [("reader", 403), ("public", 403), ("", 401)])
async def test_only_a_key_that_may_write_traffic_gets_in(kpi: KpiService, key: str, status: int) -> None:
    assert (await kpi.post("/v1/events", [view("n-1")], key=key)).status_code == status


async def test_spend_is_taken_beside_traffic_and_goes_through_the_outbox(kpi: KpiService) -> None:
    answer = await kpi.post("/v1/events", [{"id": "ad-1", **SPEND}, {"id": "c-10", **STRUCTURED}])
    assert answer.json()["accepted"] == 2
    assert "ad-1" in [event.id for event in await kpi.waiting("marketing")]


async def test_spend_needs_the_right_to_write_figures(kpi: KpiService) -> None:
    answer = await kpi.post("/v1/events", [{"id": "ad-2", **SPEND}], key="traffic")
    assert (answer.status_code, answer.json()["items"][0]["pointer"]) == (422, "/type")


async def test_spend_of_an_hour_that_the_stores_clock_skips_is_refused(kpi: KpiService) -> None:
    data = {**{name: value for name, value in SPEND["data"].items() if name != "day"}, "hour": "2024-03-10T02"}
    answer = await kpi.post("/v1/events", [{"id": "ad-3", **SPEND, "data": data}], key="york")
    assert answer.json()["items"][0]["pointer"] == "/data/hour"


# the beacon


async def test_the_beacon_takes_text_plain_with_a_public_key_in_the_address(kpi: KpiService) -> None:
    before = datetime.now(UTC)
    item = {name: value for name, value in view("be-1").items() if name != "time"}
    answer = await kpi.client.post(
        f"/v1/collect?key={kpi.keys['public']}",
        content=json.dumps([{**item, "age_ms": 60_000}]),
        headers={"content-type": "text/plain;charset=UTF-8", "origin": "https://shop.example"},
    )
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (202, "*")
    (event,) = await accepted(kpi, "be-1")
    assert before - timedelta(minutes=1) <= event.time <= datetime.now(UTC) - timedelta(seconds=59)


async def test_the_beacon_needs_no_content_type(kpi: KpiService) -> None:
    item = {name: value for name, value in view("be-2").items() if name != "time"}
    answer = await kpi.client.post(f"/v1/collect?key={kpi.keys['public']}", content=json.dumps([item]))
    assert answer.json()["accepted"] == 1


async def test_a_browsers_clock_is_never_used(kpi: KpiService) -> None:
    answer = await kpi.client.post(f"/v1/collect?key={kpi.keys['public']}", json=[view("be-3")])
    assert (answer.status_code, answer.json()["items"][0]["pointer"]) == (422, "/time")


async def test_a_page_may_ask_before_it_sends(kpi: KpiService) -> None:
    answer = await kpi.client.options("/v1/collect?key=x", headers={"origin": "https://shop.example"})
    assert answer.status_code == 204
    assert "POST" in answer.headers["access-control-allow-methods"]


async def test_a_refused_beacon_can_be_read_by_its_page(kpi: KpiService) -> None:
    answer = await kpi.client.post("/v1/collect?key=ow_nonsense_00", json=[])
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "*")


async def test_the_script_is_small_and_cached(kpi: KpiService) -> None:
    answer = await kpi.client.get("/v1/collect.js")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert len(answer.content) < 3072
    assert b"document.cookie" not in answer.content
    again = await kpi.client.get("/v1/collect.js", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


async def test_the_document_shows_what_the_door_takes(kpi: KpiService) -> None:
    paths = (await kpi.client.get("/openapi.json")).json()["paths"]
    events = paths["/v1/events"]["post"]["requestBody"]["content"]
    for content_type, shown in events.items():
        example = json.dumps(shown["example"]).encode()
        answer = await kpi.post("/v1/events", content=example, content_type=content_type)
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1), content_type
    beacon = paths["/v1/collect"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert (await kpi.client.post(f"/v1/collect?key={kpi.keys['public']}", json=beacon)).status_code == 202
    spend = paths["/v1/ad-spend"]["post"]["requestBody"]["content"]["text/csv"]["example"]
    assert (await kpi.post("/v1/ad-spend", content=spend.encode(), content_type="text/csv")).status_code == 201
    assert list(paths["/v1/collect.js"]["get"]["responses"]["200"]["content"]) == ["text/javascript"]
