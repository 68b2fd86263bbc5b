"""The one JSON decoder, against a hostile corpus and against a plain restatement of its rules."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events import strict_json
from libs.events.strict_json import MAX_DEPTH, InvalidJson, dumps, loads

GOOD: list[tuple[bytes, Any]] = [
    (b"{}", {}),
    (b"[]", []),
    (b' \t\r\n{"a" : 1}\n', {"a": 1}),
    (b'"x"', "x"),
    (b"0", 0),
    (b"-0", 0),
    (b"null", None),
    (b"[true,false]", [True, False]),
    (b"9223372036854775807", 2**63 - 1),
    (b"-9223372036854775807", -(2**63) + 1),
    (b"1.5e3", 1500.0),
    (b"1e-400", 0.0),
    (b"1.7976931348623157e308", 1.7976931348623157e308),
    (b'"\\ud83d\\ude00"', "😀"),
    (b'"\\\\u0000"', "\\u0000"),
    (b'"\\\\ud800"', "\\ud800"),
    (b'"\x7f"', "\x7f"),
    ('"最"'.encode(), "最"),
    (b'{"a":{"a":{"a":1}}}', {"a": {"a": {"a": 1}}}),
    (b'[{"a":1},{"a":1}]', [{"a": 1}, {"a": 1}]),
    (b'{"\\"":":", "a":"\\":"}', {'"': ":", "a": '":'}),
    (b'["a",":b"," :"]', ["a", ":b", " :"]),
    (b'{"a":[":"],":":[{"\\\\":1}]}', {"a": [":"], ":": [{"\\": 1}]}),
    (b"[" * 64 + b"]" * 64, None),
    (b'{"tracking":"12345678901234567890"}', {"tracking": "12345678901234567890"}),
]

BAD: list[tuple[bytes, str, str]] = [
    (b"", "", "line 1"),
    (b" ", "", "line 1"),
    (b"{", "", "line 1"),
    (b"{'a':1}", "", "line 1"),
    (b"[1,]", "", "line 1"),
    (b'{"a":1,}', "", "line 1"),
    (b"[1 2]", "", "line 1"),
    (b"1 2", "", "Extra data"),
    (b"{}{}", "", "Extra data"),
    (b"01", "", "Extra data"),
    (b"1.", "", "Extra data"),
    (b".5", "", "line 1"),
    (b"+1", "", "line 1"),
    (b"0x10", "", "Extra data"),
    (b"tru", "", "line 1"),
    (b"nul", "", "line 1"),
    (b"undefined", "", "line 1"),
    (b"// no\n1", "", "line 1"),
    (b'"a\nb"', "", "line 1"),
    (b'"a\x00b"', "", "line 1"),
    (b'"\\x41"', "", "line 1"),
    (b'"\\u12"', "", "line 1"),
    (b'"abc', "", "line 1"),
    (b"\x0c1", "", "line 1"),
    (b"{1:2}", "", "line 1"),
    (b"{null:2}", "", "line 1"),
    (b"NaN", "", "not a JSON number"),
    (b"Infinity", "", "not a JSON number"),
    (b'{"a":[-Infinity]}', "/a/0", "not a JSON number"),
    (b'{"lines":[{"price":NaN}]}', "/lines/0/price", "not a JSON number"),
    (b"1e309", "", "out of range"),
    (b"-1e309", "", "out of range"),
    (b'{"a":{"b":1e999999}}', "/a/b", "out of range"),
    (b"9" * 400 + b".0", "", "out of range"),
    (b"9223372036854775808", "", "out of range"),
    (b"[0,-9223372036854775808]", "/1", "out of range"),
    (b"1" * 5000, "", "out of range"),
    (b'{"a":1,"a":1}', "/a", "duplicate key"),
    (b'{"x":[{"a":1,"b":2,"a":3}]}', "/x/0/a", "duplicate key"),
    (b'{"a":1,"\\u0061":2}', "/a", "duplicate key"),
    (b'{"a":1, "b" : ":", "a" : 2}', "/a", "duplicate key"),
    (b'{"a/b~c":1,"a/b~c":2}', "/a~1b~0c", "duplicate key"),
    (b'{"":1,"":2}', "/", "duplicate key"),
    (b'[{"a":1},{"b":1,"b":2}]', "/1/b", "duplicate key"),
    (b'"\\u0000"', "", "NUL"),
    (b'{"a":["x\\u0000y"]}', "/a/0", "NUL"),
    (b'{"\\u0000":1}', "", "NUL"),
    (b'"\\ud800"', "", "lone surrogate"),
    (b'{"a":"\\udc00\\ud800"}', "/a", "lone surrogate"),
    (b'{"a":{"\\ud800":1}}', "/a", "lone surrogate"),
    (b'"\\ud800\\u0041"', "", "lone surrogate"),
    (b"\xff", "", "invalid UTF-8"),
    (b'"\xc3"', "", "invalid UTF-8"),
    (b'"\xc0\x80"', "", "invalid UTF-8"),
    (b'"\xed\xa0\x80"', "", "invalid UTF-8"),
    (b'"\xf4\x90\x80\x80"', "", "invalid UTF-8"),
    (b"\xef\xbb\xbf{}", "", "byte order mark"),
    ("{}".encode("utf-16"), "", "invalid UTF-8"),
    ("{}".encode("utf-16-le"), "", "line 1"),
    ("[1]".encode("utf-32-be"), "", "line 1"),
    (b"[" * 65 + b"]" * 65, "", "deeper"),
    (b'{"a":' * 65 + b"1" + b"}" * 65, "", "deeper"),
    (b"[" * 2000 + b"]" * 2000, "", "deeper"),
    (b"[" * 200_000, "", "deeper"),
    (b'{"a":' * 100_000, "", "deeper"),
]


@pytest.mark.parametrize(("raw", "value"), GOOD, ids=lambda v: repr(v)[:40])
def test_a_good_document_is_read(raw: bytes, value: Any) -> None:
    read = loads(raw)
    assert value is None or read == value
    assert type(read) is type(value) or value is None


@pytest.mark.parametrize(("raw", "pointer", "message"), BAD, ids=lambda v: repr(v)[:40])
def test_a_bad_document_is_refused_with_its_place(raw: bytes, pointer: str, message: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        loads(raw)
    assert caught.value.pointer == pointer
    assert message in caught.value.message


def test_a_refusal_repeats_no_value() -> None:
    with pytest.raises(InvalidJson) as caught:
        loads(b'{"phone":"13800005678","phone":"13800005678","x":}')
    assert "1380000" not in str(caught.value)


def test_the_depth_limit_is_the_same_for_every_mixture() -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")):
        levels = MAX_DEPTH // len(opening.replace(b'"a":', b""))
        loads(opening * levels + b"1" + closing * levels)
        with pytest.raises(InvalidJson, match="deeper"):
            loads(b"[" + opening * levels + b"1" + closing * levels + b"]")


def plainly(raw: bytes) -> Any:
    """The rules once more, the simplest way: raises ValueError where `loads` must refuse."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("duplicate")
        return dict(pairs)

    def constant(_: str) -> None:
        raise ValueError("constant")

    text = raw.decode("utf-8")
    if text.startswith("\ufeff"):
        raise ValueError("mark")
    value = json.loads(text, object_pairs_hook=members, parse_constant=constant)
    check(value, 0)
    return value


def check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        value.encode()
        if "\0" in value:
            raise ValueError("NUL")
    elif (isinstance(value, float) and not math.isfinite(value)) or (type(value) is int and abs(value) >= 2**63):
        raise ValueError("overflow")
    elif isinstance(value, list | dict):
        if depth == MAX_DEPTH:
            raise ValueError("deep")
        for part in value if isinstance(value, list) else [*value.keys(), *value.values()]:
            check(part, depth + 1)


def outcome(read: Any, raw: bytes) -> tuple[bool, str]:
    try:
        return True, repr(read(raw))
    except (ValueError, RecursionError):
        return False, ""


FRAGMENTS = [
    *(b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b'\\"', b" ", b"\n", b"\t"),
    *(b'"a"', b'"b"', b'"a":', b'"a":1', b'"":', b'":"', b'" :', b'{"a":[{"b":1}]}', b'"a":1,"a":1'),
    *(b"1", b"-0", b"0.5", b"1e3", b"1e400", b"9223372036854775807", b"9223372036854775808", b"1234567890" * 3),
    *(b'"\\u0000"', b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\udc00\\ud800"', b'"\\u0061"', b"\\u0000"),
    *(b"null", b"true", b"NaN", b"-Infinity", b"\xff", b"\xc3\xa9", b"\xef\xbb\xbf", b"\x00", b"\x7f"),
]


@settings(max_examples=3_000, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=9), st.sampled_from([b"%s", b"[%s]", b'{"a":%s}', b"[{%s}]"]))
def test_what_is_read_and_refused_is_what_the_rules_say(parts: list[bytes], frame: bytes) -> None:
    raw = frame % b"".join(parts)
    assert outcome(loads, raw) == outcome(plainly, raw)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    assert outcome(loads, raw) == outcome(plainly, raw)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=500, deadline=None)
@given(JSON_VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert loads(dumps(value)) == value
    assert loads(json.dumps(value).encode()) == value
    assert loads(json.dumps(value, indent=1, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize("value", [float("nan"), [1, float("inf")], {"a": {"b": -math.inf}}, "\ud800", ["\udfff"]])
def test_what_could_not_be_read_is_not_written(value: Any) -> None:
    with pytest.raises(ValueError):
        dumps(value)


def test_null_is_written_all_the_same() -> None:
    assert dumps({"a": None, "b": [None]}) == b'{"a":null,"b":[null]}'


def test_a_flat_batch_takes_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: bytes) -> Any:
        raise AssertionError("read twice")

    monkeypatch.setattr(strict_json, "_read_slowly", never)
    event = b'{"id": "e-1", "type": "page.viewed", "time": "2024-07-01T10:00:00+08:00", "url_path": "/p/A001"}'
    assert len(loads(b"[" + b", ".join([event] * 1000) + b"]")) == 1000
    assert loads(event)["id"] == "e-1"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"' + b"k" * 3_000_000 + b'":[' + b"NaN," * 300_000 + b"1]}",
        b'{"' + b"k" * 1_000_000 + b'":{"' + b"k" * 1_000_000 + b'":[' + b'"\\ud800",' * 100_000 + b"1]}}",
        b"[" + b"[]," * 500_000 + b"NaN]",
        b'{"a":1,' + b'"a":1,' * 300_000 + b'"b":2}',
        b"[" + b"1" * 2_000_000 + b"]",
        b'["' + b"\\u0000" * 300_000 + b'"]',
        b'["' + b'\\":' * 500_000 + b'",{"a":1,"a":2}]',
    ],
    ids=range(7),
)
@pytest.mark.timeout(60)
def test_a_large_hostile_document_is_refused_with_a_short_answer(raw: bytes) -> None:
    with pytest.raises(InvalidJson) as caught:
        loads(raw)
    assert len(str(caught.value)) < 1_200
