"""The fast reading of the short form: an array of traffic events, straight from bytes to messages for the bus.

It accepts what `parse_http` accepts and makes the same messages, at a fifth of the cost; whatever it does not accept at
once it leaves to `parse_http`, which finds the place and the words. `tests/kpi/test_short_form.py` holds both to one
corpus.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Annotated, Any

import msgspec

from libs.events import strict_json
from libs.events.bus import Headers, Message
from libs.events.codec import JSON, SPEC_VERSION
from libs.events.contracts import (
    CartAdded,
    CartRemoved,
    CheckoutStarted,
    Event,
    PageViewed,
    ProductFavorited,
    parse_instant,
)
from libs.events.door import MAX_AGE_MS, TooManyItems
from libs.events.exact import exact
from libs.events.ids import uuid7
from services.kpi.scrubbing import Scrubber

TRAFFIC: tuple[type[Event], ...] = (PageViewed, CartAdded, CartRemoved, ProductFavorited, CheckoutStarted)
TOPIC = PageViewed.TOPIC

_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,128}\Z")]
_Age = Annotated[int, msgspec.Meta(ge=0, le=MAX_AGE_MS)]


def short_name(event: type[Event]) -> str:
    """The type without its version: `page.viewed`."""
    return event.TYPE.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is the same for all events of one type."""

    header: tuple[str, bytes]
    tag: int
    """how many bytes of an encoded struct are its tag"""


def _structs(**before: Any) -> dict[type[Any], _Kind]:
    """A struct for each event type, and what belongs to it."""
    return {
        exact(event, before=before, tag=short_name(event)): _Kind(
            ("ce_type", event.TYPE.encode()), len(f'{{"type":"{short_name(event)}",')
        )
        for event in TRAFFIC
    }


def _decoder(structs: Iterable[type[Any]]) -> msgspec.json.Decoder[list[Any]]:
    event: Any = reduce(or_, structs)
    return msgspec.json.Decoder(list[event])


_TIMED = _structs(id=_Id, time=str, importid=_Id)
_AGED = _structs(id=_Id, age_ms=_Age, importid=_Id)
_KINDS = {**_TIMED, **_AGED}
_decode_timed = _decoder(_TIMED).decode
_decode_aged = _decoder(_AGED).decode
_encode = msgspec.json.Encoder().encode
_UNSET = msgspec.UNSET
_new = tuple.__new__
_FIRST = (("content-type", JSON.encode()), ("ce_specversion", SPEC_VERSION.encode()))


@dataclass(frozen=True, slots=True)
class Reception:
    """Where and when a call came in."""

    store: str
    received: datetime
    beacon: bool = False


def read_short_form(body: bytes, reception: Reception, scrubber: Scrubber, limit: int) -> list[Message] | None:
    """The messages of a body of which every item is good; None when it has to be read the careful way.

    Raises TooManyItems; InvalidJson for duplicate keys and what else no decoder of ours takes.
    """
    try:
        events = (_decode_aged if reception.beacon else _decode_timed)(body)
        if len(events) > limit:
            raise TooManyItems(f"{len(events)} items, at most {limit} a call")
        messages, keys = _messages(events, reception, scrubber)
    except (msgspec.MsgspecError, UnicodeDecodeError, _Unreadable):
        return None
    if not _has_keys(body, keys):
        strict_json.loads(body)
    return messages


class _Unreadable(Exception):
    """A value that the decoder took and the contract does not."""


def _has_keys(body: bytes, keys: int) -> bool:
    """Whether the body is proven to have exactly this many keys, so none of them twice.

    Without escapes every key ends in a quote and, blanks aside, a colon: there are at most as many keys as such pairs.
    """
    return b"\\" not in body and body.translate(None, b" \t\r\n").count(b'":') == keys


def _messages(events: Sequence[Any], reception: Reception, scrubber: Scrubber) -> tuple[list[Message], int]:
    """The messages, and how many keys a body of these events has when none is there twice.

    One loop on purpose: this is run for every event of every storefront.
    """
    store = reception.store.encode()
    key, source = store + b"/", ("ce_source", b"/stores/%b/traffic" % store)
    last = (("ce_store", store), ("ce_recordedtime", reception.received.isoformat().encode()))
    messages: list[Message] = []
    keys = 0
    for event in events:
        kind = _KINDS[event.__class__]
        event_id, counted = _take_id(event)
        time, timed = _take_age(event, reception.received) if reception.beacon else _take_time(event)
        imported = event.importid
        event.importid = _UNSET
        value = _encode(event)
        keys += counted + timed + (imported is not _UNSET) + value.count(b'":')
        if scrubber.scrub(event):
            value = _encode(event)
        visitor = event.visitor_id.encode()
        headers: Headers = (
            *_FIRST,
            ("ce_id", event_id),
            source,
            kind.header,
            ("ce_time", time),
            ("ce_subject", visitor),
            *last,
        )
        if imported is not _UNSET:
            headers = (*headers, ("ce_importid", imported.encode()))
        messages.append(_new(Message, (TOPIC, key + visitor, b"{" + value[kind.tag :], headers)))
    return messages, keys


def _take_id(event: Any) -> tuple[bytes, int]:
    """The id, made where it is missing, and how many keys it had."""
    given, event.id = event.id, _UNSET
    return (uuid7().encode(), 0) if given is _UNSET else (given.encode(), 1)


def _take_time(event: Any) -> tuple[bytes, int]:
    given, event.time = event.time, _UNSET
    try:
        parse_instant(given)
    except (TypeError, ValueError):
        raise _Unreadable from None
    return given.encode(), 1


def _take_age(event: Any, received: datetime) -> tuple[bytes, int]:
    age, event.age_ms = event.age_ms, _UNSET
    counted = 0 if age is _UNSET else 1
    return (received - timedelta(milliseconds=age or 0)).isoformat().encode(), counted
