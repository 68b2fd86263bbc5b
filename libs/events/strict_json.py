"""The one JSON decoder for HTTP and bus: what it lets through, every later part can hold.

Refused besides broken JSON: NaN and Infinity, numbers that overflow, integers over 64 bit, duplicate keys, NUL, lone
surrogates, more than 64 levels, invalid UTF-8, a byte order mark. A refusal names the place as an RFC 6901 pointer
where there is one, and never repeats a value.

The common document is read once by msgspec and passed by counting. Whatever is not plainly good is read again by the
slow reader, which alone refuses; a test holds that the quick way lets nothing through that the slow one would not.
"""

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import msgspec

MAX_DEPTH: Final = 64
MAX_POINTER: Final = 1_000
"""A longer pointer is cut."""
_SEARCHED_NODES: Final = 100_000
"""How far into a document the place of a fault is looked for."""
_INT_LIMIT: Final = 2**63 - 1
_LONGEST_INT: Final = 20
_SPACE: Final = b" \t\r\n"
_DIGITS_TO_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")


class InvalidJson(ValueError):
    """A document that is refused. `pointer` (RFC 6901) is empty where the place has none, as in broken syntax."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(f"{pointer}: {message}" if pointer else message)
        self.pointer = pointer
        self.message = message


def loads(raw: bytes) -> Any:
    """The value of a JSON document. Raises InvalidJson."""
    try:
        value = _decode(raw)
    except (ValueError, RecursionError):
        return _read_slowly(raw)
    return value if _plainly_good(raw, value) else _read_slowly(raw)


_decode = msgspec.json.Decoder().decode


def _plainly_good(raw: bytes, value: Any) -> bool:
    """Whether a document that msgspec took surely has no NUL, no wide integer, no duplicate key and no deep nesting.

    A key is a quote followed by a colon, once blanks are gone, so there are at most that many keys in the text; where
    the value has as many, none was lost to a duplicate.
    """
    if b"0000000000000000000" in raw.translate(_DIGITS_TO_ZERO) or _has_nul(raw):
        return False
    return raw.translate(None, _SPACE).count(b'":') == _count_keys(raw, value)


def _count_keys(raw: bytes, value: Any) -> int:
    """How many keys the value has in all; -1 where it is nested too deep."""
    if (
        type(value) is list
        and raw.count(b"[") == 1
        and raw.count(b"{") == len(value)
        and set(map(type, value)) == {dict}
    ):
        return sum(map(len, value))
    keys = 0
    level = _containers([value])
    for _ in range(MAX_DEPTH):
        keys += sum([len(node) for node in level if type(node) is dict])
        level = _inner(level)
        if not level:
            return keys
    return -1


def _containers(nodes: Iterable[Any]) -> list[Any]:
    return [node for node in nodes if type(node) is dict or type(node) is list]


def _inner(level: list[Any]) -> list[Any]:
    """The containers one level below these containers."""
    return [
        child
        for node in level
        for child in (node.values() if type(node) is dict else node)
        if type(child) is dict or type(child) is list
    ]


_encode = msgspec.json.Encoder().encode


def dumps(value: Any) -> bytes:
    """Compact JSON in UTF-8. Raises ValueError for what `loads` would refuse of numbers and texts."""
    try:
        raw = _encode(value)
    except UnicodeEncodeError as error:
        raise ValueError("lone surrogate") from error
    if b"null" in raw:
        _check_finite(value)
    return raw  # msgspec writes NaN as null; integers and duplicates cannot go wrong here


_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"
_DUPLICATE: Final = "duplicate key"
_NOT_A_NUMBER: Final = "not a JSON number"
_OVERFLOW: Final = "number out of range"


@dataclass(frozen=True, slots=True)
class _Found:
    """Left by the second reading in the place of what is refused."""

    message: str
    key: str | None = None


_Path = tuple[Any, str | int] | None
"""A place: that of the container and the token in it. It becomes a pointer only when needed: the pointers of a small
document can take gigabytes."""


def _text(raw: bytes) -> str:
    if raw.startswith(b"\xef\xbb\xbf"):
        raise InvalidJson("byte order mark")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidJson(f"invalid UTF-8 at byte {error.start}") from None


def _read_slowly(raw: bytes) -> Any:
    """The value, by the whole of the rules. The place of a fault is looked for once it is known that there is one."""
    value, faults = _parse(_text(raw))
    _check_depth(value)
    if faults or _has_nul(raw) or _has_lone_surrogate(value):
        _locate(value)
    return value


_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""An escaped NUL; behind a backslash that is itself escaped, `u0000` is only text."""


def _has_nul(raw: bytes) -> bool:
    return b"\\u0000" in raw and _NUL.search(raw) is not None


def _has_lone_surrogate(value: Any) -> bool:
    try:
        _encode(value)
    except UnicodeEncodeError:
        return True
    return False


def _parse(text: str) -> tuple[Any, int]:
    """The value with `_Found` in the place of every fault, and how many there are."""
    marks = _Marks()
    try:
        return marks.decoder.decode(text), marks.count
    except json.JSONDecodeError as error:
        raise InvalidJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise InvalidJson(_TOO_DEEP) from None


def _locate(value: Any) -> NoReturn:
    for path, node in itertools.islice(_walk(value), _SEARCHED_NODES):
        _check_node(node, path)
    raise InvalidJson("refused; the place is too far into the document to be named")


def _check_node(node: Any, path: _Path) -> None:
    if type(node) is str:
        _check_text(node, path)
    elif type(node) is dict:
        for key in node:
            _check_text(key, path)
    elif type(node) is _Found:
        raise InvalidJson(node.message, _pointer(path if node.key is None else (path, node.key)))


class _Marks:
    """A decoder that leaves `_Found` where something is to be refused, and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=lambda _: self._found(_NOT_A_NUMBER),
            parse_int=self._int,
            parse_float=self._float,
        )

    def _found(self, message: str, key: str | None = None) -> _Found:
        self.count += 1
        return _Found(message, key)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Found:
        members = dict(pairs)
        if len(members) == len(pairs):
            return members
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        return self._found(_DUPLICATE, twice)

    def _int(self, text: str) -> int | _Found:
        if len(text) > _LONGEST_INT or abs(value := int(text)) > _INT_LIMIT:
            return self._found(_OVERFLOW)
        return value

    def _float(self, text: str) -> float | _Found:
        value = float(text)
        return value if math.isfinite(value) else self._found(_OVERFLOW)


def escape(key: str) -> str:
    """A key or index as a token of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _walk(value: Any) -> Iterator[tuple[_Path, Any]]:
    """Every node with its place, parents first, in document order; no recursion, nothing read ahead."""
    yield None, value
    pending = [_children(None, value)]
    while pending:
        for path, node in pending[-1]:
            yield path, node
            if type(node) is dict or type(node) is list:
                pending.append(_children(path, node))
                break
        else:
            pending.pop()


def _children(path: _Path, node: Any) -> Iterator[tuple[_Path, Any]]:
    if type(node) is dict:
        return (((path, key), child) for key, child in node.items())
    if type(node) is list:
        return (((path, n), child) for n, child in enumerate(node))
    return iter(())


def _pointer(path: _Path) -> str:
    tokens: list[str] = []
    while path is not None:
        path, token = path
        tokens.append(escape(str(token)))
    text = "".join(f"/{token}" for token in reversed(tokens))
    return text.encode("utf-8", "replace").decode()[:MAX_POINTER]


def _check_depth(value: Any) -> None:
    level = _containers([value])
    for _ in range(MAX_DEPTH):
        level = _inner(level)
        if not level:
            return
    raise InvalidJson(_TOO_DEEP)


def _check_text(text: str, path: _Path) -> None:
    if "\0" in text:
        raise InvalidJson("NUL in a text", _pointer(path))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidJson("lone surrogate", _pointer(path)) from None


def _check_finite(value: Any) -> None:
    for path, node in _walk(value):
        if type(node) is float and not math.isfinite(node):
            raise ValueError(f"{_pointer(path)}: {_NOT_A_NUMBER}")
