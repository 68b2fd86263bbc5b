"""CloudEvents 1.0 on the bus: binary mode out, binary and structured mode in. What comes over HTTP: `door.py`.

What lies on a topic was checked in full at its owner's door; `from_record` validates it again all the same, so that a
foreign or damaged record becomes a dead letter and not a wrong figure.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError

from libs.events import strict_json
from libs.events.bus import Message, Record
from libs.events.contracts import BY_TYPE
from libs.events.contracts.base import DEAD_SUFFIX, EVERY_TOPIC, Event, parse_instant
from libs.events.strict_json import InvalidJson

E = TypeVar("E", bound=Event)

JSON: Final = "application/json"
STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
SPEC_VERSION: Final = "1.0"
MAX_ATTRIBUTE: Final = 1_000

GIVEN: Final = frozenset(
    (
        *("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema"),
        *("store", "importid", "causationid", "correlationid", "traceparent", "tracestate"),
    )
)
"""The attributes that may come from outside."""
_ATTRIBUTES: Final = GIVEN | {"recordedtime"}


class Undecodable(Exception):
    """A record that is no event of ours; `reason` goes to the dead letters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownType(Exception):
    """An event type that this version has no contract for."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown type {name}")
        self.type = name


class UnknownVersion(Exception):
    """A known event type in a version that this version has no contract for."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown version {name}")
        self.type = name

    @property
    def noun_verb(self) -> str:
        """The type without its version, such as `order.paid`."""
        return self.type.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Envelope(Generic[E]):
    """One event as it travels. `time` is when it happened, `recorded_time` when the platform accepted it."""

    id: str
    source: str
    store: str
    subject: str
    time: datetime
    recorded_time: datetime
    data: E
    causation_id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    import_id: str | None = None

    @property
    def type(self) -> str:
        return self.data.TYPE

    @property
    def topic(self) -> str:
        """The topic; a beat belongs to the one that is its subject (D75)."""
        return self.subject if self.data.TOPIC == EVERY_TOPIC else self.data.TOPIC


# Out


def data_json(event: Event) -> bytes:
    """The JSON of `data`, optional fields left out where they are None."""
    return event.__pydantic_serializer__.to_json(event, by_alias=True, exclude_none=True)


def to_message(envelope: Envelope[Any], *, topic: str | None = None) -> Message:
    """An event for the bus, in binary mode: key `store/subject`, attributes as `ce_` headers."""
    headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.id.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_type", envelope.data.TYPE.encode()),
        ("ce_time", envelope.time.isoformat().encode()),
        ("ce_subject", envelope.subject.encode()),
        ("ce_store", envelope.store.encode()),
        ("ce_recordedtime", envelope.recorded_time.isoformat().encode()),
    ]
    for name, value in (
        ("ce_causationid", envelope.causation_id),
        ("ce_correlationid", envelope.correlation_id),
        ("ce_traceparent", envelope.traceparent),
        ("ce_importid", envelope.import_id),
    ):
        if value is not None:
            headers.append((name, value.encode()))
    return Message(
        topic=topic or envelope.topic,
        key=f"{envelope.store}/{envelope.subject}".encode(),
        value=data_json(envelope.data),
        headers=tuple(headers),
    )


def to_structured(envelope: Envelope[Any]) -> dict[str, Any]:
    """An event as one CloudEvents JSON object: for examples, pages and people, not for the bus."""
    attributes = {name[3:]: value.decode() for name, value in to_message(envelope).headers if name.startswith("ce_")}
    return {**attributes, "datacontenttype": JSON, "data": strict_json.loads(data_json(envelope.data))}


# In, from the bus


def from_record(record: Record) -> Envelope[Any]:
    """The event in a record, in binary or structured mode.

    Raises UnknownType, UnknownVersion; Undecodable for everything that can never become an event of this topic.
    """
    try:
        attributes, data = _read(record)
        event = _contract_of(attributes, record.topic)
        return _envelope(attributes, event.model_validate(data))
    except InvalidJson as error:
        raise Undecodable(f"invalid JSON: {error}") from None
    except ValidationError as error:
        pointer, message = first_error(error)
        raise Undecodable(f"/data{pointer}: {message}") from None


def read_attributes(record: Record) -> dict[str, str]:
    """The CloudEvents attributes of a record in binary mode, without looking at its data. Raises Undecodable."""
    try:
        attributes = {name[3:]: value.decode() for name, value in record.headers if name[:3] == "ce_"}
    except UnicodeDecodeError:
        raise Undecodable("a header is not UTF-8") from None
    _refuse_strange(attributes)
    return attributes


def _refuse_strange(attributes: Mapping[str, Any]) -> None:
    """Raise Undecodable unless all are short texts without NUL."""
    for name, value in attributes.items():
        if type(value) is not str or len(value) > MAX_ATTRIBUTE or "\0" in value:
            raise Undecodable(f"{name} is not a short text")


def _read(record: Record) -> tuple[Mapping[str, str], Any]:
    """Attributes and data; the content type decides the mode, whatever other headers say."""
    content_type = media_type(_header(record, "content-type"))
    if content_type == STRUCTURED:
        given, data = split_structured(strict_json.loads(record.value))
        known = {name: value for name, value in given.items() if name in _ATTRIBUTES and value is not None}
        _refuse_strange(known)
        return known, data
    if content_type == BATCH:
        raise Undecodable("a batch is no record")
    attributes = read_attributes(record)
    if not attributes:
        raise Undecodable("neither binary nor structured CloudEvents")
    if content_type and not is_json(content_type):
        raise Undecodable("data is not JSON")
    return attributes, strict_json.loads(record.value)


def _header(record: Record, wanted: str) -> str:
    for name, value in record.headers:
        if name == wanted or name.lower() == wanted:
            return value.decode("latin-1")
    return ""


def split_structured(document: Any) -> tuple[dict[str, Any], Any]:
    """Attributes and data of a structured event. Raises InvalidJson with the pointer."""
    if not isinstance(document, dict):
        raise InvalidJson("not an object")
    attributes = {name: value for name, value in document.items() if name not in ("data", "data_base64")}
    if "data_base64" not in document:
        return attributes, document.get("data")
    if "data" in document:
        raise InvalidJson("data and data_base64 together", "/data_base64")
    return attributes, _from_base64(document["data_base64"])


def _from_base64(value: Any) -> Any:
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise InvalidJson("not base64", "/data_base64") from None
    return strict_json.loads(raw)


def media_type(content_type: str) -> str:
    """`application/json` of `application/json; charset=utf-8`."""
    return content_type.partition(";")[0].strip().lower()


def is_json(media: str) -> bool:
    """Whether data of this media type is JSON."""
    return media == JSON or media.endswith("+json")


_KNOWN = frozenset(name.rpartition(".")[0] for name in BY_TYPE)
_VERSION = re.compile(r"v[0-9]+")


def find_contract(name: str) -> type[Event]:
    """The contract of a wire name such as `order.paid.v1`. Raises UnknownVersion, UnknownType."""
    event = BY_TYPE.get(name)
    if event is not None:
        return event
    noun_verb, _, version = name.rpartition(".")
    if noun_verb in _KNOWN and _VERSION.fullmatch(version):
        raise UnknownVersion(name)
    raise UnknownType(name)


def _contract_of(attributes: Mapping[str, str], topic: str) -> type[Event]:
    """The contract of a record's type, if it may lie on this topic. Raises UnknownVersion, UnknownType, Undecodable."""
    if attributes.get("specversion") != SPEC_VERSION:
        raise Undecodable("specversion is not 1.0")
    event = find_contract(_required(attributes, "type"))
    if event.TOPIC not in (topic, EVERY_TOPIC) and topic != event.TOPIC + DEAD_SUFFIX:
        raise Undecodable(f"{event.TYPE} does not belong on topic {topic}")
    return event


def _envelope(attributes: Mapping[str, str], data: Event) -> Envelope[Any]:
    optional = attributes.get
    return Envelope(
        _required(attributes, "id"),
        _required(attributes, "source"),
        _required(attributes, "store"),
        optional("subject") or data.subject,
        _time(attributes, "time"),
        _time(attributes, "recordedtime"),
        data,
        optional("causationid"),
        optional("correlationid"),
        optional("traceparent"),
        optional("importid"),
    )


def _required(attributes: Mapping[str, str], name: str) -> str:
    value = attributes.get(name)
    if not value:
        raise Undecodable(f"{name} is missing")
    return value


def _time(attributes: Mapping[str, str], name: str) -> datetime:
    try:
        return parse_instant(_required(attributes, name))
    except ValueError as error:
        raise Undecodable(f"{name}: {error}") from None


def first_error(error: ValidationError) -> tuple[str, str]:
    """The JSON pointer and the message of the first thing that was wrong; never the value."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    pointer = "".join(f"/{strict_json.escape(str(part))}" for part in first["loc"])
    return pointer[: strict_json.MAX_POINTER], first["msg"]
