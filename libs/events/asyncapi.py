"""The AsyncAPI 3 document of the bus, printed from the contracts: topics as channels, events as messages."""

from typing import Any, Final

from libs.events.contracts import EVENTS, TOPICS, Event
from libs.events.contracts.base import EVERY_TOPIC, Topic
from libs.events.examples import load_example
from libs.events.schemas import schema_of

DAY_MS: Final = 24 * 3_600 * 1_000
KAFKA_BINDING: Final = "0.5.0"

Document = dict[str, Any]


def asyncapi_document(version: str) -> Document:
    """The whole document; `version` is the product's."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "opswire events",
            "version": version,
            "description": "Events of an online store's operations. CloudEvents 1.0 on Kafka in binary mode:"
            " the value is the JSON of `data`, attributes are headers, the key is `store/subject`."
            " Topic names may carry the prefix of the installation.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "variables": {"bootstrap": {"default": "127.0.0.1:9092", "description": "OPSWIRE_KAFKA"}},
            }
        },
        "channels": {topic.name: _channel(topic) for topic in TOPICS.values()},
        "operations": {f"{topic.owner}.writes.{topic.name}": _operation(topic) for topic in TOPICS.values()},
        "components": {
            "messages": {event.TYPE: _message(event) for event in EVENTS},
            "schemas": _schemas(),
        },
    }


def events_on(topic: str) -> list[type[Event]]:
    """The events of a topic, its beats included."""
    return [event for event in EVENTS if event.TOPIC in (topic, EVERY_TOPIC)]


def _channel(topic: Topic) -> Document:
    kafka: Document = {"topic": topic.name, "partitions": topic.partitions, "bindingVersion": KAFKA_BINDING}
    retention = -1 if topic.retention_days is None else topic.retention_days * DAY_MS
    return {
        "address": topic.name,
        "description": f"{topic.what}. Owner: {topic.owner}. Key: {topic.key}.",
        "messages": {event.TYPE: {"$ref": f"#/components/messages/{event.TYPE}"} for event in events_on(topic.name)},
        "bindings": {"kafka": {**kafka, "topicConfiguration": {"retention.ms": retention}}},
    }


def _operation(topic: Topic) -> Document:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": f"Only {topic.owner} writes {topic.name}.",
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{event.TYPE}"} for event in events_on(topic.name)],
    }


def _message(event: type[Event]) -> Document:
    example = load_example(event)
    headers = {f"ce_{name}": value for name, value in example.items() if name not in ("data", "datacontenttype")}
    return {
        "name": event.TYPE,
        "title": event.__name__,
        "summary": (event.__doc__ or "").partition("\n")[0],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/CloudEventHeaders"},
        "payload": {"$ref": f"#/components/schemas/{event.TYPE}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": "store/subject"}, "bindingVersion": "0.5.0"}},
        "examples": [{"name": "frozen", "headers": headers, "payload": example["data"]}],
    }


def _schemas() -> Document:
    schemas: Document = {"CloudEventHeaders": _headers()}
    for event in EVENTS:
        schema = schema_of(event)
        parts = schema.pop("$defs", {})
        for name, part in ({event.TYPE: schema} | parts).items():
            moved = _moved(part)
            if schemas.setdefault(name, moved) != moved:
                raise ValueError(f"two different schemas are called {name}")
    return schemas


def _moved(node: Any) -> Any:
    """A schema with its references led to the document's components, without its own identity."""
    if isinstance(node, list):
        return [_moved(part) for part in node]
    if not isinstance(node, dict):
        return node
    moved = {key: _moved(value) for key, value in node.items() if key not in ("$schema", "$id")}
    if isinstance(reference := moved.get("$ref"), str):
        moved["$ref"] = reference.replace("#/$defs/", "#/components/schemas/")
    return moved


def _headers() -> Document:
    text = {"type": "string"}
    instant = {"type": "string", "format": "date-time"}
    return {
        "type": "object",
        "description": "CloudEvents attributes; a header's value is UTF-8",
        "properties": {
            "ce_specversion": {"type": "string", "const": "1.0"},
            "ce_id": text,
            "ce_source": text,
            "ce_type": text,
            "ce_time": instant | {"description": "when it happened"},
            "ce_subject": text | {"description": "the key within the store"},
            "ce_store": text,
            "ce_recordedtime": instant | {"description": "when the platform accepted it"},
            "ce_causationid": text,
            "ce_correlationid": text,
            "ce_traceparent": text,
            "ce_importid": text,
        },
        "required": [
            *("ce_specversion", "ce_id", "ce_source", "ce_type"),
            *("ce_time", "ce_subject", "ce_store", "ce_recordedtime"),
        ],
    }
