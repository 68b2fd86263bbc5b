"""The fast reading of the short form: an array of traffic events, straight from bytes to messages for the bus.

It accepts what `parse_http` accepts and makes the same messages, at a quarter of the cost; what it does not accept at
once it leaves to `parse_http`, which finds the place and the words. `tests/kpi/test_short_form.py` holds both to one
corpus. What makes it fast: characters and times are looked at for the whole body at once, in a few scans of bytes.
"""

import re
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
)
from libs.events.door import MAX_AGE_MS, TooManyItems
from libs.events.exact import character_classes, exact
from libs.events.ids import uuid7
from services.kpi.scrubbing import Scrubber

TRAFFIC: tuple[type[Event], ...] = (PageViewed, CartAdded, CartRemoved, ProductFavorited, CheckoutStarted)
TOPIC = PageViewed.TOPIC

_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,128}\Z")]
_AnyId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Age = Annotated[int, msgspec.Meta(ge=0, le=MAX_AGE_MS)]
_UNSET = msgspec.UNSET
_ID_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"
_SKU_BYTES = _ID_BYTES.replace(b":", b"")
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_RFC3339 = re.compile(rb"0000-00-00[Tt]00:00:00(\.0{1,9})?([Zz]|[+-]00:00)")


def _check_classes() -> None:
    """The loop below looks at these fields' characters; a contract that changes must change it too."""
    ids = dict.fromkeys(("visitor_id", "session_id", "campaign"), "A-Za-z0-9._:-") | {"sku": "A-Za-z0-9._-"}
    for event in TRAFFIC:
        narrow = {name: kind for name, kind in character_classes(event).items() if not kind.startswith("^")}
        others = set(character_classes(event).values()) - set(narrow.values()) - {r"^\x00-\x1f\x7f"}
        if narrow != ids or others:
            raise TypeError(f"{event.TYPE} has other characters than the short form's reading looks at")


_check_classes()


def short_name(event: type[Event]) -> str:
    """The type without its version: `page.viewed`."""
    return event.TYPE.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is the same for all events of one type."""

    header: tuple[str, bytes]
    tag: int
    """how many bytes of an encoded struct are its tag"""


def _structs(*, any_characters: bool, **before: Any) -> dict[type[Any], _Kind]:
    """A struct for each event type, and what belongs to it."""
    return {
        exact(event, before=before, tag=short_name(event), any_characters=any_characters): _Kind(
            ("ce_type", event.TYPE.encode()), len(f'{{"type":"{short_name(event)}",')
        )
        for event in TRAFFIC
    }


def _decoder(structs: Iterable[type[Any]]) -> msgspec.json.Decoder[list[Any]]:
    event: Any = reduce(or_, structs)
    return msgspec.json.Decoder(list[event])


_TIMED = _structs(any_characters=False, id=_Id, time=str, importid=_Id)
_AGED = _structs(any_characters=False, id=_Id, age_ms=_Age, importid=_Id)
_PLAIN_TIMED = _structs(any_characters=True, id=_AnyId, time=str, importid=_AnyId)
_PLAIN_AGED = _structs(any_characters=True, id=_AnyId, age_ms=_Age, importid=_AnyId)
_KINDS = {**_TIMED, **_AGED, **_PLAIN_TIMED, **_PLAIN_AGED}
_DECODE = {
    (plain, beacon): _decoder(structs).decode
    for plain, beacon, structs in (
        (False, False, _TIMED),
        (False, True, _AGED),
        (True, False, _PLAIN_TIMED),
        (True, True, _PLAIN_AGED),
    )
}
_encode = msgspec.json.Encoder().encode
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
    plain = b"\\" not in body and b"\x7f" not in body
    try:
        events = _DECODE[plain, reception.beacon](body)
        if len(events) > limit:
            raise TooManyItems(f"{len(events)} items, at most {limit} a call")
        messages, keys = _messages(events, reception, scrubber)
    except (msgspec.MsgspecError, ValueError, TypeError, _Unreadable):
        return None
    if not (plain and _has_keys(body, keys)):
        strict_json.loads(body)
    return messages


class _Unreadable(Exception):
    """A value that the decoder took and the contract does not."""


def _has_keys(body: bytes, keys: int) -> bool:
    """Whether a body without escapes is proven to have exactly this many keys, so none of them twice.

    Every key ends in a quote and, blanks aside, a colon: there are at most as many keys as such pairs.
    """
    return body.translate(None, b" \t\r\n").count(b'":') == keys


def _messages(events: Sequence[Any], reception: Reception, scrubber: Scrubber) -> tuple[list[Message], int]:
    """The messages, and how many keys a body of these events has when none is there twice. Raises _Unreadable.

    One loop on purpose: it is run for every event of every storefront. A body without escapes and DEL has no control
    characters, so that only ids, SKUs and times are left to be looked at.
    """
    store, received, beacon = reception.store.encode(), reception.received, reception.beacon
    key, source = store + b"/", ("ce_source", b"/stores/%b/traffic" % store)
    last = (("ce_store", store), ("ce_recordedtime", received.isoformat().encode()))
    fromisoformat, kinds, scrub = datetime.fromisoformat, _KINDS, scrubber.scrub
    messages: list[Message] = []
    values: list[bytes] = []
    ids: list[str] = []
    skus: list[str] = []
    times: list[str] = []
    keys = 0
    for event in events:
        kind = kinds[event.__class__]
        if (event_id := event.id) is _UNSET:
            event_id = uuid7()
        else:
            event.id = _UNSET
            ids.append(event_id)
            keys += 1
        if beacon:
            if (age := event.age_ms) is _UNSET:
                age = 0
            else:
                event.age_ms = _UNSET
                keys += 1
            time = (received - timedelta(milliseconds=age)).isoformat()
        else:
            time = event.time
            event.time = _UNSET
            fromisoformat(time)
            times.append(time)
            keys += 1
        if (imported := event.importid) is not _UNSET:
            event.importid = _UNSET
            ids.append(imported)
            keys += 1
        ids.append(visitor := event.visitor_id)
        if (session := event.session_id) is not None:
            ids.append(session)
        if (campaign := event.campaign) is not None:
            ids.append(campaign)
        if (sku := event.sku) is not None:
            skus.append(sku)
        values.append(value := _encode(event))
        if scrub(event):
            value = _encode(event)
        subject = visitor.encode()
        headers: Headers = (
            *_FIRST,
            ("ce_id", event_id.encode()),
            source,
            kind.header,
            ("ce_time", time.encode()),
            ("ce_subject", subject),
            *last,
        )
        if imported is not _UNSET:
            headers = (*headers, ("ce_importid", imported.encode()))
        messages.append(_new(Message, (TOPIC, key + subject, b"{" + value[kind.tag :], headers)))
    _check_characters(ids, skus)
    _check_times(times)
    return messages, keys + b"".join(values).count(b'":')


def _check_characters(ids: Sequence[str], skus: Sequence[str]) -> None:
    """Raises _Unreadable where one of them has a character that ids and SKUs cannot have."""
    if "".join(ids).encode().translate(None, _ID_BYTES) or "".join(skus).encode().translate(None, _SKU_BYTES):
        raise _Unreadable


def _check_times(times: Sequence[str]) -> None:
    """Raises _Unreadable where one of them, which is a time of some ISO 8601 form, has not that of RFC 3339."""
    if times and not (min(times) >= "1970" and max(times) < "9999"):
        raise _Unreadable
    for shape in set(",".join(times).encode().translate(_DIGITS).split(b",")) if times else ():
        if not _RFC3339.fullmatch(shape):
            raise _Unreadable
