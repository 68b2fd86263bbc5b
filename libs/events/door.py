"""The front door of events: CloudEvents over HTTP in their three modes, and the short form of the storefront.

Here, once, an event is checked in full; unknown fields are refused. A bad item is a `Refusal` with its place and never
stands in the way of the others.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from pydantic import ValidationError

from libs.events import strict_json
from libs.events.codec import (
    BATCH,
    GIVEN,
    JSON,
    SPEC_VERSION,
    STRUCTURED,
    Envelope,
    first_error,
    is_json,
    media_type,
    split_structured,
)
from libs.events.contracts import BY_TYPE
from libs.events.contracts.base import Event, parse_instant
from libs.events.ids import uuid7
from libs.events.strict_json import InvalidJson

E = TypeVar("E", bound=Event)

MAX_BATCH: Final = 1_000
MAX_AGE_MS: Final = 24 * 3_600 * 1_000


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
    media = media_type(lower.get("content-type", ""))
    if media == STRUCTURED:
        return [_parse(_from_document, 0, strict_json.loads(body), door)]
    if media == BATCH:
        return _parse_array(strict_json.loads(body), door)
    if not is_json(media):
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
_VERSION = re.compile(r"v[0-9]+")


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
        values, data = split_structured(document)
    except InvalidJson as error:
        raise _Refused(Refusal(index, None, error.pointer, error.message)) from None
    return _from_attributes(_Attributes(index, values), data, door)


def _from_attributes(item: _Attributes, data: Any, door: Door) -> Incoming[Any]:
    item.id = item.required("id", _ID)
    item.only(GIVEN)
    if item.values.get("specversion") != SPEC_VERSION:
        raise item.refuse("/specversion", "not 1.0")
    if not is_json(media_type(item.text("datacontenttype", _ANY) or JSON)):
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
