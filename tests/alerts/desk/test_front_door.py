"""The front door of customer-service events: all modes, refusals by item, masking, quarantine (D3, D5, D7, D8, D46)."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from libs.events.codec import from_record
from tests.alerts.desk.counter import Counter, Json


async def on_the_bus(counter: Counter) -> list[Any]:
    await counter.settle()
    found = [from_record(record) for record in await counter.desk.records("service")]
    return [envelope for envelope in found if envelope.store == counter.store]


async def test_one_event_structured_or_binary_is_taken(counter: Counter) -> None:
    event = counter.opened()
    structured = await counter.desk.call(
        "POST",
        "/v1/events",
        content=json.dumps(event),
        headers={"content-type": "application/cloudevents+json"},
        store=counter.store,
    )
    attributes = {f"ce-{name}": event[name] for name in ("specversion", "source", "type", "time")}
    headers = {**attributes, "ce-id": "b-1", "content-type": "application/json"}
    binary = await counter.desk.call(
        "POST", "/v1/events", content=json.dumps(event["data"]), headers=headers, store=counter.store
    )
    assert (structured.status_code, binary.status_code) == (202, 202)
    assert structured.json() == {"accepted": 1, "rejected": 0, "items": []}
    assert [envelope.id for envelope in await on_the_bus(counter)] == [event["id"], "b-1"]


async def test_bad_items_are_listed_and_never_refuse_the_others(counter: Counter) -> None:
    good = counter.received()
    bad = [
        {**counter.received(), "time": "yesterday"},
        counter.event("order.paid.v1", order_id="o-1"),
        counter.event("message.received.v1", message_id="m-1", mood="bad"),
        {**counter.received(), "store": "other"},
        counter.event("rating.given.v1", score=6),
    ]
    answer = await counter.post(good, *bad)
    assert answer.status_code == 202
    told = answer.json()
    assert (told["accepted"], told["rejected"]) == (1, 5)
    places = [(item["index"], item["code"], item["pointer"]) for item in told["items"]]
    assert places == [
        (1, "validation", "/time"),
        (2, "validation", "/type"),
        (3, "validation", "/data/mood"),
        (4, "validation", "/store"),
        (5, "validation", "/data/score"),
    ]
    assert [envelope.id for envelope in await on_the_bus(counter)] == [good["id"]]


async def test_an_empty_batch_is_nothing_a_long_one_too_much_and_all_bad_is_422(counter: Counter) -> None:
    assert (await counter.post()).json() == {"accepted": 0, "rejected": 0, "items": []}
    assert (await counter.post(*[counter.received()] * 1001)).status_code == 413
    refused = await counter.post({**counter.received(), "type": "nothing.known.v1"})
    assert (refused.status_code, refused.json()["rejected"], refused.json()["items"][0]["pointer"]) == (422, 1, "/type")
    broken = await counter.desk.call(
        "POST",
        "/v1/events",
        content=b"[{",
        headers={"content-type": "application/cloudevents-batch+json"},
        store=counter.store,
    )
    assert (broken.status_code, broken.json()["code"]) == (400, "invalid_json")
    media = await counter.desk.call(
        "POST", "/v1/events", content=b"a,b", headers={"content-type": "text/csv"}, store=counter.store
    )
    assert media.status_code == 415


async def test_what_people_write_is_masked_and_who_they_are_replaced(counter: Counter) -> None:
    await counter.tell(
        counter.opened(customer_id="13800005678", subject="电话13800005678, 请回"),
        counter.event("conversation.resolved.v1", 1, by="7", outcome="mailed li@example.com"),
    )
    opened, resolved = await on_the_bus(counter)
    assert opened.data.customer_id.startswith("h_")
    assert "13800005678" not in opened.data.subject_line
    assert "li@" not in resolved.data.outcome
    shown = await counter.show()
    assert "13800005678" not in json.dumps(shown, ensure_ascii=False)
    assert shown["customer_id"] == opened.data.customer_id


async def test_an_event_from_the_future_is_accepted_put_aside_and_counted(counter: Counter) -> None:
    await counter.tell(counter.opened(), counter.replied(6))
    assert (await counter.clocks())[0]["state"] == "running"
    async with counter.desk.runtime.engine.connect() as session:
        kept = await session.execute(
            text("SELECT type FROM alerts.quarantined WHERE store = :store"), {"store": counter.store}
        )
        assert [row.type for row in kept] == ["message.replied.v1"]
    await counter.tell(counter.replied(4))
    assert (await counter.clocks())[0]["state"] == "met"


@pytest.mark.parametrize("scopes", [["alerts:read", "alerts:write"]])
async def test_only_a_key_for_service_events_may_bring_them(counter: Counter, scopes: list[str]) -> None:
    from libs.service.auth import add_key

    async with counter.desk.runtime.engine.begin() as session:
        key = (await add_key(session, counter.store, scopes)).key
    headers = {"authorization": f"Bearer {key}", "content-type": "application/cloudevents-batch+json"}
    answer = await counter.desk.client.post("/v1/events", json=[counter.received()], headers=headers)
    assert answer.status_code == 403


async def test_an_operator_names_the_store_in_each_event(counter: Counter) -> None:
    from libs.service.auth import add_key

    async with counter.desk.runtime.engine.begin() as session:
        key = (await add_key(session, "*", ["service:write"])).key
    events: list[Json] = [{**counter.opened(), "store": counter.store}, {**counter.opened(), "store": "nowhere"}]
    headers = {"authorization": f"Bearer {key}", "content-type": "application/cloudevents-batch+json"}
    answer = (await counter.desk.client.post("/v1/events", json=events, headers=headers)).json()
    assert (answer["accepted"], [item["pointer"] for item in answer["items"]]) == (1, ["/store"])
    await counter.settle()
    assert (await counter.show())["status"] == "open"


async def test_one_hundred_conversations_in_one_call_are_all_measured(counter: Counter) -> None:
    batch = [counter.opened(conversation_id=f"c-{n}") for n in range(100)]
    await counter.tell(*batch, *(counter.replied(1, conversation_id=f"c-{n}") for n in range(0, 100, 2)))
    await counter.pass_time(minutes=10, seconds=1)
    items = (await counter.get("/v1/sla?by=class"))["items"]
    assert [(row["class"], row["met"], row["breached"]) for row in items] == [("pre_sale", 50, 50)]
    assert timedelta(seconds=items[0]["p50_seconds"]) == timedelta(minutes=1)
