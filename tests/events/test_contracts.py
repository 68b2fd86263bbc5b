"""The contracts: one class an event, names that never change, values that every later part can hold."""

import ast
import importlib
import re
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from libs.events import contracts
from libs.events.codec import data_json
from libs.events.contracts import (
    BY_TYPE,
    EVENTS,
    TOPICS,
    AdSpent,
    CartAdded,
    ClockMeasured,
    ComplaintFiled,
    ConversationOpened,
    CostEntered,
    Event,
    KpiCorrected,
    Line,
    NotificationSent,
    OrderPlaced,
    PageViewed,
    PolicyChanged,
    RatingGiven,
    ReportPublished,
    ReviewPosted,
    StockReserved,
    StockShipped,
    TargetSet,
    TopicBeat,
    dead,
    parse_instant,
)
from libs.events.contracts.base import MAX_CENTS, MAX_INT, dead_topic
from libs.events.examples import load_example

FOLDER = Path(contracts.__file__).parent
OWNERS = {
    "orders": {"orders", "stores"},
    "inventory": {"inventory", "catalog"},
    "kpi": {"traffic", "marketing", "kpi"},
    "alerts": {"service", "policy", "alerts"},
    "reporting": {"reports"},
}


def example(event: type[Event]) -> dict[str, Any]:
    data: dict[str, Any] = load_example(event)["data"]
    return data


def refused(event: type[Event], **fields: Any) -> str:
    """The place at which the example with these fields is refused."""
    with pytest.raises(ValidationError) as caught:
        event.model_validate(example(event) | fields)
    return "/".join(str(part) for part in caught.value.errors()[0]["loc"])


# the registry


def test_every_event_class_is_registered_once() -> None:
    classes = set()
    for module in (*OWNERS, "base"):
        for value in vars(importlib.import_module(f"libs.events.contracts.{module}")).values():
            if isinstance(value, type) and issubclass(value, Event) and "TYPE" in vars(value):
                classes.add(value)
    assert classes == set(EVENTS)
    assert len(BY_TYPE) == len(EVENTS) == 84


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_an_event_is_named_noun_past_verb_version_and_says_what_it_is(event: type[Event]) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z_]+\.v[1-9]", event.TYPE)
    assert "TYPE" in vars(event), "names on the wire are written out, not inherited"
    assert event.__doc__
    assert "\n" not in event.__doc__.partition(".")[0]


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_an_event_lies_on_a_topic_of_the_owner_whose_module_describes_it(event: type[Event]) -> None:
    if event is TopicBeat:
        assert event.TOPIC == "*"
        return
    owner = event.__module__.rpartition(".")[2]
    assert event.TOPIC in OWNERS[owner]
    assert TOPICS[event.TOPIC].owner == owner


def test_topics_have_the_partitions_that_they_were_made_with() -> None:
    assert {name: topic.partitions for name, topic in TOPICS.items()} == {
        "orders": 12,
        "inventory": 12,
        "catalog": 3,
        "traffic": 24,
        "marketing": 3,
        "service": 6,
        "policy": 1,
        "kpi": 6,
        "alerts": 3,
        "reports": 1,
        "stores": 1,
    }
    assert TOPICS["traffic"].postgres_partitions == 4
    assert TOPICS["catalog"].postgres_partitions == 3
    assert [t.name for t in TOPICS.values() if t.retention_days] == ["traffic"]


def test_a_dead_letter_topic_has_one_partition_and_the_consumer_for_owner() -> None:
    assert dead("orders") == "orders.dead"
    assert dead_topic(TOPICS["orders"], "kpi").partitions == 1
    assert dead_topic(TOPICS["orders"], "kpi").owner == "kpi"


def test_contracts_import_nothing_but_the_standard_library_and_pydantic() -> None:
    allowed = {"pydantic", "pydantic_core", "libs.events.contracts"}
    allowed |= {"ast", "collections", "dataclasses", "datetime", "math", "re", "typing"}
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name in allowed or name.split(".")[0] in allowed or name.startswith("libs.events.contracts"), (
                    name
                )


# the subject


@pytest.mark.parametrize("event", [e for e in EVENTS if e is not TopicBeat], ids=lambda e: e.TYPE)
def test_the_subject_of_an_event_is_its_key(event: type[Event]) -> None:
    given = event.model_validate(example(event))
    assert given.subject == load_example(event)["subject"] == str(getattr(given, event.KEY[0]))


def test_a_stock_fact_about_many_skus_has_the_reservation_as_subject_and_a_shipped_one_the_order() -> None:
    assert StockReserved.KEY == ("reservation_id",)
    assert StockShipped.KEY == ("order_id",)


@pytest.mark.parametrize(
    ("event", "without", "subject"),
    [
        (ComplaintFiled, (), "cv-1"),
        (ComplaintFiled, ("conversation_id",), "o-1001"),
        (ComplaintFiled, ("conversation_id", "order_id"), "cp-1"),
        (ReviewPosted, ("conversation_id", "order_id"), "rv-1"),
        (RatingGiven, ("conversation_id",), "o-1001"),
        (NotificationSent, ("incident_id",), "daily:2024-07-01"),
        (NotificationSent, ("incident_id", "report_id"), "n-1"),
    ],
)
def test_a_service_event_belongs_to_the_conversation_else_the_order_else_to_itself(
    event: type[Event], without: tuple[str, ...], subject: str
) -> None:
    data = {name: value for name, value in example(event).items() if name not in without}
    assert event.model_validate(data).subject == subject


def test_a_report_is_keyed_by_kind_and_period() -> None:
    assert ReportPublished.model_validate(example(ReportPublished)).subject == "daily:2024-07-01"


def test_a_beat_has_no_subject_of_its_own() -> None:
    with pytest.raises(ValueError, match=r"topic\.beat"):
        _ = TopicBeat(until=parse_instant("2024-07-01T10:00:00Z")).subject


# reading


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_consumers_ignore_unknown_fields_and_the_front_door_refuses_them(event: type[Event]) -> None:
    data = example(event) | {"unheard_of": 1}
    assert event.model_validate(data) == event.model_validate(example(event))
    with pytest.raises(ValidationError, match="unheard_of"):
        event.model_validate(data, extra="forbid")


def test_unknown_fields_inside_a_line_are_treated_alike() -> None:
    lines = [example(OrderPlaced)["lines"][0] | {"colour": "red"}]
    data = example(OrderPlaced) | {"lines": lines}
    OrderPlaced.model_validate(data)
    with pytest.raises(ValidationError, match="colour"):
        OrderPlaced.model_validate(data, extra="forbid")


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_every_optional_field_may_be_missing(event: type[Event]) -> None:
    data = example(event)
    needed = {info.alias or name for name, info in event.model_fields.items() if info.is_required()}
    one_of = {"sku", "day", "conversation_id"} & data.keys()
    event.model_validate({name: value for name, value in data.items() if name in needed | one_of})


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_an_event_cannot_be_changed(event: type[Event]) -> None:
    given = event.model_validate(example(event))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(given, next(iter(event.model_fields)), "x")


# values


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("total_cents", "15600"),
        ("total_cents", 15600.0),
        ("total_cents", True),
        ("total_cents", -1),
        ("total_cents", MAX_CENTS + 1),
        ("total_cents", 2**70),
        ("total_cents", None),
        ("order_id", ""),
        ("order_id", "a" * 129),
        ("order_id", "o 1"),
        ("order_id", "o-1\n"),
        ("order_id", "o/1"),
        ("order_id", 1001),
        ("currency", "cny"),
        ("currency", "CNY "),
        ("currency", "RMBX"),
        ("channel", "tv"),
        ("customer_id", "c\x00"),
        ("origin", ""),
        ("origin", "x" * 201),
        ("lines", {}),
        ("lines", "A001"),
        ("placed_at", "2024-07-01T10:00:00"),
        ("placed_at", 1719799200),
    ],
)
def test_a_wrong_value_is_refused_at_its_field(field: str, value: Any) -> None:
    assert refused(OrderPlaced, **{field: value}).split("/")[0] == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sku", "A 001"),
        ("sku", "a" * 65),
        ("sku", "连衣裙"),
        ("sku", "A001\n"),
        ("quantity", 0),
        ("quantity", -1),
        ("quantity", "2"),
        ("quantity", 1.5),
        ("quantity", True),
        ("quantity", 10**9 + 1),
        ("unit_price_cents", -1),
        ("discount_cents", -1),
        ("cost_cents", "3"),
    ],
)
def test_a_wrong_line_is_refused_at_its_place(field: str, value: Any) -> None:
    line = {"sku": "A001", "quantity": 1, "unit_price_cents": 1} | {field: value}
    assert refused(OrderPlaced, lines=[line]) == f"lines/0/{field}"


def test_a_line_amounts_to_quantity_times_price_less_its_discount() -> None:
    assert Line(sku="A001", quantity=3, unit_price_cents=100, discount_cents=50).amount_cents == 250


def test_the_largest_order_that_is_accepted_fits_64_bit_sums() -> None:
    largest = {"sku": "A", "quantity": 1, "unit_price_cents": MAX_CENTS}
    placed = OrderPlaced.model_validate(example(OrderPlaced) | {"lines": [largest] * 10_000})
    assert sum(line.amount_cents for line in placed.lines) <= MAX_INT
    assert refused(OrderPlaced, lines=[largest] * 10_001) == "lines"


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-07-01T10:00:00+08:00", "2024-07-01T02:00:00+00:00"),
        ("2024-07-01T10:00:00Z", "2024-07-01T10:00:00+00:00"),
        ("2024-07-01t10:00:00z", "2024-07-01T10:00:00+00:00"),
        ("2024-07-01T10:00:00.123456789-03:30", "2024-07-01T13:30:00.123456+00:00"),
        ("2024-02-29T23:59:59.9+05:30", "2024-02-29T18:29:59.900000+00:00"),
        ("1970-01-01T00:00:00+00:00", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_an_instant_is_rfc_3339_with_an_offset(text: str, utc: str) -> None:
    assert parse_instant(text).astimezone(UTC).isoformat() == utc


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2024-07-01",
        "2024-07-01T10:00:00",
        "2024-07-01T10:00+08:00",
        "2024-07-01T10:00:00+0800",
        "2024-07-01T10:00:00+08",
        "2024-07-01 10:00:00+08:00",
        "20240701T100000Z",
        "2024-W27-1T10:00:00Z",
        "2024-02-30T10:00:00Z",
        "2024-07-01T24:00:00Z",
        "2024-07-01T10:00:60Z",
        "2024-07-01T10:00:00+25:00",
        "2024-07-01T10:00:00.Z",
        "2024-07-01T10:00:00Z ",
        "２０２４-07-01T10:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1719799200",
    ],
)
def test_anything_else_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError):
        parse_instant(text)
    assert refused(OrderPlaced, placed_at=text) == "placed_at"


@pytest.mark.parametrize("value", ["2024-7-1", "2024-07-01T00:00:00", "2023-02-29", "20240701", 20240701, "2024-W27"])
def test_a_day_is_year_month_day(value: Any) -> None:
    assert refused(TargetSet, starts_on=value) == "starts_on"


@pytest.mark.parametrize("value", ["0.03", True, None, float("nan"), float("inf"), 2**63, [1]])
def test_a_number_is_finite_and_of_64_bit(value: Any) -> None:
    assert refused(TargetSet, value=value) == "value"


@pytest.mark.parametrize("value", [0, -3, 0.03, 15_000_000, 1e300])
def test_a_number_keeps_its_kind(value: float) -> None:
    given = TargetSet.model_validate(example(TargetSet) | {"value": value}).value
    assert given == value
    assert type(given) is type(value)


@pytest.mark.parametrize("value", [{"a": 2**63}, {"a": ["\x00"]}, {"\x00": 1}, {"a": float("nan")}, {"a": object()}])
def test_free_json_holds_only_what_a_database_can(value: Any) -> None:
    with pytest.raises(ValidationError):
        PolicyChanged.model_validate(example(PolicyChanged) | {"after": value})


def test_free_json_keeps_its_nulls() -> None:
    changed = PolicyChanged.model_validate(example(PolicyChanged) | {"after": {"a": None, "b": [None, {"c": None}]}})
    assert b'"after":{"a":null,"b":[null,{"c":null}]}' in data_json(changed)


# rules between fields


@pytest.mark.parametrize("event", [AdSpent, CostEntered], ids=lambda e: e.TYPE)
def test_a_figure_is_about_one_period(event: type[Event]) -> None:
    other = "hour" if event is AdSpent else "month"
    value = "2024-07-01T10" if event is AdSpent else "2024-07"
    data = example(event)
    with pytest.raises(ValidationError, match="exactly one of day"):
        event.model_validate(data | {other: value})
    with pytest.raises(ValidationError, match="exactly one of day"):
        event.model_validate({k: v for k, v in data.items() if k != "day"})
    event.model_validate({k: v for k, v in data.items() if k != "day"} | {other: value})


@pytest.mark.parametrize("hour", ["2024-07-01T10", "2024-11-03T01-05:00"])
def test_ad_spend_by_the_hour_names_a_store_hour(hour: str) -> None:
    data = {k: v for k, v in example(AdSpent).items() if k != "day"}
    assert AdSpent.model_validate(data | {"hour": hour}).hour == hour


def test_a_cart_event_names_its_goods_by_sku_or_by_lines() -> None:
    bare = {"visitor_id": "v-1"}
    CartAdded.model_validate(bare | {"sku": "A001"})
    CartAdded.model_validate(bare | {"lines": [{"sku": "A001"}]})
    with pytest.raises(ValidationError, match="sku or lines"):
        CartAdded.model_validate(bare)
    with pytest.raises(ValidationError, match="sku or lines"):
        CartAdded.model_validate(bare | {"lines": []})


def test_a_rating_is_about_a_conversation_or_an_order() -> None:
    with pytest.raises(ValidationError, match="conversation_id or order_id"):
        RatingGiven(score=5)


@pytest.mark.parametrize("score", [0, 6, 4.5, "5", True])
def test_a_score_is_one_to_five(score: Any) -> None:
    assert refused(RatingGiven, score=score) == "score"


# names that Python cannot use


@pytest.mark.parametrize(
    ("event", "attribute", "wire"),
    [(ClockMeasured, "topic_class", "class"), (ConversationOpened, "subject_line", "subject")],
)
def test_a_field_goes_by_its_wire_name_on_the_wire(event: type[Event], attribute: str, wire: str) -> None:
    given = event.model_validate(example(event))
    assert getattr(given, attribute) == example(event)[wire]
    assert event.model_validate(given.model_dump()) == given
    assert f'"{wire}":'.encode() in data_json(given)
    assert f'"{attribute}":'.encode() not in data_json(given)


def test_a_correction_says_from_and_to() -> None:
    corrected = KpiCorrected.model_validate(example(KpiCorrected))
    assert (corrected.measures[0].from_value, corrected.measures[0].to) == (4850, 4849)
    assert b'{"measure":"uv","from":4850,"to":4849}' in data_json(corrected)


def test_the_front_door_takes_wire_names_alone() -> None:
    data = example(ConversationOpened)
    data["subject_line"] = data.pop("subject")
    with pytest.raises(ValidationError, match="subject_line"):
        ConversationOpened.model_validate(data, extra="forbid", by_alias=True, by_name=False)


def test_a_page_view_needs_only_visitor_path_and_kind() -> None:
    PageViewed(visitor_id="v-1", url_path="/", page_kind="home")
