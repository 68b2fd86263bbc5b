"""Any POST may be repeated: one effect, one answer (P10, D2)."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from libs.service import idempotency
from libs.service.errors import IdempotencyMismatch
from libs.service.idempotency import Claim, Kept, claim_all, fingerprint, keep_all
from tests.service.conftest import Example
from tests.service.example.api import EFFECTS

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _count_anew() -> None:
    EFFECTS.actions = EFFECTS.prepared = 0


async def _post(example: Example, path: str, body: Json, key: str | None, **headers: str) -> httpx2.Response:
    async with example.client(**headers) as client:
        return await client.post(path, json=body, headers={} if key is None else {"Idempotency-Key": key})


def _problem(answer: httpx2.Response) -> Json:
    return {name: value for name, value in answer.json().items() if name != "request_id"}


async def test_a_repeat_gets_the_first_answer_without_a_second_effect(example: Example) -> None:
    first = await _post(example, "/v1/notes", {"text": "once"}, "k-1")
    for _ in range(4):
        again = await _post(example, "/v1/notes", {"text": "once"}, "k-1")
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["location"] == first.headers["location"]
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert EFFECTS.actions == 1


async def test_parallel_repeats_have_one_effect_and_one_answer(example: Example) -> None:
    answers = await asyncio.gather(*(_post(example, "/v1/notes", {"text": "slow"}, "k-parallel") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert EFFECTS.actions == 1


async def test_who_waits_longer_than_5_s_is_told_that_it_is_in_progress(example: Example) -> None:
    first = asyncio.create_task(_post(example, "/v1/notes", {"text": "very slow"}, "k-slow"))
    await asyncio.sleep(0.3)
    second = await _post(example, "/v1/notes", {"text": "very slow"}, "k-slow")
    assert (second.status_code, second.json()["code"]) == (409, "in_progress")
    assert second.headers["retry-after"]
    assert (await first).status_code == 201
    third = await _post(example, "/v1/notes", {"text": "very slow"}, "k-slow")
    assert third.content == (await first).content
    assert EFFECTS.actions == 1


async def test_another_body_under_the_same_key_is_refused(example: Example) -> None:
    await _post(example, "/v1/notes", {"text": "one"}, "k-mismatch")
    other = await _post(example, "/v1/notes", {"text": "two"}, "k-mismatch")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    query = await _post(example, "/v1/notes?dry_run=true", {"text": "one"}, "k-mismatch")
    assert (query.status_code, query.json()["code"]) == (422, "idempotency_mismatch")


async def test_blanks_and_the_order_of_members_make_no_other_body(example: Example) -> None:
    first = await _post(example, "/v1/notes", {"text": "one", "weight": 2}, "k-blanks")
    async with example.client(**{"Content-Type": "application/json", "Idempotency-Key": "k-blanks"}) as client:
        again = await client.post("/v1/notes", content=b'{ "weight": 2,\n "text": "on\\u0065" }')
    assert again.content == first.content


async def test_the_same_key_on_another_address_or_store_is_another_call(example: Example) -> None:
    first = await _post(example, "/v1/notes", {"text": "one"}, "k-shared")
    elsewhere = await _post(example, "/v1/natural-notes", {"text": "one"}, "k-shared")
    async with example.client("other") as client:
        others = await client.post("/v1/notes", json={"text": "one"}, headers={"Idempotency-Key": "k-shared"})
    ids = {answer.json()["note_id"] for answer in (first, elsewhere, others)}
    assert len(ids) == 3
    assert EFFECTS.actions == 3


async def test_a_wrong_state_is_kept_and_its_effects_are_not(example: Example) -> None:
    first = await _post(example, "/v1/notes", {"text": "wrong state"}, "k-state")
    again = await _post(example, "/v1/notes", {"text": "wrong state"}, "k-state", **{"Accept-Language": "zh"})
    assert (first.status_code, first.json()["code"]) == (409, "wrong_state")
    assert first.json()["possible"] == ["return"]
    assert again.json()["title"] == "当前状态不允许此操作"
    assert _problem(again) | {"title": ""} == _problem(first) | {"title": ""}
    assert again.json()["request_id"] == again.headers["x-request-id"] != first.json()["request_id"]
    assert EFFECTS.actions == 1
    async with example.client() as client:
        assert (await client.get("/v1/notes/left%20over")).status_code in (404, 422)
    assert await example.sql("SELECT 1 FROM example.notes WHERE note_id = 'left over'") == []


async def test_parallel_repeats_of_a_refusal_give_one_answer(example: Example) -> None:
    answers = await asyncio.gather(*(_post(example, "/v1/notes", {"text": "unwelcome"}, "k-refused") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {422}
    assert all(_problem(answer) == _problem(answers[0]) for answer in answers)


@pytest.mark.parametrize(("text", "status"), [("overloaded", 503), ("bug", 500)])
async def test_what_may_pass_is_never_kept(example: Example, text: str, status: int) -> None:
    for _ in range(2):
        answer = await _post(example, "/v1/notes", {"text": text}, f"k-{text}")
        assert answer.status_code == status
    assert EFFECTS.actions == 2


async def test_a_retry_after_survives(example: Example) -> None:
    assert (await _post(example, "/v1/notes", {"text": "overloaded"}, None)).headers["retry-after"] == "7"


@pytest.mark.parametrize("key", ["", " ", '""', "x" * 256])
async def test_a_key_that_is_none_is_refused(example: Example, key: str) -> None:
    answer = await _post(example, "/v1/notes", {"text": "x"}, key)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation")
    assert EFFECTS.actions == 0


async def test_the_key_may_be_a_structured_string(example: Example) -> None:
    first = await _post(example, "/v1/notes", {"text": "x"}, "k-quoted")
    again = await _post(example, "/v1/notes", {"text": "x"}, '"k-quoted"')
    assert again.content == first.content


# natural ids


async def test_a_natural_id_gives_the_first_status_and_body_again(example: Example) -> None:
    first = await _post(example, "/v1/natural-notes", {"note_id": "nat-1", "text": "x"}, None)
    again = await _post(example, "/v1/natural-notes", {"note_id": "nat-1", "text": "x"}, None)
    assert (again.status_code, again.content) == (201, first.content)
    assert EFFECTS.actions == 1


async def test_a_natural_id_with_another_body_is_a_conflict(example: Example) -> None:
    await _post(example, "/v1/natural-notes", {"note_id": "nat-2", "text": "x"}, None)
    other = await _post(example, "/v1/natural-notes", {"note_id": "nat-2", "text": "y"}, None)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


async def test_a_new_key_for_a_known_natural_id_gets_the_old_answer_too(example: Example) -> None:
    first = await _post(example, "/v1/natural-notes", {"note_id": "nat-3", "text": "x"}, "k-nat-a")
    under_new_key = await _post(example, "/v1/natural-notes", {"note_id": "nat-3", "text": "x"}, "k-nat-b")
    again = await _post(example, "/v1/natural-notes", {"note_id": "nat-3", "text": "x"}, "k-nat-b")
    assert first.content == under_new_key.content == again.content
    assert EFFECTS.actions == 1


async def test_parallel_calls_with_one_natural_id_have_one_effect(example: Example) -> None:
    calls = (_post(example, "/v1/natural-notes", {"note_id": "nat-4", "text": "slow"}, f"k-nat-{n}") for n in range(5))
    answers = await asyncio.gather(*calls)
    assert {answer.content for answer in answers} == {answers[0].content}
    assert EFFECTS.actions == 1


async def test_a_refused_call_leaves_its_natural_id_free(example: Example) -> None:
    refused = await _post(example, "/v1/natural-notes", {"note_id": "nat-5", "text": "wrong state"}, None)
    assert refused.status_code == 409
    done = await _post(example, "/v1/natural-notes", {"note_id": "nat-5", "text": "fine"}, None)
    assert done.status_code == 201


async def test_an_id_is_derived_from_the_key_so_that_a_repeat_finds_it(example: Example) -> None:
    first = await _post(example, "/v1/notes", {"text": "x"}, "k-derived")
    await example.sql("DELETE FROM example.idempotency WHERE key = 'k-derived'")
    repeat = await _post(example, "/v1/notes", {"text": "x"}, "k-derived")
    assert first.status_code == 201
    assert repeat.status_code == 500, "the same id again: the insert meets the note that is there"


# work outside before the transaction


async def test_outside_work_is_not_done_again_for_a_known_answer(example: Example) -> None:
    first = await _post(example, "/v1/prepared-notes", {"text": "loud"}, "k-prepared")
    again = await _post(example, "/v1/prepared-notes", {"text": "loud"}, "k-prepared")
    assert first.json()["text"] == "LOUD"
    assert again.content == first.content
    assert (EFFECTS.prepared, EFFECTS.actions) == (1, 1)


async def test_what_the_outside_work_refuses_is_kept(example: Example) -> None:
    first = await _post(example, "/v1/prepared-notes", {"text": "short"}, "k-short")
    again = await _post(example, "/v1/prepared-notes", {"text": "short"}, "k-short")
    assert (first.status_code, first.json()["code"]) == (409, "out_of_stock")
    assert first.json()["errors"][0]["wanted"] == 1
    assert _problem(again) == _problem(first)
    assert (EFFECTS.prepared, EFFECTS.actions) == (1, 0)


# keeping


async def test_answers_are_forgotten_after_their_time_and_natural_ids_never(example: Example) -> None:
    await _post(example, "/v1/natural-notes", {"note_id": "nat-old", "text": "x"}, "k-old")
    await _post(example, "/v1/notes", {"text": "x"}, "k-young")
    await example.sql(
        "UPDATE example.idempotency SET created_at = :old WHERE key IN ('k-old', 'nat-old')",
        old=datetime.now(UTC) - timedelta(hours=49),
    )
    await example.runtime._purge()
    rows = await example.sql("SELECT key FROM example.idempotency WHERE key IN ('k-old', 'nat-old', 'k-young')")
    assert sorted(str(row[0]) for row in rows) == ["k-young", "nat-old"]


async def test_a_gathering_handler_claims_many_calls_in_one_statement(example: Example) -> None:
    table = example.runtime.tables.idempotency
    claims = [Claim("demo", "POST /v1/lane", f"lane-{n}", fingerprint({"n": n})) for n in (3, 1, 2)]
    async with example.runtime.worker.begin() as tx:
        assert await claim_all(tx.session, table, claims, tx.now) == {}
        answers = {one: Kept(201, one.key.encode(), {"ETag": '"1"'}) for one in claims}
        await keep_all(tx.session, table, answers)
    other_body = Claim("demo", "POST /v1/lane", "lane-1", fingerprint({"n": 9}))
    fresh = Claim("demo", "POST /v1/lane", "lane-4", fingerprint({"n": 4}))
    async with example.runtime.worker.begin() as tx:
        taken = await claim_all(tx.session, table, [fresh, claims[0], other_body], tx.now)
    assert set(taken) == {claims[0], other_body}
    assert taken[claims[0]] == Kept(201, b"lane-3", {"ETag": '"1"'})
    assert isinstance(taken[other_body], IdempotencyMismatch)


async def test_without_the_claim_a_repeat_has_a_second_effect(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sabotage twin of the tests above: they would see it."""

    async def claim_nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(idempotency, "claim", claim_nothing)
    async with example.client("other", **{"Idempotency-Key": "k-sabotage"}) as client:
        await client.post("/v1/natural-notes?store=other", json={"text": "x", "note_id": "s-1"})
        again = await client.post("/v1/natural-notes?store=other", json={"text": "x", "note_id": "s-1"})
    assert EFFECTS.actions == 2
    assert again.status_code == 500
