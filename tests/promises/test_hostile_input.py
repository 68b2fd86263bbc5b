"""P8: no input makes a 5xx, a hang or a leak. Generated calls and a hostile corpus against all five services."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok

from tests.support.apps import SERVICES
from tests.support.services import Platform, running_services

EXAMPLES = 8
LONGEST_SECONDS = 10.0
TELLTALE = re.compile(r"Traceback|File .?\"/|sqlalchemy|asyncpg|pydantic_core|SELECT .* FROM|/libs/|/services/\w+/")


HOSTILE = {
    "nothing": b"",
    "half an object": b'{"a": ',
    "NaN": b'{"a": NaN}',
    "minus infinity": b"[-Infinity]",
    "overflow": b'{"a": 1e999}',
    "a wide integer": b'{"a": ' + b"9" * 5000 + b"}",
    "duplicate keys": b'{"a": 1, "a": 2}',
    "an escaped NUL": b'{"a": "\\u0000"}',
    "a raw NUL": b'{"a": "\x00"}',
    "a lone surrogate": b'{"a": "\\udfff"}',
    "broken UTF-8": b'{"a": "\xc3\x28"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "deep arrays": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "many keys": b"{" + b",".join(b'"k%d":1' % n for n in range(50_000)) + b"}",
    "a prototype": b'{"__proto__": {"admin": true}, "constructor": 1}',
    "null": b"null",
    "a number": b"7",
    "a text": b'"DROP TABLE"',
    "an empty list": b"[]",
    "an empty object": b"{}",
    "a list of lists": b"[[[]]]",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "over 1 MiB": b'{"a": "' + b"x" * (1 << 20) + b'"}',
}


@pytest.fixture(scope="module")
async def platform(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """All five services as processes."""
    logs: Path = tmp_path_factory.mktemp("logs")
    async with running_services(database, logs=logs) as started:
        yield started


def wrong(status: int, media_type: str, text: str) -> str | None:
    """What is wrong with an answer to whatever input; a batch of which all was refused lists it (422)."""
    if status >= 500:
        return f"{status}: {text[:300]}"
    if TELLTALE.search(text):
        return f"leaks: {text[:300]}"
    if status >= 400 and media_type != "application/problem+json" and '"rejected"' not in text:
        return f"{status} {media_type} without a problem: {text[:300]}"
    return None


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.timeout(600)
async def test_generated_calls_are_answered(platform: Platform, service: str) -> None:
    url, key = platform.topology.url(service), platform.installation.key
    found: list[str] = []
    described = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for result in described.get_all_operations():
        assert isinstance(result, Ok), f"the description is not sound: {result}"
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def call(case: Any) -> None:
            case.query = {**(case.query or {}), "store": "demo"}
            answer = case.call(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=LONGEST_SECONDS)
            media_type = ",".join(answer.headers.get("content-type", []))
            if (what := wrong(answer.status_code, media_type, answer.text)) is not None:
                found.append(f"{case.method} {case.path} {what}")

        call()
    assert found == []


@pytest.mark.parametrize("service", SERVICES)
async def test_a_hostile_body_is_refused_wherever_it_goes(platform: Platform, service: str) -> None:
    client = platform.client(service)
    described: dict[str, Any] = (await client.get("/openapi.json")).json()
    calls = [(m, p) for p, told in described["paths"].items() for m in told if m in ("post", "put")]
    found: list[str] = []
    for method, path in calls:
        address = re.sub(r"{[^}]*}", "2024-07-01", path)
        for name, body in HOSTILE.items():
            try:
                answer = await client.request(
                    method.upper(),
                    f"{address}?store=demo",
                    content=body,
                    headers={"Content-Type": "application/json"},
                    timeout=LONGEST_SECONDS,
                )
            except httpx2.TransportError as error:
                found.append(f"{method} {path} {name}: {type(error).__name__}")
                continue
            media_type = answer.headers.get("content-type", "")
            if (what := wrong(answer.status_code, media_type, answer.text)) is not None:
                found.append(f"{method} {path} {name}: {what}")
    assert found == []


@pytest.mark.parametrize(
    ("status", "media_type", "text"),
    [
        (500, "application/problem+json", "{}"),
        (503, "text/plain", ""),
        (422, "application/json", "{}"),
        (422, "application/problem+json", '{"detail": "Traceback (most recent call last)"}'),
        (200, "application/json", '{"detail": "File \\"/srv/app.py\\""}'),
        (404, "text/html", "<h1>Not found</h1>"),
    ],
)
def test_what_these_tests_look_for_is_found(status: int, media_type: str, text: str) -> None:
    """The sabotage twin: answers that break the promise."""
    assert wrong(status, media_type, text) is not None


def test_an_honest_refusal_is_not_called_wrong() -> None:
    assert wrong(422, "application/problem+json", '{"code": "validation"}') is None
    assert wrong(422, "application/json", '{"accepted": 0, "rejected": 1, "items": []}') is None
    assert wrong(201, "application/json", "{}") is None
