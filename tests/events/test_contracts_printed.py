"""What is printed from the contracts: frozen examples, JSON Schemas, the AsyncAPI document, the events page."""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from libs.events import examples, reference, schemas
from libs.events.bus import Record
from libs.events.codec import Envelope, from_record, to_message, to_structured
from libs.events.contracts import EVENTS, TOPICS, Event, OrderPaid, TopicBeat
from libs.events.examples import __main__ as make_examples
from libs.events.lean import decoder
from libs.events.schemas import breaking_changes, schema_of
from libs.events.strict_json import dumps

ROOT = Path(__file__).parents[2]
PARSER = Path(__file__).parent / "asyncapi"


def topic_of(event: type[Event]) -> str:
    return "orders" if event is TopicBeat else event.TOPIC


def example_record(event: type[Event]) -> Record:
    value = examples.path_of(event).read_bytes()
    return Record(topic_of(event), 0, 0, b"k", value, (("content-type", b"application/cloudevents+json"),))


# examples


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_the_frozen_example_of_every_event_still_decodes(event: type[Event]) -> None:
    envelope = from_record(example_record(event))
    assert type(envelope.data) is event
    assert (envelope.store, envelope.import_id) == ("*" if event is TopicBeat else "demo", "import-1")
    assert envelope.topic == topic_of(event)


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_the_frozen_example_loses_nothing_on_its_way_through_the_code(event: type[Event]) -> None:
    envelope = from_record(example_record(event))
    message = to_message(envelope)
    assert from_record(Record(message.topic, 0, 0, message.key, message.value, message.headers)) == envelope
    frozen = examples.load_example(event)
    assert frozen["data"].items() <= to_structured(envelope)["data"].items()


def test_every_example_and_schema_belongs_to_an_event() -> None:
    expected = {f"{event.TYPE}.json" for event in EVENTS}
    assert {path.name for path in examples.FOLDER.glob("*.json")} == expected
    assert {path.name for path in schemas.FOLDER.glob("*.json")} == expected


def test_an_example_is_never_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "FOLDER", tmp_path)
    assert len(examples.write_examples()) == len(EVENTS)
    frozen = examples.path_of(OrderPaid)
    frozen.write_text("as it once was", encoding="utf-8")
    assert examples.write_examples() == []
    assert frozen.read_text(encoding="utf-8") == "as it once was"


# schemas


def test_what_is_committed_is_what_the_contracts_print() -> None:
    assert make_examples.stale() == [], "run `make examples`"


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_a_contract_breaks_nothing_that_is_committed(event: type[Event]) -> None:
    assert schemas.breaks_of(event) == [], "make it a new version beside the old one"


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_the_schema_accepts_the_example_and_is_itself_valid(event: type[Event]) -> None:
    schema = schema_of(event)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(examples.load_example(event)["data"])


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_the_schema_refuses_an_example_without_a_required_field(event: type[Event]) -> None:
    data = examples.load_example(event)["data"]
    for name in schema_of(event)["required"]:
        without = {key: value for key, value in data.items() if key != name}
        assert not jsonschema.Draft202012Validator(schema_of(event)).is_valid(without)


def test_a_schema_says_where_it_is_at_home() -> None:
    assert schema_of(OrderPaid)["$id"] == "https://opswire.dev/schemas/order.paid.v1.json"
    assert schema_of(OrderPaid)["title"] == "order.paid.v1"


Change = Callable[[dict[str, Any]], Any]


def _line(schema: dict[str, Any]) -> dict[str, Any]:
    line: dict[str, Any] = schema["$defs"]["Line"]
    return line


BREAKING: dict[str, Change] = {
    "a field removed": lambda s: s["properties"].pop("method"),
    "an optional field removed": lambda s: s["properties"].pop("campaign"),
    "a field renamed": lambda s: s["properties"].update(paid_by=s["properties"].pop("method")),
    "a required field added": lambda s: (s["properties"].update(x={"type": "string"}), s["required"].append("x")),
    "an optional field became required": lambda s: s["required"].append("campaign"),
    "a required field became optional": lambda s: s["required"].remove("method"),
    "another type": lambda s: s["properties"]["amount_cents"].update(type="string"),
    "another format": lambda s: s["properties"]["ship_due_at"].update(format="date"),
    "another pattern": lambda s: s["properties"]["currency"].update(pattern="^[a-z]{3}$"),
    "a lower maximum": lambda s: s["properties"]["amount_cents"].update(maximum=100),
    "a higher minimum": lambda s: s["properties"]["amount_cents"].update(minimum=1),
    "a new limit": lambda s: s["properties"]["method"].update(maxLength=10),
    "fewer items": lambda s: s["properties"]["lines"].update(maxItems=1),
    "a value less": lambda s: s["properties"]["channel"]["anyOf"][0]["enum"].pop(),
    "a value more": lambda s: s["properties"]["channel"]["anyOf"][0]["enum"].append("tv"),
    "null no more": lambda s: s["properties"]["channel"]["anyOf"].pop(),
    "another default": lambda s: _line(s)["properties"]["discount_cents"].update(default=1),
    "a field of a line removed": lambda s: _line(s)["properties"].pop("sku"),
    "a field of a line became required": lambda s: _line(s)["required"].append("cost_cents"),
    "lines of another kind": lambda s: s["properties"]["lines"]["items"].update({"$ref": "#/$defs/StockLine"}),
}

COMPATIBLE: dict[str, Change] = {
    "an optional field added": lambda s: s["properties"].update(x={"type": "string", "default": None}),
    "an optional field of a line added": lambda s: _line(s)["properties"].update(x={"type": "string"}),
    "a higher maximum": lambda s: s["properties"]["amount_cents"].update(maximum=10**15),
    "other words": lambda s: s["properties"]["currency"].update(description="money", examples=["EUR"]),
    "a limit gone": lambda s: s["properties"]["lines"].pop("maxItems"),
}


@pytest.mark.parametrize("change", BREAKING.values(), ids=BREAKING.keys())
def test_an_incompatible_change_is_found(change: Change) -> None:
    changed = copy.deepcopy(schema_of(OrderPaid))
    change(changed)
    assert breaking_changes(schema_of(OrderPaid), changed)


@pytest.mark.parametrize("change", COMPATIBLE.values(), ids=COMPATIBLE.keys())
def test_a_compatible_change_is_let_through(change: Change) -> None:
    changed = copy.deepcopy(schema_of(OrderPaid))
    change(changed)
    assert breaking_changes(schema_of(OrderPaid), changed) == []


def test_make_examples_refuses_to_write_over_a_schema_that_it_would_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(schemas, "FOLDER", tmp_path)
    older = schema_of(OrderPaid)
    older["properties"]["coupon"] = {"type": "string"}
    schemas.path_of(OrderPaid).write_text(json.dumps(older), encoding="utf-8")
    assert make_examples.main([]) == 1
    assert "order.paid.v1/coupon: removed" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["order.paid.v1.json"]


# the lean decoder


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_the_lean_decoder_agrees_with_the_contract_on_every_example(event: type[Event]) -> None:
    data = examples.load_example(event)["data"]
    full = event.model_validate(data)
    lean = decoder(event).decode(dumps(data))
    for name in event.model_fields:
        assert_same(getattr(lean, name), getattr(full, name))


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_the_lean_decoder_agrees_where_optional_fields_are_missing(event: type[Event]) -> None:
    one_of = ("sku", "day", "conversation_id")
    schema = schema_of(event)
    frozen = examples.load_example(event)["data"]
    data = {name: value for name, value in frozen.items() if name in schema["required"] or name in one_of}
    lean = decoder(event).decode(dumps(data))
    full = event.model_validate(data)
    for name in event.model_fields:
        assert_same(getattr(lean, name), getattr(full, name))


def assert_same(lean: Any, full: Any) -> None:
    if isinstance(full, tuple):
        assert len(lean) == len(full)
        for one, other in zip(lean, full, strict=True):
            assert_same(one, other)
    elif hasattr(full, "model_fields_set"):
        for name in type(full).model_fields:
            assert_same(getattr(lean, name), getattr(full, name))
    else:
        assert lean == full


def test_a_lean_struct_has_just_the_fields_asked_for() -> None:
    lean = decoder(OrderPaid, "order_id", "lines").decode(dumps(examples.load_example(OrderPaid)["data"]))
    assert lean.__struct_fields__ == ("order_id", "lines")
    assert lean.lines[0].sku == "A001"


def test_a_lean_struct_of_an_unknown_field_is_refused() -> None:
    with pytest.raises(KeyError, match="colour"):
        decoder(OrderPaid, "colour")


# pages


def test_the_events_page_names_every_topic_and_type() -> None:
    page = reference.events_page()
    assert all(f"### {event.TYPE}\n" in page for event in EVENTS)
    assert all(f"## {topic}\n" in page for topic in TOPICS)


def asyncapi_diagnostics(document: Path) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and diagnostics of the official parser; skips where it cannot run."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("left out: the AsyncAPI document is checked by @asyncapi/parser, which needs node and npm")
    if not (PARSER / "node_modules").exists():
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        if subprocess.run(install, cwd=PARSER, capture_output=True, timeout=300, check=False).returncode != 0:
            pytest.skip("left out: @asyncapi/parser could not be installed (npm ci in tests/events/asyncapi)")
    done = subprocess.run(
        ["node", "check.mjs", str(document)], cwd=PARSER, capture_output=True, timeout=120, check=False
    )
    assert done.stdout, done.stderr.decode()
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return done.returncode, found


@pytest.mark.timeout(420)
def test_the_asyncapi_document_is_valid_by_the_official_parser() -> None:
    code, found = asyncapi_diagnostics(ROOT / "docs/reference/asyncapi.json")
    assert code == 0
    assert [d for d in found if d["code"] != "asyncapi-latest-version"] == []


@pytest.mark.timeout(420)
def test_the_official_parser_would_find_a_broken_document(tmp_path: Path) -> None:
    document = json.loads((ROOT / "docs/reference/asyncapi.json").read_text(encoding="utf-8"))
    document["components"]["messages"]["order.paid.v1"]["payload"] = {"$ref": "#/components/schemas/order.paid.v9"}
    broken = tmp_path / "asyncapi.json"
    broken.write_text(json.dumps(document), encoding="utf-8")
    code, found = asyncapi_diagnostics(broken)
    assert code == 1
    assert found


def test_an_envelope_of_a_beat_belongs_to_the_topic_that_is_its_subject() -> None:
    envelope: Envelope[Any] = from_record(example_record(TopicBeat))
    assert (envelope.topic, envelope.subject, envelope.store) == ("orders", "orders", "*")
