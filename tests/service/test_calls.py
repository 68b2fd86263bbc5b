"""One call from key to answer."""

import json
from typing import Any

import pytest

from tests.service.conftest import Example


async def test_a_note_is_written_and_read_in_the_stores_offset(example: Example) -> None:
    async with example.client() as client:
        written = await client.post("/v1/notes", json={"note_id": "n-1", "text": "hello", "at": "2024-07-01T02:00:00Z"})
        assert written.status_code == 201, written.text
        assert written.json() == {
            "note_id": "n-1", "text": "hello", "weight": 1, "version": 1, "written_at": "2024-07-01T10:00:00+08:00",
        }  # fmt: skip
        assert written.headers["etag"] == '"1"'
        assert written.headers["location"] == "/v1/notes/n-1"
        shown = await client.get("/v1/notes/n-1")
        assert shown.json() == written.json()


async def test_a_problem_has_every_member_and_the_request_id_of_the_header(example: Example) -> None:
    async with example.client() as client:
        answer = await client.get("/v1/notes/none")
    problem = answer.json()
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem == {
        "type": "https://opswire.dev/problems/not_found",
        "title": "There is no such thing",
        "status": 404,
        "detail": "there is no such note",
        "code": "not_found",
        "instance": "/v1/notes/none",
        "request_id": answer.headers["x-request-id"],
    }


@pytest.mark.parametrize(
    ("header", "title"),
    [
        ("zh", "对象不存在"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "对象不存在"),
        ("en-US,en;q=0.9,zh;q=0.8", "There is no such thing"),
        ("fr", "There is no such thing"),
        ("zh;q=banana, en;q=0.1", "There is no such thing"),
        (",;;q=,zh", "对象不存在"),
    ],
)
async def test_titles_follow_accept_language(example: Example, header: str, title: str) -> None:
    async with example.client(**{"Accept-Language": header}) as client:
        assert (await client.get("/v1/notes/none")).json()["title"] == title


BAD_BODIES = [
    (b"", 400, "invalid_json", ""),
    (b"{", 400, "invalid_json", ""),
    (b'{"text": NaN}', 400, "invalid_json", "/text"),
    (b'{"text": "a", "weight": Infinity}', 400, "invalid_json", "/weight"),
    (b'{"text": "a", "text": "b"}', 400, "invalid_json", "/text"),
    (b'{"text": "a\\u0000"}', 400, "invalid_json", "/text"),
    (b'{"text": "\\ud800"}', 400, "invalid_json", None),
    (b'\xef\xbb\xbf{"text": "a"}', 400, "invalid_json", None),
    (b'{"text": "\xff"}', 400, "invalid_json", None),
    (b'{"text": "a", "weight": 1e999}', 400, "invalid_json", None),
    (b"[" * 5000 + b"]" * 5000, 400, "invalid_json", None),
    (b"null", 422, "validation", ""),
    (b"[]", 422, "validation", ""),
    (b"7", 422, "validation", ""),
    (b"{}", 422, "validation", "/text"),
    (b'{"text": 7}', 422, "validation", "/text"),
    (b'{"text": "a", "weight": "7"}', 422, "validation", "/weight"),
    (b'{"text": "a", "weight": 7.0}', 422, "validation", "/weight"),
    (b'{"text": "a", "weight": true}', 422, "validation", "/weight"),
    (b'{"text": "a", "weight": -1}', 422, "validation", "/weight"),
    (b'{"text": "a", "colour/~": 1}', 422, "validation", "/colour~1~0"),
    (b'{"text": "a", "at": "2024-07-01T10:00:00"}', 422, "validation", "/at"),
    (b'{"text": "a", "at": 1719800000}', 422, "validation", "/at"),
    (b'{"text": "a", "tags": [{"name": "x", "value": 1}, {"name": "y"}]}', 422, "validation", "/tags/1/value"),
    (b'{"text": "a", "tags": [{"name": "x", "value": 1.5}]}', 422, "validation", "/tags/0/value"),
    (b'{"text": "a", "tags": [{"name": "x", "value": 1, "more": 2}]}', 422, "validation", "/tags/0/more"),
    (b'{"text": "a", "note_id": "../../etc"}', 422, "validation", "/note_id"),
]


@pytest.mark.parametrize(("body", "status", "code", "pointer"), BAD_BODIES)
async def test_a_bad_body_is_refused_with_its_place(
    example: Example, body: bytes, status: int, code: str, pointer: str | None
) -> None:
    async with example.client(**{"Content-Type": "application/json"}) as client:
        answer = await client.post("/v1/notes", content=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert problem["errors"]
    if pointer is not None:
        assert problem["errors"][0]["pointer"] == pointer


async def test_a_refusal_never_repeats_the_value(example: Example) -> None:
    async with example.client() as client:
        answer = await client.post("/v1/notes", json={"text": "13800005678" * 200, "weight": "li@example.com"})
    assert answer.status_code == 422
    assert "13800005678" not in answer.text
    assert "li@example.com" not in answer.text


async def test_at_most_a_hundred_errors_are_listed(example: Example) -> None:
    async with example.client() as client:
        answer = await client.post("/v1/notes", json={"text": "a", **{f"f{n}": n for n in range(500)}})
    assert len(answer.json()["errors"]) == 100


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "text/json", "application/xml"])
async def test_another_content_type_is_415(example: Example, kind: str) -> None:
    async with example.client(**{"Content-Type": kind}) as client:
        answer = await client.post("/v1/notes", content=b'{"text": "a"}')
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media")


async def test_a_body_without_content_type_is_read_as_json(example: Example) -> None:
    async with example.client() as client:
        request = client.build_request("POST", "/v1/notes", content=b'{"text": "a"}')
        request.headers.pop("content-type", None)
        assert (await client.send(request)).status_code == 201


async def test_an_unknown_address_is_404_and_a_wrong_method_405(example: Example) -> None:
    async with example.client() as client:
        unknown = await client.get("/v2/nothing")
        wrong = await client.delete("/v1/notes")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"]
    assert unknown.headers["content-type"] == wrong.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "pointer"),
    [("/v1/whoami?day=0", "/day"), ("/v1/whoami?day=x", "/day"), ("/v1/notes?limit=501", "/limit"),
     ("/v1/notes?limit=0", "/limit"), ("/v1/notes?cursor=nonsense", "/cursor"), ("/v1/notes?cursor=WzEsMl0", "/cursor"),
     ("/v1/notes/a%20b", "/note_id")],
)  # fmt: skip
async def test_a_bad_parameter_is_422_with_its_name(example: Example, path: str, pointer: str) -> None:
    async with example.client() as client:
        answer = await client.get(path)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("path", ["/v1/notes/a%00b", "/v1/notes?cursor=%00", "/%00"])
async def test_a_nul_in_the_address_is_refused(example: Example, path: str) -> None:
    async with example.client() as client:
        answer = await client.get(path)
    assert answer.status_code == 422


async def test_an_unforeseen_error_tells_nothing(example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    async with example.client() as client:
        answer = await client.post("/v1/notes", json={"text": "bug"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["detail"]) == (500, "internal", "")
    assert "4711" not in answer.text
    assert "Traceback" not in answer.text


async def test_a_value_that_the_database_cannot_hold_is_422(example: Example) -> None:
    async with example.client() as client:
        answer = await client.post("/v1/notes", json={"text": "a", "weight": 2**40})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation")


async def test_a_step_may_come_without_a_body(example: Example) -> None:
    async with example.client() as client:
        without = await client.post("/v1/notes/n/poke")
        with_body = await client.post("/v1/notes/n/poke", json={"text": "x"})
        bad = await client.post("/v1/notes/n/poke", json={"text": 1})
    assert without.json() == {"poked": "n", "text": None}
    assert with_body.json() == {"poked": "n", "text": "x"}
    assert bad.status_code == 422


async def test_a_raw_route_gets_the_bytes_whatever_they_are(example: Example) -> None:
    async with example.client(**{"Content-Type": "Text/CSV; charset=gb18030"}) as client:
        answer = await client.post("/v1/files", content=b"\xff\xfe\x00")
    assert answer.json() == {"bytes": 3, "type": "text/csv"}


async def test_the_etag_guards_a_change(example: Example) -> None:
    async with example.client() as client:
        await client.post("/v1/notes", json={"note_id": "guarded", "text": "one"})
        missing = await client.put("/v1/notes/guarded", json={"text": "two"})
        stale = await client.put("/v1/notes/guarded", json={"text": "two"}, headers={"If-Match": '"7"'})
        changed = await client.put("/v1/notes/guarded", json={"text": "two"}, headers={"If-Match": '"7", W/"1"'})
        unread = await client.get("/v1/notes/guarded", headers={"If-None-Match": '"2"'})
        fresh = await client.get("/v1/notes/guarded", headers={"If-None-Match": '"1"'})
    assert (missing.status_code, missing.json()["code"]) == (428, "precondition_required")
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    assert (changed.status_code, changed.json()["text"], changed.headers["etag"]) == (200, "two", '"2"')
    assert (unread.status_code, unread.content) == (304, b"")
    assert fresh.status_code == 200


async def test_a_list_is_walked_to_its_end_by_its_links(example: Example) -> None:
    store = await _store_of_its_own(example, "walked")
    async with example.client(store) as client:
        for number in range(7):
            await client.post("/v1/notes", json={"note_id": f"w-{number}", "text": "x", "at": "2024-07-01T00:00:00Z"})
        seen: list[str] = []
        address = "/v1/notes?limit=3"
        pages = 0
        while address:
            page = await client.get(address)
            body: dict[str, Any] = page.json()
            seen += [item["note_id"] for item in body["items"]]
            pages += 1
            link = page.headers.get("link", "")
            assert ("rel=" in link) == (body["next_cursor"] is not None)
            address = link.partition(">")[0].removeprefix("<")
    assert seen == [f"w-{number}" for number in range(7)]
    assert pages == 3


async def test_an_empty_list_has_no_next_page(example: Example) -> None:
    store = await _store_of_its_own(example, "empty")
    async with example.client(store) as client:
        answer = await client.get("/v1/notes")
    assert answer.json() == {"items": [], "next_cursor": None}
    assert "link" not in answer.headers


async def _store_of_its_own(example: Example, name: str) -> str:
    await example.sql(
        "INSERT INTO access.stores (store, name, timezone, currency, language) VALUES (:s, :s, 'UTC', 'EUR', 'en')",
        s=name,
    )
    await example.add_key(name, name, "orders:read", "orders:write")
    return name


async def test_every_answer_says_that_its_type_is_meant(example: Example) -> None:
    async with example.client() as client:
        answer = await client.get("/v1/whoami")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert json.loads(answer.content)["language"] == "en"
