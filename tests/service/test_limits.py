"""Bodies are counted while they come in (413); nobody holds the door open for ever."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.service import routes
from tests.service.conftest import Example

MIB = 1 << 20


async def test_a_body_over_1_mib_is_413_by_its_declared_length(example: Example) -> None:
    async with example.client(**{"Content-Type": "application/json"}) as client:
        answer = await client.post("/v1/notes", content=b"x" * (MIB + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert "connection" not in answer.headers


async def test_a_body_without_length_is_counted_as_it_comes(example: Example) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b"x" * 65536

    async with example.client(**{"Content-Type": "application/json"}) as client:
        answer = await client.post("/v1/notes", content=endless())
    assert answer.status_code == 413
    assert sent <= MIB + routes.LET_PASS + 2 * 65536, "the rest is not asked for"
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("length", ["9" * 400, "-1", "abc"])
async def test_an_absurd_length_is_no_way_around(example: Example, length: str) -> None:
    async with example.client(**{"Content-Type": "application/json", "Content-Length": length}) as client:
        answer = await client.post("/v1/notes", content=b"x" * (MIB + 1))
    assert answer.status_code == 413


async def test_files_may_have_10_mib(example: Example) -> None:
    async with example.client() as client:
        fits = await client.post("/v1/files", content=b"x" * (10 * MIB))
        too_large = await client.post("/v1/files", content=b"x" * (10 * MIB + 1))
        far_too_large = await client.post("/v1/files", content=b"x" * (16 * MIB))
    assert fits.json()["bytes"] == 10 * MIB
    assert (too_large.status_code, far_too_large.status_code) == (413, 413)
    assert far_too_large.headers["connection"] == "close"


async def test_a_body_that_never_ends_is_given_up(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "BODY_SECONDS", 0.2)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)
        yield b"}"

    async with example.client(**{"Content-Type": "application/json"}) as client:
        answer = await asyncio.wait_for(client.post("/v1/notes", content=slow()), 2)
    assert (answer.status_code, answer.json()["code"]) == (408, "timeout")


async def test_the_limit_comes_before_reading_for_who_has_no_key(example: Example) -> None:
    async with example.client(None) as client:
        answer = await client.post("/v1/files", content=b"x" * (11 * MIB))
    assert answer.status_code == 401
