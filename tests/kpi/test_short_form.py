"""The fast reading of the short form and the careful one are one: same accepted, same refused, same events."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events.bus import Message, Record
from libs.events.codec import Envelope, from_record
from libs.events.strict_json import InvalidJson
from libs.service.errors import InvalidBody, TooLarge
from libs.service.event_door import told
from libs.service.privacy import Pseudonyms
from services.kpi.ingest import Batch, Letter, Reader
from services.kpi.scrubbing import Scrubber
from services.kpi.short_form import Reception, read_short_form

NOW = datetime(2024, 7, 1, 2, 0, 0, 123456, tzinfo=UTC)
PSEUDONYMS = Pseudonyms(b"k" * 32)
VIEW: dict[str, Any] = {
    "id": "e-1",
    "type": "page.viewed",
    "time": "2024-07-01T10:00:00+08:00",
    "visitor_id": "v-1",
    "channel": "paid",
    "url_path": "/p/A001",
    "page_kind": "product",
    "sku": "A001",
}
CART: dict[str, Any] = {
    "id": "e-2",
    "type": "cart.added",
    "time": "2024-07-01T10:00:01Z",
    "visitor_id": "v-1",
    "lines": [{"sku": "A001", "quantity": 2}],
}


def fast(body: bytes, *, beacon: bool = False) -> list[Message] | None:
    scrubber = Scrubber(PSEUDONYMS.replace)
    try:
        return read_short_form(body, Reception("demo", NOW, beacon), scrubber, 1000)
    except InvalidJson:
        return None


class CarefulReader(Reader):
    """The reader without its fast way."""

    def _read_quickly(self, letter: Letter) -> Batch | None:
        return None


def careful(body: bytes, *, beacon: bool = False) -> Batch | None:
    try:
        return CarefulReader(PSEUDONYMS.replace).read(letter(body, beacon=beacon))
    except InvalidBody:
        return None


def letter(body: bytes, content_type: str = "application/json", *, beacon: bool = False) -> Letter:
    return Letter("demo", NOW, {"content-type": content_type}, body, beacon)


def event(message: Message) -> Envelope[Any]:
    return from_record(Record(message.topic, 0, 0, message.key, message.value, message.headers))


def body(*items: Any) -> bytes:
    return json.dumps(items, ensure_ascii=False).encode()


def without(item: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in names}


GOOD = [
    VIEW,
    CART,
    {**VIEW, "customer_id": "c-9", "session_id": "s-1", "source": "douyin", "device": "phone", "campaign": "summer"},
    {**VIEW, "is_bot": True, "is_staff": False, "experiment": {"id": "x-1", "variant": "b"}},
    {**VIEW, "type": "checkout.started", "lines": [], "quantity": 1},
    {**VIEW, "type": "product.favorited"},
    {**VIEW, "type": "cart.removed", "quantity": 1_000_000_000},
    {**VIEW, "channel": None, "sku": None, "experiment": None},
    {**VIEW, "importid": "backfill-1"},
    {**VIEW, "time": "2024-07-01T10:00:00.123456789Z"},
    {**VIEW, "time": "2024-07-01T10:00:00-11:30"},
    {**VIEW, "source": "抖音: 达人", "url_path": "/商品/一"},
    {**VIEW, "source": ":starts with a colon"},
    {**VIEW, "source": 'a "quoted": word'},
    {**VIEW, "url_path": "/p/A001?phone=13800005678#top"},
    {**VIEW, "url_path": "?only=query"},
    {**VIEW, "url_path": "/u/13800005678/li@example.com"},
    {**VIEW, "customer_id": "13800005678"},
    {**VIEW, "customer_id": "Li@Example.com"},
    {**VIEW, "source": "mail li@example.com", "device": "call 13800005678"},
    {**VIEW, "time": "2099-07-01T10:00:00+08:00"},
    {**VIEW, "type": "page.viewed.v1"},
    {**VIEW, "time": "2024-07-01t10:00:00z"},
]
BAD = [
    without(VIEW, "visitor_id"),
    without(VIEW, "url_path"),
    without(VIEW, "time"),
    without(VIEW, "type"),
    {**VIEW, "type": "order.paid"},
    {**VIEW, "type": None},
    {**VIEW, "time": "2024-07-01T10:00:00"},
    {**VIEW, "time": "2024-07-01 10:00:00+08:00"},
    {**VIEW, "time": "2024-02-30T10:00:00+08:00"},
    {**VIEW, "time": "2024-07-01T24:00:00+08:00"},
    {**VIEW, "time": "1969-12-31T10:00:00+08:00"},
    {**VIEW, "time": "9999-07-01T10:00:00+08:00"},
    {**VIEW, "time": "2024-07-01T10:00:00,5+08:00"},
    {**VIEW, "time": "2024-07-01T10:00+08:00"},
    {**VIEW, "time": "20240701T100000+0800"},
    {**VIEW, "time": "２０２４-07-01T10:00:00+08:00"},
    {**VIEW, "time": "2024-W27-1T10:00:00+08:00"},
    {**VIEW, "time": 1719800000},
    {**VIEW, "age_ms": 10},
    {**VIEW, "unknown": 1},
    {**VIEW, "id": "bad id"},
    {**VIEW, "id": "e-1\n"},
    {**VIEW, "id": ""},
    {**VIEW, "id": 7},
    {**VIEW, "visitor_id": "v" * 129},
    {**VIEW, "visitor_id": None},
    {**VIEW, "channel": "tv"},
    {**VIEW, "is_bot": "yes"},
    {**VIEW, "is_bot": 1},
    {**VIEW, "page_kind": "shop"},
    {**VIEW, "sku": "A 1"},
    {**VIEW, "sku": "A001\n"},
    {**VIEW, "source": ""},
    {**VIEW, "source": "two\nlines"},
    {**VIEW, "source": "del\x7fete"},
    {**VIEW, "session_id": "s/1"},
    {**VIEW, "campaign": "夏"},
    {**VIEW, "importid": "a b"},
    {**VIEW, "source": "s" * 201},
    {**VIEW, "experiment": {"id": "x"}},
    {**VIEW, "experiment": {"id": "x", "variant": "a", "more": 1}},
    {**VIEW, "lines": []},
    {**VIEW, "importid": ""},
    without(CART, "lines"),
    {**CART, "lines": []},
    {**CART, "lines": [{"sku": "A001", "quantity": 0}]},
    {**CART, "lines": [{"sku": "A001", "quantity": 1.0}]},
    {**CART, "lines": [{"sku": "A001", "quantity": True}]},
    {**CART, "lines": [{"sku": "A001", "quantity": "1"}]},
    {**CART, "lines": [{"sku": "A001", "quantity": 10**19}]},
    {**CART, "lines": [{"sku": "A001", "unit_price_cents": -1}]},
    {**CART, "lines": [{"sku": "A001"}] * 1001},
    {**CART, "lines": "A001"},
    "no object",
    None,
    [VIEW],
    {},
]


@pytest.mark.parametrize("item", GOOD, ids=lambda item: json.dumps(item, ensure_ascii=False)[:90])
def test_what_one_accepts_both_accept_and_the_events_are_the_same(item: Any) -> None:
    slow = careful(body(item))
    assert slow is not None
    assert not slow.refused
    quick = fast(body(item))
    if quick is not None:
        assert event(quick[0]) == event(slow.traffic[0])
        assert quick[0].key == slow.traffic[0].key


@pytest.mark.parametrize("item", GOOD[:-2], ids=lambda item: json.dumps(item, ensure_ascii=False)[:90])
def test_good_items_take_the_fast_way(item: Any) -> None:
    assert fast(body(item)) is not None


@pytest.mark.parametrize("item", BAD, ids=lambda item: json.dumps(item, ensure_ascii=False)[:90])
def test_what_one_refuses_both_refuse(item: Any) -> None:
    slow = careful(body(item))
    assert slow is None or len(slow.refused) == 1
    assert fast(body(item)) is None


@pytest.mark.parametrize(
    "raw",
    [
        b'[{"id":"e-1","id":"e-2","type":"page.viewed"}]',
        body(VIEW).replace(b'"sku": "A001"', b'"sku": "A001", "sku": "A002"'),
        body(VIEW).replace(b'"sku": "A001"', b'"sku" : "A001", "sku"\t: "A002"'),
        body(VIEW).replace(b'"sku": "A001"', b'"sku": "A001", "\\u0073ku": "A002"'),
        body({**VIEW, "source": "x"}).replace(b'"source": "x"', b'"source": "a\\u0022:b", "source": "x"'),
        body({**VIEW, "source": "x"}).replace(b'"x"', b'"\\ud800"'),
        body({**VIEW, "source": "x"}).replace(b'"x"', b'"\\u0000"'),
        body({**VIEW, "source": "x"}).replace(b'"x"', b'"\xff"'),
        body({**VIEW, "source": "x"}).replace(b'"x"', b"NaN"),
        body({**VIEW, "source": "x"}).replace(b'"x"', b'"two\nlines"'),
        b"\xef\xbb\xbf" + body(VIEW),
        body(VIEW) + b"]",
        body(VIEW)[:-1],
        b"",
        b"[" * 100_000,
    ],
    ids=range(15),
)
def test_what_is_no_strict_json_is_accepted_by_neither(raw: bytes) -> None:
    assert fast(raw) is None
    assert careful(raw) is None
    with pytest.raises(InvalidBody):
        Reader(PSEUDONYMS.replace).read(letter(raw))


def test_an_item_without_an_id_gets_one() -> None:
    quick = fast(body(without(VIEW, "id")))
    assert quick is not None
    assert len(event(quick[0]).id) == 36


def test_a_later_event_is_recorded_when_it_came_in() -> None:
    quick = fast(body(VIEW))
    assert quick is not None
    assert event(quick[0]).recorded_time == NOW


def test_the_beacons_time_is_receipt_minus_age_and_never_the_browsers_clock() -> None:
    aged = {**without(VIEW, "time"), "age_ms": 1500}
    for messages in (fast(body(aged), beacon=True), (careful(body(aged), beacon=True) or Batch((), (), ())).traffic):
        assert messages
        assert event(messages[0]).time == NOW - timedelta(milliseconds=1500)
    assert fast(body({**aged, "time": "2001-01-01T00:00:00Z"}), beacon=True) is None


@pytest.mark.parametrize("age", [-1, 86_400_001, 1.5, "10", True])
def test_an_age_that_is_none_is_refused(age: Any) -> None:
    raw = body({**without(VIEW, "time"), "age_ms": age})
    assert fast(raw, beacon=True) is None
    slow = careful(raw, beacon=True)
    assert slow is not None
    assert slow.refused[0].pointer == "/age_ms"


def test_more_than_a_thousand_items_are_too_many_for_both() -> None:
    raw = body(*[VIEW] * 1001)
    with pytest.raises(TooLarge):
        Reader(PSEUDONYMS.replace).read(letter(raw))
    with pytest.raises(TooLarge):
        careful(raw)


def test_one_bad_item_refuses_nobody_else() -> None:
    batch = Reader(PSEUDONYMS.replace).read(letter(body(VIEW, {**VIEW, "id": "e-17", "time": "yesterday"}, CART)))
    assert told(batch.accepted, batch.refused) == {
        "accepted": 2,
        "rejected": 1,
        "items": [
            {
                "index": 1,
                "id": "e-17",
                "code": "validation",
                "pointer": "/time",
                "message": "not a time with offset",
            }
        ],
    }


def test_an_empty_batch_is_accepted_with_zeros() -> None:
    batch = Reader(PSEUDONYMS.replace).read(letter(b"[]"))
    assert told(batch.accepted, batch.refused) == {"accepted": 0, "rejected": 0, "items": []}


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False))
FIELDS = [*VIEW, "customer_id", "session_id", "source", "device", "campaign", "is_bot", "importid", "lines", "quantity"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3), min_size=1, max_size=3), st.booleans())
def test_both_readings_agree_on_whatever_comes(changes: list[dict[str, Any]], escaped: bool) -> None:
    items = [{**VIEW, **change} for change in changes]
    raw = json.dumps(items, ensure_ascii=escaped).encode()
    quick, slow = fast(raw), careful(raw)
    if quick is not None:
        assert slow is not None
        assert not slow.refused
        assert [event(message) for message in quick] == [event(message) for message in slow.traffic]
    elif slow is not None and not slow.refused:
        assert any(item.get(name, "") is None for item in items for name in ("id", "importid")) or any(
            str(item["type"]).endswith(".v1") or str(item["time"]).endswith("z") for item in items
        )
