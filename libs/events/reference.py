"""The pages of `docs/reference` that are printed from the contracts."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from libs.events.asyncapi import asyncapi_document, events_on
from libs.events.contracts import EVENTS, TOPICS, Event
from libs.events.contracts.base import EVERY_TOPIC, Topic
from libs.events.schemas import schema_of, to_text

_INTRODUCTION: Final = """\
# Events

Printed from `libs/events/contracts` by `make examples`; not to be edited.

Every event travels as a CloudEvent 1.0. On Kafka in binary mode: the record's value is the JSON of `data`, the
attributes are headers `ce_specversion` `ce_id` `ce_source` `ce_type` `ce_time` `ce_subject` and the extensions
`ce_store` `ce_recordedtime` `ce_causationid` `ce_correlationid` `ce_traceparent` `ce_importid`; the key is
`store/subject`. Structured mode (`application/cloudevents+json`) is read too. `store`, `source` and `id` identify an
event for ever: the same again has no second effect. Consumers ignore fields that they do not know; the HTTP front doors
refuse them.

Times are RFC 3339 with an offset; money is integer minor units in fields named `..._cents`; ids are 1 to 128 of
`A-Z a-z 0-9 . _ : -`; integers are bounded to 64 bit; an optional field without a value is left out.

JSON Schemas of all types: `libs/events/schemas`. One frozen example of each: `libs/events/examples`. The same as an
AsyncAPI 3 document: [asyncapi.json](asyncapi.json).
"""


def pages() -> dict[str, str]:
    """Path from the root of the repository -> text."""
    return {
        "docs/reference/events.md": events_page(),
        "docs/reference/asyncapi.json": to_text(asyncapi_document(_version())),
    }


def events_page() -> str:
    """Topics with owner, key and partitions, then every type with its fields."""
    topics = "\n\n".join(_section(topic) for topic in TOPICS.values())
    beats = "\n\n".join(_type(event) for event in EVENTS if event.TOPIC == EVERY_TOPIC)
    return f"{_INTRODUCTION}\n## Topics\n\n{_topics()}\n\n{topics}\n\n## Every topic\n\n{beats}\n\n{_parts()}\n"


def _version() -> str:
    try:
        return version("opswire")
    except PackageNotFoundError:
        return "0"


def _topics() -> str:
    rows = [
        "| topic | owner | key | partitions, Kafka | PostgreSQL | kept | what |",
        "|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| [`{t.name}`](#{t.name}) | {t.owner} | {t.key} | {t.partitions} | {t.postgres_partitions}"
        f" | {f'{t.retention_days} days' if t.retention_days else 'without limit'} | {t.what} |"
        for t in TOPICS.values()
    ]
    rows.append("| `<topic>.dead` | the consumer's service | as the original | 1 | 1 | without limit | dead letters |")
    return "\n".join(rows)


def _section(topic: Topic) -> str:
    types = "\n\n".join(_type(event) for event in events_on(topic.name) if event.TOPIC != EVERY_TOPIC)
    return f"## {topic.name}\n\n{types}"


def _type(event: type[Event]) -> str:
    doc = " ".join((event.__doc__ or "").split())
    key = " or ".join(f"`{name}`" for name in event.KEY) or "the topic"
    schema = schema_of(event)
    return f"### {event.TYPE}\n\n{doc} Key: {key}.\n\n{_fields(schema)}"


def _fields(schema: dict[str, Any]) -> str:
    rows = ["| field | | type | |", "|---|---|---|---|"]
    required = schema.get("required", ())
    for name, part in schema["properties"].items():
        kind, words = _described(part)
        rows.append(f"| `{name}` | {'' if name in required else 'optional'} | {kind} | {words} |")
    return "\n".join(rows)


def _parts() -> str:
    """The objects that lie inside events, each once."""
    parts = {name: part for event in EVENTS for name, part in schema_of(event).get("$defs", {}).items()}
    sections = [
        f"### {name}\n\n{part.get('description', '')}\n\n{_fields(part)}"
        for name, part in sorted(parts.items())
        if "properties" in part
    ]
    return "## Parts of events\n\n" + "\n\n".join(sections)


def _described(schema: dict[str, Any]) -> tuple[str, str]:
    """The type of a field in words, and what is said about it."""
    words = schema.get("description", "")
    if "anyOf" in schema:
        kinds = [part for part in schema["anyOf"] if part.get("type") != "null"]
        return " or ".join(_kind(part) for part in kinds), words or kinds[0].get("description", "")
    return _kind(schema), words


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "any JSON" if name == "JsonValue" else f"[{name}](#{name.lower()})"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    if schema.get("type") == "object":
        return f"map of {_kind(schema.get('additionalProperties', {}))}"
    return str(schema.get("format") or schema.get("type") or "any JSON")
