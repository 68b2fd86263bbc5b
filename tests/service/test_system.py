"""What every service answers about itself."""

from typing import Any

import pytest
from starlette.responses import Response

from libs.service import errors
from libs.service.auth import SCOPES
from libs.service.call import Call
from libs.service.errors import Problem
from libs.service.problems import TITLES
from libs.service.routes import PUBLIC, Router
from tests.service.conftest import Example


async def test_health_touches_nothing(example: Example) -> None:
    async with example.client(None) as client:
        answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "service": "example"})


async def test_readiness_names_what_was_asked(example: Example) -> None:
    async with example.client(None) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 200, answer.text
    assert answer.json()["checks"] == {"database": "ok", "bus": "ok", "progress": "ok"}


async def test_readiness_gives_the_reason_when_it_is_not(example: Example) -> None:
    async def closed() -> str:
        return "the shop is closed"

    example.runtime.check("shop", closed)
    try:
        async with example.client(None) as client:
            answer = await client.get("/readyz")
    finally:
        del example.runtime.checks["shop"]
    assert answer.status_code == 503
    assert (answer.json()["ready"], answer.json()["checks"]["shop"]) == (False, "the shop is closed")


async def test_events_that_wait_in_the_outbox_are_a_reason(example: Example) -> None:
    rows = {"at": example.runtime.clock().replace(year=2020)}
    await example.sql("CREATE TABLE example.outbox_away AS SELECT * FROM example.outbox WITH NO DATA")
    await example.sql("ALTER TABLE example.outbox RENAME TO outbox_kept")
    await example.sql("ALTER TABLE example.outbox_away RENAME TO outbox")
    await example.sql("GRANT ALL ON example.outbox TO example_worker")
    await example.sql("INSERT INTO example.outbox (id, topic, written_at) VALUES (1, 'nosuch', :at)", **rows)
    async with example.client(None) as client:
        answer = await client.get("/readyz")
    await example.sql("DROP TABLE example.outbox")
    await example.sql("ALTER TABLE example.outbox_kept RENAME TO outbox")
    assert answer.status_code == 503
    assert "outbox" in answer.json()["checks"]["progress"]


async def test_metrics_are_open_to_loopback_else_by_scope(example: Example) -> None:
    await example.add_key("metrics", "*", "metrics:read")
    async with example.client(None) as client:
        here = await client.get("/metrics")
    async with example.client(None, from_host="10.0.0.7") as client:
        stranger = await client.get("/metrics")
    async with example.client("demo", from_host="10.0.0.7") as client:
        without = await client.get("/metrics")
    async with example.client("metrics", from_host="10.0.0.7") as client:
        scraper = await client.get("/metrics")
    assert here.status_code == scraper.status_code == 200
    assert here.headers["content-type"].startswith("text/plain")
    assert (stranger.status_code, without.status_code) == (401, 403)


async def test_calls_are_counted_by_the_routes_template(example: Example) -> None:
    async with example.client() as client:
        await client.get("/v1/notes/counted-by-template")
        await client.get("/no/such/address/4711")
        text = (await client.get("/metrics")).text
    assert (
        'opswire_http_requests_total{method="GET",route="/v1/notes/{note_id}",service="example",status="404"}' in text
    )
    assert 'route="unmatched",service="example",status="404"' in text
    assert "counted-by-template" not in text
    assert "4711" not in text


async def test_the_docs_print_every_route_with_its_scope(example: Example) -> None:
    async with example.client(None) as client:
        page = await client.get("/docs")
        version = await client.get("/version")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<code>POST /v1/notes</code><td><code>orders:write</code>" in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert version.json()["version"]


async def _described(example: Example) -> dict[str, Any]:
    async with example.client(None) as client:
        described: dict[str, Any] = (await client.get("/openapi.json")).json()
    return described


async def test_every_route_declares_a_scope(example: Example) -> None:
    described = await _described(example)
    undeclared = [
        (method, path)
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
        if operation.get("x-scope") not in (*SCOPES, PUBLIC)
    ]
    assert undeclared == []


async def test_every_route_documents_its_problems(example: Example) -> None:
    described = await _described(example)
    operation = described["paths"]["/v1/notes"]["post"]
    assert {"201", "400", "401", "403", "404", "409", "413", "415", "422", "503"} <= set(operation["responses"])
    content = operation["responses"]["422"]["content"]
    assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert set(described["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == set(TITLES)
    assert "HTTPValidationError" not in described["components"]["schemas"]
    assert operation["security"] == [{"key": []}]
    schema = described["components"]["schemas"]["WriteNote"]
    assert schema["additionalProperties"] is False


def test_a_route_without_a_scope_cannot_be_made() -> None:
    router = Router()

    async def endpoint(call: Call) -> Response:
        return Response()

    with pytest.raises(TypeError):
        router.get("/v1/x")(endpoint)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="no scope"):
        router.get("/v1/x", scope="everything")
    with pytest.raises(TypeError, match="with its scope"):
        router.add_api_route("/v1/x", endpoint)
    with pytest.raises(TypeError, match="with its scope"):
        router.patch("/v1/x")(endpoint)
    assert router.routes == []


def test_every_problem_has_a_title_in_both_languages() -> None:
    kinds = {kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Problem)}
    assert kinds == set(TITLES)
    assert all(english and chinese for english, chinese in TITLES.values())


async def test_what_every_call_may_carry_is_documented(example: Example) -> None:
    described = await _described(example)
    post = {parameter["name"] for parameter in described["paths"]["/v1/notes"]["post"]["parameters"]}
    put = {parameter["name"] for parameter in described["paths"]["/v1/notes/{note_id}"]["put"]["parameters"]}
    assert post == {"store", "Idempotency-Key"}
    assert put == {"store", "If-Match", "note_id"}
    assert described["paths"]["/healthz"]["get"]["parameters"] == []
