"""CloudEvents on the wire, with the official SDK as oracle: what one side writes, the other reads."""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.bindings import http as sdk_http
from cloudevents.core.bindings import kafka as sdk_kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events.bus import Message, Record
from libs.events.codec import (
    BATCH,
    JSON,
    STRUCTURED,
    Envelope,
    Undecodable,
    UnknownType,
    UnknownVersion,
    find_contract,
    from_record,
    read_attributes,
    to_message,
    to_structured,
)
from libs.events.contracts import EVENTS, ConversationOpened, Event, OrderPaid, PageViewed, TopicBeat
from libs.events.door import (
    MAX_BATCH,
    Door,
    Incoming,
    Item,
    Refusal,
    TooManyItems,
    UnsupportedMedia,
    parse_http,
)
from libs.events.examples import load_example
from libs.events.strict_json import InvalidJson

AT = datetime.fromisoformat("2024-07-01T10:00:00+08:00")
RECORDED = datetime(2024, 7, 1, 2, 0, 1, 500, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DOOR = Door(EVENTS, store="demo")
SHORT = Door((PageViewed,), store="demo", short_form=True)


def envelope_of(event: type[Event]) -> Envelope[Any]:
    data = event.model_validate(load_example(event)["data"])
    beat = event is TopicBeat
    return Envelope(
        id="e-1",
        source="/stores/演示/traffic",
        store="*" if beat else "demo",
        subject="orders" if beat else data.subject,
        time=AT,
        recorded_time=RECORDED,
        data=data,
        causation_id="cause-1",
        correlation_id="flow-1",
        traceparent=TRACE,
        import_id="import-1",
    )


def fetched(message: Message, offset: int = 0) -> Record:
    return Record(message.topic, 0, offset, message.key, message.value, message.headers)


def record(headers: Mapping[str, bytes], value: bytes = b"{}", topic: str = "orders") -> Record:
    return Record(topic, 0, 0, b"demo/o-1", value, tuple(headers.items()))


# Kafka, binary


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_the_sdk_reads_what_we_put_on_kafka(event: type[Event]) -> None:
    ours = envelope_of(event)
    message = to_message(ours)
    theirs = sdk_kafka.from_kafka(
        sdk_kafka.KafkaMessage(dict(message.headers), message.key, message.value), JSONFormat()
    )
    assert theirs.get_id() == ours.id
    assert theirs.get_source() == ours.source
    assert theirs.get_type() == event.TYPE
    assert theirs.get_time() == ours.time
    assert theirs.get_subject() == ours.subject
    assert theirs.get_extension("store") == ours.store
    assert datetime.fromisoformat(theirs.get_extension("recordedtime")) == ours.recorded_time
    assert theirs.get_extension("importid") == "import-1"
    assert theirs.get_data() == to_structured(ours)["data"]


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_we_read_what_the_sdk_puts_on_kafka(event: type[Event]) -> None:
    ours = envelope_of(event)
    structured = to_structured(ours)
    attributes = {k: v for k, v in structured.items() if k != "data"} | {"time": ours.time}
    theirs = CloudEvent(attributes, structured["data"])
    for mode in (sdk_kafka.to_binary, sdk_kafka.to_structured):
        sent = mode(theirs, JSONFormat())
        headers = tuple(sent.headers.items())
        assert from_record(Record(ours.topic, 0, 0, b"k", sent.value, headers)) == ours


def test_the_key_of_a_message_is_store_and_subject() -> None:
    message = to_message(envelope_of(OrderPaid))
    assert (message.topic, message.key) == ("orders", b"demo/o-1001")
    assert dict(message.headers)["content-type"] == b"application/json"


def test_a_beat_goes_to_the_topic_that_is_its_subject() -> None:
    message = to_message(envelope_of(TopicBeat))
    assert (message.topic, message.key) == ("orders", b"*/orders")
    assert to_message(envelope_of(TopicBeat), topic="traffic").topic == "traffic"


def test_fields_without_a_value_are_left_out() -> None:
    page = PageViewed(visitor_id="v-1", url_path="/", page_kind="home")
    message = to_message(Envelope("e-1", "/s", "demo", "v-1", AT, RECORDED, page))
    assert message.value == b'{"visitor_id":"v-1","url_path":"/","page_kind":"home"}'
    assert not {"ce_importid", "ce_causationid", "ce_traceparent"} & dict(message.headers).keys()


def test_both_times_keep_their_offset_and_their_microseconds() -> None:
    back = from_record(fetched(to_message(envelope_of(OrderPaid))))
    assert back.time.utcoffset() == timedelta(hours=8)
    assert back.recorded_time == RECORDED


def test_attributes_can_be_read_without_the_data() -> None:
    message = to_message(envelope_of(OrderPaid))
    broken = Record("orders", 0, 0, b"k", b"not json", message.headers)
    assert read_attributes(broken)["type"] == "order.paid.v1"


# Kafka, structured


def test_the_content_type_decides_the_mode_even_where_ce_headers_are_there_too() -> None:
    ours = envelope_of(OrderPaid)
    headers = (("content-type", b"application/cloudevents+json; charset=utf-8"), ("ce_specversion", b"1.0"))
    value = json.dumps(to_structured(ours)).encode()
    assert from_record(Record("orders", 0, 0, b"k", value, (*headers, ("ce_id", b"other")))) == ours


def test_structured_data_may_come_in_base64() -> None:
    structured = to_structured(envelope_of(OrderPaid))
    structured["data_base64"] = base64.b64encode(json.dumps(structured.pop("data")).encode()).decode()
    value = json.dumps(structured).encode()
    assert from_record(record({"content-type": STRUCTURED.encode()}, value)) == envelope_of(OrderPaid)


# Kafka, what cannot be read


def headers_of(**changes: bytes | None) -> dict[str, bytes]:
    headers = dict(to_message(envelope_of(OrderPaid)).headers)
    for name, value in changes.items():
        name = name.replace("content_type", "content-type")
        if value is None:
            del headers[name]
        else:
            headers[name] = value
    return headers


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ce_recordedtime": None}, "recordedtime is missing"),
        ({"ce_recordedtime": b"2024-07-01T10:00:00"}, "recordedtime: not a time with offset"),
        ({"ce_time": None}, "time is missing"),
        ({"ce_time": b"yesterday"}, "time: not a time with offset"),
        ({"ce_id": None}, "id is missing"),
        ({"ce_id": b""}, "id is missing"),
        ({"ce_id": b"x" * 1001}, "id is not a short text"),
        ({"ce_id": b"a\x00b"}, "id is not a short text"),
        ({"ce_source": None}, "source is missing"),
        ({"ce_store": None}, "store is missing"),
        ({"ce_type": None}, "type is missing"),
        ({"ce_type": b"page.viewed.v1"}, "does not belong on topic orders"),
        ({"ce_specversion": b"0.3"}, "specversion"),
        ({"ce_specversion": None}, "specversion"),
        ({"ce_subject": b"\xff"}, "not UTF-8"),
        ({"content_type": b"text/plain"}, "not JSON"),
        ({"content_type": b"application/cloudevents-batch+json"}, "batch"),
        ({"content_type": b"application/cloudevents+json"}, "specversion"),
    ],
)
def test_a_damaged_record_is_undecodable_and_says_why(changes: dict[str, bytes | None], reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        from_record(record(headers_of(**changes), to_message(envelope_of(OrderPaid)).value))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "invalid JSON"),
        (b"{", "invalid JSON"),
        (b"[]", "/data: "),
        (b"null", "/data: "),
        (b'{"order_id":"a","order_id":"b"}', "/order_id: duplicate key"),
        (b'{"order_id":1}', "/data/order_id"),
        (b'{"order_id":"\\ud800"}', "lone surrogate"),
        (b'{"amount_cents":NaN}', "/amount_cents: not a JSON number"),
    ],
)
def test_a_record_with_bad_data_is_undecodable_and_names_the_place(value: bytes, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        from_record(record(headers_of(), value))


def test_a_record_without_any_cloudevents_headers_is_undecodable() -> None:
    with pytest.raises(Undecodable, match="neither binary nor structured"):
        from_record(record({}))


def test_an_unknown_type_and_an_unknown_version_are_told_apart() -> None:
    with pytest.raises(UnknownType):
        from_record(record(headers_of(ce_type=b"order.dreamt.v1")))
    with pytest.raises(UnknownVersion) as caught:
        from_record(record(headers_of(ce_type=b"order.paid.v2")))
    assert (caught.value.type, caught.value.noun_verb) == ("order.paid.v2", "order.paid")


@pytest.mark.parametrize("name", ["", "v1", "order", "order.paid", "order.paid.vX", "order.paid.v", "ORDER.PAID.v1"])
def test_what_is_no_version_of_ours_is_an_unknown_type(name: str) -> None:
    with pytest.raises(UnknownType):
        find_contract(name)


def test_a_dead_letter_can_be_decoded_from_its_own_topic() -> None:
    message = to_message(envelope_of(OrderPaid))
    assert from_record(record(dict(message.headers), message.value, "orders.dead")) == envelope_of(OrderPaid)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["content-type", *headers_of()]),
        st.binary(max_size=20) | st.sampled_from([b"1.0", b"application/json", b"application/cloudevents+json"]),
    ),
    st.binary(max_size=30) | st.sampled_from([b"{}", b"[]", b'{"specversion":"1.0","data_base64":7}']),
)
def test_no_record_whatever_raises_anything_else(changes: dict[str, bytes], value: bytes) -> None:
    with suppress(Undecodable, UnknownType, UnknownVersion):
        from_record(record(headers_of() | changes, value))


# HTTP


def cloud_event(event: type[Event] = OrderPaid, **changes: Any) -> dict[str, Any]:
    document = to_structured(envelope_of(event))
    del document["recordedtime"]
    document |= changes
    return {name: value for name, value in document.items() if value is not ...}


def arrived(document: Any, door: Door = DOOR, content_type: str = STRUCTURED) -> Item:
    (item,) = parse_http({"Content-Type": content_type}, json.dumps(document).encode(), door)
    return item


def accepted(item: Item) -> Envelope[Any]:
    assert isinstance(item, Incoming), item
    return item.accepted(RECORDED)


def refusal(item: Item) -> Refusal:
    assert isinstance(item, Refusal), item
    return item


OUTSIDE = [event for event in EVENTS if event is not TopicBeat]


@pytest.mark.parametrize("event", OUTSIDE, ids=lambda e: e.TYPE)
def test_all_three_http_modes_as_the_sdk_writes_them_give_the_same_event(event: type[Event]) -> None:
    document = cloud_event(event)
    attributes = {k: v for k, v in document.items() if k != "data"} | {"time": AT}
    theirs = CloudEvent(attributes, document["data"])
    binary = sdk_http.to_binary(theirs, JSONFormat())
    structured = sdk_http.to_structured(theirs, JSONFormat())
    batch = b"[" + structured.body + b"," + structured.body + b"]"
    ours = envelope_of(event)
    assert [accepted(i) for i in parse_http(binary.headers, binary.body, DOOR)] == [ours]
    assert [accepted(i) for i in parse_http(structured.headers, structured.body, DOOR)] == [ours]
    assert [accepted(i) for i in parse_http({"content-type": BATCH}, batch, DOOR)] == [ours, ours]


def test_cloud_events_in_plain_json_are_taken_too_one_or_many() -> None:
    assert accepted(arrived(cloud_event(), content_type=JSON)) == envelope_of(OrderPaid)
    body = json.dumps([cloud_event()] * 3).encode()
    items = parse_http({"content-type": "application/json; charset=utf-8"}, body, DOOR)
    assert [item.index for item in items] == [0, 1, 2]


@pytest.mark.parametrize(("sent", "read"), [('"e-1"', "e-1"), ("e%2D1", "e-1"), ('"e\\-1"', "e-1")])
def test_a_header_may_be_quoted_or_percent_encoded(sent: str, read: str) -> None:
    document = cloud_event()
    headers = {f"CE-{name}": str(value) for name, value in document.items() if name not in ("data", "datacontenttype")}
    headers |= {"CE-id": sent, "CE-source": "/s", "Content-Type": "application/json"}
    (item,) = parse_http(headers, json.dumps(document["data"]).encode(), DOOR)
    assert accepted(item).id == read


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"specversion": "0.3"}, "/specversion"),
        ({"specversion": ...}, "/specversion"),
        ({"id": ...}, "/id"),
        ({"id": ""}, "/id"),
        ({"id": 7}, "/id"),
        ({"id": "a b"}, "/id"),
        ({"id": "a" * 129}, "/id"),
        ({"type": ...}, "/type"),
        ({"type": "order.paid"}, "/type"),
        ({"type": "order.paid.v2"}, "/type"),
        ({"type": ["order.paid.v1"]}, "/type"),
        ({"source": "a b"}, "/source"),
        ({"source": 1}, "/source"),
        ({"time": ...}, "/time"),
        ({"time": "2024-07-01T10:00:00"}, "/time"),
        ({"time": 1719799200}, "/time"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "/time"),
        ({"store": "other"}, "/store"),
        ({"store": "*"}, "/store"),
        ({"subject": "o-2"}, "/subject"),
        ({"subject": 3}, "/subject"),
        ({"datacontenttype": "text/xml"}, "/datacontenttype"),
        ({"traceparent": "x"}, "/traceparent"),
        ({"importid": "a b"}, "/importid"),
        ({"recordedtime": "2024-07-01T10:00:00Z"}, "/recordedtime"),
        ({"unheard": 1}, "/unheard"),
        ({"un/heard": 1}, "/un~1heard"),
        ({"data": ...}, "/data"),
        ({"data": []}, "/data"),
        ({"data": {}}, "/data/order_id"),
        ({"data": ..., "data_base64": "no!"}, "/data_base64"),
        ({"data": ..., "data_base64": 7}, "/data_base64"),
        ({"data_base64": "e30="}, "/data_base64"),
    ],
)
def test_what_is_wrong_with_an_event_is_told_by_its_pointer(changes: dict[str, Any], pointer: str) -> None:
    told = refusal(arrived(cloud_event(**changes)))
    assert (told.pointer, told.code) == (pointer, "validation")
    assert told.message


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"colour": "red"}, "/data/colour"),
        ({"amount_cents": "1"}, "/data/amount_cents"),
        ({"lines": [{"sku": "A001", "quantity": 0, "unit_price_cents": 1}]}, "/data/lines/0/quantity"),
        ({"lines": [{"sku": "A001", "quantity": 1, "unit_price_cents": 1, "x": 1}]}, "/data/lines/0/x"),
    ],
)
def test_what_is_wrong_with_the_data_is_told_by_its_pointer(change: dict[str, Any], pointer: str) -> None:
    data = cloud_event()["data"] | change
    assert refusal(arrived(cloud_event(data=data))).pointer == pointer


def test_a_refusal_names_the_event_and_repeats_no_value() -> None:
    data = cloud_event()["data"] | {"amount_cents": "13800005678", "channel": "13800005678"}
    told = refusal(arrived(cloud_event(data=data)))
    assert told.id == "e-1"
    assert "13800005678" not in told.message


def test_one_bad_item_refuses_no_other() -> None:
    batch = [cloud_event(), 7, cloud_event(id="e-3"), cloud_event(time="soon"), None, cloud_event(id="e-6")]
    items = parse_http({"content-type": BATCH}, json.dumps(batch).encode(), DOOR)
    assert [type(item) for item in items] == [Incoming, Refusal, Incoming, Refusal, Refusal, Incoming]
    assert [item.index for item in items] == list(range(6))


def test_an_empty_batch_is_no_error() -> None:
    assert parse_http({"content-type": BATCH}, b"[]", DOOR) == []


def test_a_batch_that_is_no_array_is_refused_as_one_item() -> None:
    (item,) = parse_http({"content-type": BATCH}, b"{}", DOOR)
    assert refusal(item).message == "not an array"


def test_a_batch_over_the_limit_is_refused_whole() -> None:
    body = b"[" + b",".join([b"1"] * (MAX_BATCH + 1)) + b"]"
    with pytest.raises(TooManyItems, match="1001"):
        parse_http({"content-type": BATCH}, body, DOOR)


@pytest.mark.parametrize("body", [b"", b"{", b"[1,]", b'[{"id":"a","id":"b"}]', b"\xff", b"[NaN]"])
@pytest.mark.parametrize("content_type", [STRUCTURED, BATCH, JSON])
def test_a_body_that_is_no_strict_json_is_refused_whole(body: bytes, content_type: str) -> None:
    with pytest.raises(InvalidJson):
        parse_http({"content-type": content_type}, body, DOOR)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/xml", "multipart/form-data", "json"])
def test_another_content_type_is_not_taken(content_type: str) -> None:
    with pytest.raises(UnsupportedMedia):
        parse_http({"content-type": content_type} if content_type else {}, b"{}", DOOR)


def test_only_the_owners_types_are_taken() -> None:
    assert refusal(arrived(cloud_event(), Door((PageViewed,), store="demo"))).pointer == "/type"


def test_an_operator_names_the_store_in_each_event() -> None:
    anybody = Door(EVENTS)
    assert accepted(arrived(cloud_event(store="other"), anybody)).store == "other"
    assert refusal(arrived(cloud_event(store=...), anybody)).pointer == "/store"


def test_the_key_names_the_store_where_the_event_does_not() -> None:
    assert accepted(arrived(cloud_event(store=...))).store == "demo"


def test_an_event_without_a_source_has_the_stores_own() -> None:
    assert accepted(arrived(cloud_event(source=...))).source == "/stores/demo/traffic"
    door = Door(EVENTS, store="demo", source="/stores/demo/service")
    assert accepted(arrived(cloud_event(source=...), door)).source == "/stores/demo/service"


def test_wire_names_are_the_only_names_at_the_door() -> None:
    data = cloud_event(ConversationOpened)["data"]
    assert isinstance(arrived(cloud_event(ConversationOpened)), Incoming)
    data["subject_line"] = data.pop("subject")
    assert refusal(arrived(cloud_event(ConversationOpened, data=data))).pointer == "/data/subject_line"


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*cloud_event(), "x", "data_base64", "age_ms"]),
        st.none() | st.integers(-9, 9) | st.text(max_size=5) | st.sampled_from([[], [1], {"a": {}}]),
        max_size=4,
    )
)
def test_no_item_whatever_raises(changes: dict[str, Any]) -> None:
    item = arrived(cloud_event() | changes)
    assert isinstance(item, Incoming | Refusal)


# the short form


VIEW = {
    "id": "e-1",
    "type": "page.viewed",
    "time": "2024-07-01T10:00:00+08:00",
    "visitor_id": "v-1",
    "channel": "paid",
    "source": "douyin",
    "url_path": "/p/A001",
    "page_kind": "product",
    "sku": "A001",
}


def test_the_short_form_is_the_data_beside_id_type_and_time() -> None:
    item = accepted(arrived([VIEW], SHORT, JSON))
    assert (item.id, item.source, item.store, item.time) == ("e-1", "/stores/demo/traffic", "demo", AT)
    assert item.data == PageViewed(
        visitor_id="v-1", channel="paid", source="douyin", url_path="/p/A001", page_kind="product", sku="A001"
    )


def test_the_short_form_may_be_one_object_name_the_version_and_belong_to_an_import() -> None:
    item = accepted(arrived(VIEW | {"type": "page.viewed.v1", "importid": "i-1"}, SHORT, JSON))
    assert (item.type, item.import_id) == ("page.viewed.v1", "i-1")


def test_a_short_form_without_an_id_gets_one() -> None:
    short = {name: value for name, value in VIEW.items() if name != "id"}
    assert accepted(arrived(short, SHORT, JSON)).id != accepted(arrived(short, SHORT, JSON)).id


def test_a_batch_may_mix_the_short_form_with_cloud_events() -> None:
    items = parse_http({"content-type": JSON}, json.dumps([VIEW, cloud_event(PageViewed)]).encode(), SHORT)
    assert all(isinstance(item, Incoming) for item in items)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"time": "now"}, "/time"),
        ({"time": None}, "/time"),
        ({"type": "order.paid"}, "/type"),
        ({"type": "page.viewed.v2"}, "/type"),
        ({"type": None}, "/type"),
        ({"id": "a b"}, "/id"),
        ({"importid": "a b"}, "/importid"),
        ({"visitor_id": None}, "/visitor_id"),
        ({"page_kind": "attic"}, "/page_kind"),
        ({"colour": "red"}, "/colour"),
        ({"age_ms": 1}, "/age_ms"),
        ({"is_bot": "yes"}, "/is_bot"),
        ({"experiment": {"id": "x"}}, "/experiment/variant"),
    ],
)
def test_what_is_wrong_with_a_short_form_is_told_by_its_pointer(changes: dict[str, Any], pointer: str) -> None:
    assert refusal(arrived([VIEW | changes], SHORT, JSON)).pointer == pointer


def test_a_door_without_the_short_form_asks_for_cloud_events() -> None:
    assert refusal(arrived([VIEW], DOOR, JSON)).pointer in ("/specversion", "/channel", "/visitor_id")


def test_a_short_form_needs_a_store_from_the_call() -> None:
    assert isinstance(arrived([VIEW], Door((PageViewed,), short_form=True), JSON), Refusal)


# the beacon

BEACON_AT = datetime(2024, 7, 1, 12, 0, tzinfo=timezone(timedelta(0)))
BEACON = Door((PageViewed,), store="demo", short_form=True, beacon_at=BEACON_AT)


def beacon(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in VIEW.items() if name != "time"} | changes


def test_a_beacon_event_happened_its_age_before_the_call_whatever_the_browser_thinks() -> None:
    assert accepted(arrived([beacon(age_ms=1500)], BEACON, JSON)).time == BEACON_AT - timedelta(seconds=1.5)
    assert accepted(arrived([beacon()], BEACON, JSON)).time == BEACON_AT


@pytest.mark.parametrize("age", [-1, "5", 1.5, True, 10**12, None])
def test_an_age_is_milliseconds_of_at_most_a_day(age: Any) -> None:
    assert refusal(arrived([beacon(age_ms=age)], BEACON, JSON)).pointer == "/age_ms"


def test_a_beacon_has_no_say_in_the_time() -> None:
    assert refusal(arrived([VIEW], BEACON, JSON)).pointer == "/time"
