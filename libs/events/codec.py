"""CloudEvents 1.0 on the wire: Kafka binary out, binary and structured in, the three HTTP modes in.

An event that arrives from outside is checked in full by `parse_http`, once, at the door of its owner. What lies on a
topic was written by that owner; `from_record` validates it again all the same, so that a foreign or damaged record
becomes a dead letter and not a wrong figure.
"""

import base64
import binascii
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from pydantic import ValidationError

from libs.events import strict_json
from libs.events.bus import Message, Record
from libs.events.contracts import BY_TYPE
from libs.events.contracts.base import DEAD_SUFFIX, EVERY_TOPIC, Event, parse_instant
from libs.events.ids import uuid7
from libs.events.strict_json import InvalidJson

E = TypeVar("E", bound=Event)

JSON: Final = "application/json"
STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
SPEC_VERSION: Final = "1.0"
MAX_BATCH: Final = 1_000
MAX_AGE_MS: Final = 24 * 3_600 * 1_000
MAX_ATTRIBUTE: Final = 1_000

_GIVEN: Final = frozenset(
    (
        *("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema"),
        *("store", "importid", "causationid", "correlationid", "traceparent", "tracestate"),
    )
)
"""The attributes that may come from outside."""
_ATTRIBUTES: Final = _GIVEN | {"recordedtime"}


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
    content_type = _media_type(_header(record, "content-type"))
    if content_type == STRUCTURED:
        given, data = _split(strict_json.loads(record.value))
        known = {name: value for name, value in given.items() if name in _ATTRIBUTES and value is not None}
        _refuse_strange(known)
        return known, data
    if content_type == BATCH:
        raise Undecodable("a batch is no record")
    attributes = read_attributes(record)
    if not attributes:
        raise Undecodable("neither binary nor structured CloudEvents")
    if content_type and not _is_json(content_type):
        raise Undecodable("data is not JSON")
    return attributes, strict_json.loads(record.value)


def _header(record: Record, wanted: str) -> str:
    for name, value in record.headers:
        if name == wanted or name.lower() == wanted:
            return value.decode("latin-1")
    return ""


def _split(document: Any) -> tuple[dict[str, Any], Any]:
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


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _is_json(media_type: str) -> bool:
    return media_type == JSON or media_type.endswith("+json")


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


# In, over HTTP


class UnsupportedMedia(Exception):
    """The content type is none of those that carry events (415)."""


class TooManyItems(Exception):
    """A batch over the limit (413); nothing of it was looked at."""


@dataclass(frozen=True, slots=True)
class Incoming(Generic[E]):
    """An event that passed the door: checked, not yet accepted, hence without a recorded time."""

    index: int
    id: str
    source: str
    store: str
    time: datetime
    data: E
    causation_id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    import_id: str | None = None

    def accepted(self, recorded_time: datetime) -> Envelope[E]:
        """The event as it goes to the bus."""
        return Envelope(
            id=self.id,
            source=self.source,
            store=self.store,
            subject=self.data.subject,
            time=self.time,
            recorded_time=recorded_time,
            data=self.data,
            causation_id=self.causation_id,
            correlation_id=self.correlation_id,
            traceparent=self.traceparent,
            import_id=self.import_id,
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """An item that was refused, as the answer lists it. The message never repeats the value."""

    index: int
    id: str | None
    pointer: str
    message: str
    code: str = "validation"


Item = Incoming[Any] | Refusal


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Door:
    """What a front door takes: the owner's event types, for one store or, with an operator's key, for any."""

    events: Collection[type[Event]]
    store: str | None = None
    """the store of the key or of the call; None: every event names its own"""
    source: str | None = None
    """for events without one; default `/stores/{store}/traffic` (D1)"""
    short_form: bool = False
    """whether `application/json` may carry the short form"""
    beacon_at: datetime | None = None
    """set for the browser beacon: when the call arrived; items then carry `age_ms` and never a time (D47)"""
    limit: int = MAX_BATCH


def parse_http(headers: Mapping[str, str], body: bytes, door: Door) -> list[Item]:
    """The events of a call, in its order, each accepted or refused by itself.

    Binary, structured and batch mode, an array or object of CloudEvents as `application/json`, and the short form where
    the door takes it. Raises InvalidJson (400: nothing of the body can be told apart), UnsupportedMedia, TooManyItems.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    media = _media_type(lower.get("content-type", ""))
    if media == STRUCTURED:
        return [_parse(_from_document, 0, strict_json.loads(body), door)]
    if media == BATCH:
        return _parse_array(strict_json.loads(body), door)
    if not _is_json(media):
        raise UnsupportedMedia(media or "no content type")
    if "ce-specversion" in lower:
        return [_parse(_from_binary, 0, (lower, strict_json.loads(body)), door)]
    document = strict_json.loads(body)
    return _parse_array(document if isinstance(document, list) else [document], door)


def _parse_array(document: Any, door: Door) -> list[Item]:
    if not isinstance(document, list):
        return [Refusal(0, None, "", "not an array")]
    if len(document) > door.limit:
        raise TooManyItems(f"{len(document)} items, at most {door.limit} a call")
    return [_parse(_from_document, index, item, door) for index, item in enumerate(document)]


def _parse(parse: Callable[[int, Any, Door], Incoming[Any]], index: int, given: Any, door: Door) -> Item:
    try:
        return parse(index, given, door)
    except _Refused as refused:
        return refused.refusal


class _Attributes:
    """The attributes of one item; whatever is wrong with one is a Refusal that names it."""

    __slots__ = ("id", "index", "values")

    def __init__(self, index: int, values: Mapping[str, Any]) -> None:
        self.index = index
        self.values = values
        self.id: str | None = None

    def refuse(self, pointer: str, message: str) -> _Refused:
        return _Refused(Refusal(self.index, self.id, pointer, message))

    def text(self, name: str, pattern: re.Pattern[str]) -> str | None:
        """The attribute, None when missing. Raises _Refused when it is no text of this pattern."""
        value = self.values.get(name)
        if value is None:
            return None
        if type(value) is not str or not pattern.fullmatch(value):
            raise self.refuse(f"/{name}", "not valid")
        return value

    def required(self, name: str, pattern: re.Pattern[str]) -> str:
        value = self.text(name, pattern)
        if value is None:
            raise self.refuse(f"/{name}", "missing")
        return value

    def only(self, known: frozenset[str]) -> None:
        """Raise _Refused when there is an attribute besides the known ones."""
        if not known.issuperset(self.values):
            unknown = next(name for name in self.values if name not in known)
            raise self.refuse(f"/{strict_json.escape(unknown)}", "unknown field")


_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_STORE = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_TYPE = re.compile(r"[a-z0-9_.]{1,100}")
_SOURCE = re.compile(r"[^\x00-\x20\x7f]{1,500}")
_SUBJECT = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_ANY = re.compile(r"(?s:.*)")


def _from_binary(index: int, given: tuple[Mapping[str, str], Any], door: Door) -> Incoming[Any]:
    headers, data = given
    values = {name[3:]: _percent_decoded(value) for name, value in headers.items() if name.startswith("ce-")}
    return _from_attributes(_Attributes(index, values), data, door)


def _percent_decoded(value: str) -> str:
    """A header value as the HTTP binding writes it: perhaps quoted, with percent-encoded UTF-8."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return unquote_to_bytes(value).decode("utf-8", "replace") if "%" in value else value


def _from_document(index: int, document: Any, door: Door) -> Incoming[Any]:
    if type(document) is not dict:
        raise _Refused(Refusal(index, None, "", "not an object"))
    if door.short_form and "specversion" not in document:
        return _from_short_form(_Attributes(index, document), door)
    try:
        values, data = _split(document)
    except InvalidJson as error:
        raise _Refused(Refusal(index, None, error.pointer, error.message)) from None
    return _from_attributes(_Attributes(index, values), data, door)


def _from_attributes(item: _Attributes, data: Any, door: Door) -> Incoming[Any]:
    item.id = item.required("id", _ID)
    item.only(_GIVEN)
    if item.values.get("specversion") != SPEC_VERSION:
        raise item.refuse("/specversion", "not 1.0")
    if not _is_json(_media_type(item.text("datacontenttype", _ANY) or JSON)):
        raise item.refuse("/datacontenttype", "not JSON")
    event = _door_contract(item, item.required("type", _TYPE), door)
    store = _store_of(item, door)
    incoming = Incoming(
        index=item.index,
        id=item.id,
        source=item.text("source", _SOURCE) or _default_source(door, store),
        store=store,
        time=_time_of(item),
        data=_validated(item, event, data, "/data"),
        causation_id=item.text("causationid", _SUBJECT),
        correlation_id=item.text("correlationid", _SUBJECT),
        traceparent=item.text("traceparent", _TRACEPARENT),
        import_id=item.text("importid", _ID),
    )
    if item.text("subject", _SUBJECT) not in (None, incoming.data.subject):
        raise item.refuse("/subject", f"not {' or '.join(event.KEY)} of the data")
    return incoming


_SHORT: Final = frozenset(("id", "type", "time", "age_ms", "importid"))


def _from_short_form(item: _Attributes, door: Door) -> Incoming[Any]:
    """The fields of data beside id, type and time; a missing id is made, `page.viewed` is its first version."""
    item.id = item.text("id", _ID) or uuid7()
    name = item.required("type", _TYPE)
    event = _door_contract(item, name if _VERSION.fullmatch(name.rpartition(".")[2]) else f"{name}.v1", door)
    if door.store is None:
        raise item.refuse("", "the call names no store")
    data = {field: value for field, value in item.values.items() if field not in _SHORT}
    return Incoming(
        index=item.index,
        id=item.id,
        source=_default_source(door, door.store),
        store=door.store,
        time=_time_of(item) if door.beacon_at is None else _beacon_time(item, door.beacon_at),
        data=_validated(item, event, data, ""),
        import_id=item.text("importid", _ID),
    )


def _door_contract(item: _Attributes, name: str, door: Door) -> type[Event]:
    event = BY_TYPE.get(name)
    if event is None or event not in door.events:
        raise item.refuse("/type", "not a type that is taken here")
    return event


def _store_of(item: _Attributes, door: Door) -> str:
    store = item.text("store", _STORE) or door.store
    if store is None:
        raise item.refuse("/store", "missing")
    if door.store is not None and store != door.store:
        raise item.refuse("/store", "not the store of the key")
    return store


def _default_source(door: Door, store: str) -> str:
    return door.source or f"/stores/{store}/traffic"


def _time_of(item: _Attributes) -> datetime:
    if "age_ms" in item.values:
        raise item.refuse("/age_ms", "unknown field")
    try:
        return parse_instant(item.required("time", _ANY))
    except ValueError as error:
        raise item.refuse("/time", str(error)) from None


def _beacon_time(item: _Attributes, beacon_at: datetime) -> datetime:
    if "time" in item.values:
        raise item.refuse("/time", "the beacon sends age_ms")
    age = item.values.get("age_ms", 0)
    if type(age) is not int or not 0 <= age <= MAX_AGE_MS:
        raise item.refuse("/age_ms", "not milliseconds of at most a day")
    return beacon_at - timedelta(milliseconds=age)


def _validated(item: _Attributes, event: type[Event], data: Any, prefix: str) -> Event:
    try:
        return event.model_validate(data, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as error:
        pointer, message = first_error(error)
        raise item.refuse(prefix + pointer, message) from None


def first_error(error: ValidationError) -> tuple[str, str]:
    """The JSON pointer and the message of the first thing that was wrong; never the value."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    pointer = "".join(f"/{strict_json.escape(str(part))}" for part in first["loc"])
    return pointer[: strict_json.MAX_POINTER], first["msg"]


__all__ = [
    "BATCH",
    "JSON",
    "STRUCTURED",
    "Door",
    "Envelope",
    "Incoming",
    "InvalidJson",
    "Item",
    "Refusal",
    "TooManyItems",
    "Undecodable",
    "UnknownType",
    "UnknownVersion",
    "UnsupportedMedia",
    "data_json",
    "find_contract",
    "first_error",
    "from_record",
    "parse_http",
    "read_attributes",
    "to_message",
    "to_structured",
]
