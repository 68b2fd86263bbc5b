"""The fast reading of traffic records gives the same facts as the whole contract, or leaves the record to it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.events.bus import Record
from libs.events.codec import Envelope, Undecodable, UnknownType, from_record, to_message
from libs.events.contracts import BY_TYPE, CartAdded, PageViewed
from libs.events.examples import load_example
from services.kpi.facts import facts_of
from services.kpi.records import VisitEnvelope, read_record

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TRAFFIC = [event for event in BY_TYPE.values() if event.TOPIC == "traffic"]


def record(event: Any, **more: Any) -> Record:
    envelope = Envelope("e-1", "/tests", "demo", event.subject, NOW, NOW + timedelta(seconds=1), event)
    message = to_message(replace(envelope, **more))
    return Record(message.topic, 0, 0, message.key, message.value, message.headers)


def with_header(found: Record, name: str, value: bytes | None) -> Record:
    kept = [(n, v) for n, v in found.headers if n != name]
    return found._replace(headers=tuple(kept if value is None else [*kept, (name, value)]))


EVENTS = [
    PageViewed(visitor_id="v", url_path="/", page_kind="home"),
    PageViewed(visitor_id="v", url_path="/p", page_kind="product", sku="A1", channel="paid", source="抖音", device="x"),
    PageViewed(visitor_id="v", url_path="/", page_kind="home", is_bot=True),
    PageViewed(visitor_id="v", url_path="/", page_kind="home", is_staff=True, campaign="c"),
    CartAdded.model_validate({"visitor_id": "v", "sku": "A1", "lines": [{"sku": "A2"}, {"sku": "A1"}]}),
]


@pytest.mark.parametrize("event", EVENTS, ids=range(len(EVENTS)))
@pytest.mark.parametrize(
    "more", [{}, {"import_id": "i"}, {"time": NOW + timedelta(hours=9)}], ids=["", "import", "future"]
)
def test_both_readings_give_the_same_facts(event: Any, more: dict[str, Any]) -> None:
    found = record(event, **more)
    fast, whole = read_record(found), from_record(found)
    assert isinstance(fast, VisitEnvelope)
    quick, full = facts_of([fast]), facts_of([whole])
    assert quick.batch == full.batch
    assert (quick.stores, quick.accepted) == (full.stores, full.accepted)
    assert len(quick.quarantined) == len(full.quarantined)
    assert (fast.type, fast.subject, fast.topic, fast.import_id) == (
        whole.type,
        whole.subject,
        whole.topic,
        whole.import_id,
    )


@pytest.mark.parametrize("event", TRAFFIC, ids=lambda event: event.TYPE)
def test_every_frozen_example_reads_the_same(event: Any) -> None:
    found = record(event.model_validate(load_example(event)["data"]))
    assert facts_of([read_record(found)]).batch == facts_of([from_record(found)]).batch


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_id", None),
        ("ce_store", b""),
        ("ce_time", b"yesterday"),
        ("ce_time", b"20260101T120000.000+00:00"),
        ("ce_specversion", b"0.3"),
        ("ce_recordedtime", None),
    ],
)
def test_a_damaged_record_is_refused_as_by_the_whole_contract(name: str, value: bytes | None) -> None:
    with pytest.raises(Undecodable):
        read_record(with_header(record(EVENTS[0]), name, value))


def test_a_body_that_is_no_event_is_refused() -> None:
    with pytest.raises(Undecodable):
        read_record(record(EVENTS[0])._replace(value=b'{"visitor_id": 7}'))


def test_an_unknown_type_is_unknown_to_both() -> None:
    with pytest.raises(UnknownType):
        read_record(with_header(record(EVENTS[0]), "ce_type", b"page.dreamt.v1"))


def test_another_way_to_write_a_time_is_read_by_the_whole_contract() -> None:
    found = with_header(record(EVENTS[0]), "ce_time", b"2026-01-01T12:00:00Z")
    assert read_record(found) == from_record(found)
