"""The one JSON decoder for HTTP and bus: what it lets through, every later part can hold.

Refused besides broken JSON: NaN and Infinity, numbers that overflow, integers over 64 bit, duplicate keys, NUL, lone
surrogates, more than 64 levels, invalid UTF-8, a byte order mark. A refusal names the place as an RFC 6901 pointer
where there is one, and never repeats a value.

The common document is read once by the C scanner; only suspicious bytes and failures cost a second look.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import msgspec

MAX_DEPTH: Final = 64
_INT_LIMIT: Final = 2**63 - 1
_LONGEST_INT: Final = 20

_NUMBERS_TO_CHECK = re.compile(rb"[0-9][eE]|[0-9]{19}")
"""Bytes without which no number can overflow."""
_TEXTS_TO_CHECK = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
"""Escapes without which no text can hold NUL or a surrogate."""


class InvalidJson(ValueError):
    """A document that is refused. `pointer` (RFC 6901) is empty where the place has none, as in broken syntax."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(f"{pointer}: {message}" if pointer else message)
        self.pointer = pointer
        self.message = message


def loads(raw: bytes) -> Any:
    """The value of a JSON document. Raises InvalidJson."""
    text = _text(raw)
    try:
        value = (_careful if _NUMBERS_TO_CHECK.search(raw) else _quick).decode(text)
    except _Fault:
        _locate(text)
    except json.JSONDecodeError as error:
        raise InvalidJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise InvalidJson(_TOO_DEEP) from None
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        _check_depth(value)
    if _TEXTS_TO_CHECK.search(raw):
        _check_texts(value)
    return value


_encode = msgspec.json.Encoder().encode


def dumps(value: Any) -> bytes:
    """Compact JSON in UTF-8. Raises ValueError for what `loads` would refuse of numbers and texts."""
    try:
        raw = _encode(value)
    except UnicodeEncodeError as error:
        raise ValueError("lone surrogate") from error
    if b"null" in raw:
        _check_finite(value)
    return raw


_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"
_DUPLICATE: Final = "duplicate key"
_NOT_A_NUMBER: Final = "not a JSON number"
_OVERFLOW: Final = "number out of range"


class _Fault(Exception):
    """Something to be refused was met; the second reading finds out where."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Left by the second reading in the place of what is refused."""

    message: str
    key: str | None = None


def _text(raw: bytes) -> str:
    if raw.startswith(b"\xef\xbb\xbf"):
        raise InvalidJson("byte order mark")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidJson(f"invalid UTF-8 at byte {error.start}") from None


def _raise_fault(_: str) -> NoReturn:
    raise _Fault


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Fault
    return members


def _int(text: str) -> int:
    if len(text) > _LONGEST_INT or abs(value := int(text)) > _INT_LIMIT:
        raise _Fault
    return value


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _Fault
    return value


_quick = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_raise_fault)
_careful = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_raise_fault, parse_int=_int, parse_float=_float)


# The second reading: the same rules, with the place.


def _locate(text: str) -> NoReturn:
    locating = json.JSONDecoder(
        object_pairs_hook=_mark_object,
        parse_constant=lambda _: _Found(_NOT_A_NUMBER),
        parse_int=_mark_int,
        parse_float=_mark_float,
    )
    try:
        value = locating.decode(text)
    except json.JSONDecodeError as error:
        raise InvalidJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise InvalidJson(_TOO_DEEP) from None
    for pointer, node in _walk(value):
        if isinstance(node, _Found):
            at = pointer if node.key is None else f"{pointer}/{escape(node.key)}"
            raise InvalidJson(node.message, at)
    raise InvalidJson("refused")


def _mark_object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Found:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            return _Found(_DUPLICATE, key)
        members[key] = value
    return members


def _mark_int(text: str) -> int | _Found:
    try:
        return _int(text)
    except _Fault:
        return _Found(_OVERFLOW)


def _mark_float(text: str) -> float | _Found:
    try:
        return _float(text)
    except _Fault:
        return _Found(_OVERFLOW)


def escape(key: str) -> str:
    """A key or index as a token of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _walk(value: Any) -> Any:
    """Every node with its pointer, parents first, in document order; no recursion."""
    pending: list[tuple[str, Any]] = [("", value)]
    while pending:
        pointer, node = pending.pop()
        yield pointer, node
        if type(node) is dict:
            pending += [(f"{pointer}/{escape(key)}", child) for key, child in reversed(node.items())]
        elif type(node) is list:
            pending += [(f"{pointer}/{n}", child) for n, child in reversed(list(enumerate(node)))]


def _check_depth(value: Any) -> None:
    level = [value] if type(value) in (dict, list) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    raise InvalidJson(_TOO_DEEP)


def _check_texts(value: Any) -> None:
    for pointer, node in _walk(value):
        if type(node) is str:
            _check_text(node, pointer)
        elif type(node) is dict:
            for key in node:
                _check_text(key, pointer)


def _check_text(text: str, pointer: str) -> None:
    if "\0" in text:
        raise InvalidJson("NUL in a text", pointer)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidJson("lone surrogate", _printable(pointer)) from None


def _printable(pointer: str) -> str:
    return pointer.encode("utf-8", "replace").decode()


def _check_finite(value: Any) -> None:
    for pointer, node in _walk(value):
        if type(node) is float and not math.isfinite(node):
            raise ValueError(f"{pointer}: {_NOT_A_NUMBER}")
