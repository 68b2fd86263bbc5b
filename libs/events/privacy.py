"""Keeping people out of events: what looks like a person is replaced or masked at the door (D7, D8, P12).

Only ids of the storefront's own may travel. These functions are pure; the key of the installation is the caller's.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final, TypeVar, get_args

from pydantic.fields import FieldInfo

from libs.events.contracts.base import FreeText, PersonReference, Value

V = TypeVar("V", bound=Value)

PSEUDONYM_PREFIX: Final = "h_"
PHONE_MASK: Final = "[phone]"
MAIL_MASK: Final = "[mail]"
ID_CARD_MASK: Final = "[id card]"

_GAP = r"[ \u00a0.\-]?"
_MOBILE = rf"(?:(?:\+|00)?86{_GAP})?1[3-9][0-9]{_GAP}[0-9]{{4}}{_GAP}[0-9]{{4}}"
_LANDLINE = r"(?:\(0[0-9]{2,3}\) ?|0[0-9]{2,3}[ \-])[2-9][0-9]{6,7}(?:-[0-9]{1,5})?"
_FOREIGN = r"\+[1-9][0-9]{0,2}(?:[ \-.()]{0,2}[0-9]){6,13}"
_PHONE = rf"(?:{_MOBILE}|{_LANDLINE}|{_FOREIGN})"
_MAIL = r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,}"
_ID_CARD = r"[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]"
_BARE_LANDLINE = r"0[1-9][0-9]{1,2}[2-9][0-9]{6,7}"

_WHOLE = re.compile(rf"\s*(?:tel:)?\s*(?:{_PHONE}|{_BARE_LANDLINE}|{_ID_CARD})\s*")
_MAIL_IN_TEXT = re.compile(rf"(?<![A-Za-z0-9._%+\-]){_MAIL}")
_ID_CARD_IN_TEXT = re.compile(rf"(?<![A-Za-z0-9]){_ID_CARD}(?![A-Za-z0-9])")
_PHONE_IN_TEXT = re.compile(rf"(?<![A-Za-z0-9]){_PHONE}(?![0-9])")
_FULL_WIDTH = {ord("０") + n: ord("0") + n for n in range(10)} | {ord("＋"): "+", ord("＠"): "@", ord("－"): "-"}


def looks_personal(value: str) -> bool:
    """Whether a reference is really a phone number, a mail address or a Chinese ID-card number."""
    plain = value.translate(_FULL_WIDTH)
    return bool(_WHOLE.fullmatch(plain) or _MAIL_IN_TEXT.search(plain))


def pseudonym(key: bytes, value: str) -> str:
    """`h_` and a keyed hash: one for a person, however the number is written; nobody can go back without the key."""
    digest = hmac.new(key, _normalised(value).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return PSEUDONYM_PREFIX + digest[:32]


def safe_reference(key: bytes, value: str) -> str:
    """A customer reference as it may travel: kept as given, or its pseudonym where it looks personal (D7)."""
    return pseudonym(key, value) if looks_personal(value) else value


def mask_text(text: str) -> str:
    """Free text with phone numbers, mail addresses and ID-card numbers replaced (D8)."""
    plain = text.translate(_FULL_WIDTH)
    masked = _MAIL_IN_TEXT.sub(MAIL_MASK, plain)
    masked = _ID_CARD_IN_TEXT.sub(ID_CARD_MASK, masked)
    masked = _PHONE_IN_TEXT.sub(PHONE_MASK, masked)
    return text if masked == plain else masked


def strip_query(url_path: str) -> str:
    """The path alone: without query, fragment, scheme and host (D8)."""
    path = re.split(r"[?#]", url_path, maxsplit=1)[0]
    path = re.sub(r"^(?:[A-Za-z][A-Za-z0-9+.\-]*:)?//[^/]*", "", path)
    return path or "/"


def scrub(value: V, key: bytes) -> V:
    """An event as it may go to the bus: references replaced, free text masked, the query of `url_path` dropped.

    Parts of the event are scrubbed too; free JSON (figures, policies) is its owner's to keep clean.
    """
    changes: dict[str, Any] = {}
    for name, clean in _cleaners(type(value)):
        given = getattr(value, name)
        if given is not None and (cleaned := clean(given, key)) != given:
            changes[name] = cleaned
    return value.model_copy(update=changes) if changes else value


_Clean = Callable[[Any, bytes], Any]


@cache
def _cleaners(model: type[Value]) -> tuple[tuple[str, _Clean], ...]:
    found = ((name, _cleaner(name, info)) for name, info in model.model_fields.items())
    return tuple((name, clean) for name, clean in found if clean is not None)


def _cleaner(name: str, info: FieldInfo) -> _Clean | None:
    parts = list(_parts(info.annotation)) + info.metadata
    if name == "url_path":
        return lambda text, _: mask_text(strip_query(text))
    if any(isinstance(part, PersonReference) for part in parts):
        return lambda text, key: safe_reference(key, text)
    if any(isinstance(part, FreeText) for part in parts):
        return lambda text, _: mask_text(text)
    if any(isinstance(part, type) and issubclass(part, Value) and _cleaners(part) for part in parts):
        return _scrub_parts
    return None


def _scrub_parts(value: Any, key: bytes) -> Any:
    if isinstance(value, tuple):
        return tuple(scrub(part, key) for part in value)
    return scrub(value, key)


def _parts(annotation: Any) -> Iterator[Any]:
    """Everything an annotation is made of: types and markers, however deep."""
    yield annotation
    yield from getattr(annotation, "__metadata__", ())
    for part in get_args(annotation):
        yield from _parts(part)


def _normalised(value: str) -> str:
    plain = value.translate(_FULL_WIDTH).strip().lower().removeprefix("tel:").removeprefix("mailto:").strip()
    if "@" in plain:
        return plain
    digits = re.sub(r"[^0-9x]", "", plain)
    return re.sub(r"^(?:00)?86(?=1[3-9][0-9]{9}$)", "", digits)
