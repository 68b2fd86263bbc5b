"""P7: nobody reads or writes without the right key: every route, from the OpenAPI documents."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from libs.service.auth import SCOPES, Principal
from libs.service.routes import PUBLIC
from tests.support.apps import SERVICES, ServiceUnderTest, open_service

BODIES = {"POST": b"{}", "PUT": b"{}"}
SAMPLES = {"day": "2024-07-01", "kind": "signed", "period": "2024-07", "report": "daily"}


@pytest.fixture(scope="module", params=SERVICES)
async def service(request: pytest.FixtureRequest, database: str) -> AsyncIterator[ServiceUnderTest]:
    """Each service in turn, with a key in every state."""
    async with open_service(request.param, database) as opened:
        every = [scope for scope in SCOPES if scope != "internal"]
        for state in ("expired", "revoked"):
            opened.keys[state] = await opened.add_key("mine", *every, state=state)
        for scope in SCOPES:
            opened.keys[f"only {scope}"] = await opened.add_key("mine", scope)
            opened.keys[f"all but {scope}"] = await opened.add_key("mine", *(s for s in SCOPES if s != scope))
        opened.keys["public"] = await opened.add_key("mine", is_public=True)
        opened.keys["operator"] = await opened.add_key("*", *every)
        yield opened


async def violations(service: ServiceUnderTest) -> list[str]:
    """Every route and key state that is answered otherwise than promised."""
    found: list[str] = []
    for method, path, told in service.operations():
        if told["x-scope"] != PUBLIC:
            found += [f"{method} {path}: {one}" for one in await _violations(service, method, path, told)]
    return found


async def _violations(service: ServiceUnderTest, method: str, path: str, told: dict[str, Any]) -> list[str]:
    scope = told["x-scope"]
    is_beacon = path.endswith("/collect")
    expected: list[tuple[str, str | None, str, set[int]]] = [
        ("no key", None, "", {401}),
        ("a key that never was", "ow_000000000000_" + "0" * 64, "", {401}),
        ("an expired key", service.keys["expired"], "", {401}),
        ("a revoked key", service.keys["revoked"], "", {401}),
        ("every scope but the right one", service.keys[f"all but {scope}"], "", {403}),
    ]
    if scope != "metrics:read":
        expected.append(("another store's name", service.keys[f"only {scope}"], "?store=theirs", {403}))
    if not is_beacon:
        expected.append(("the beacon's public key", service.keys["public"], "", {403}))
    wrong = [
        f"{what} gives {status}"
        for what, key, query, right in expected
        if (status := await _status(service, method, path, key, query)) not in right
    ]
    status = await _status(service, method, path, service.keys[f"only {scope}"], "")
    return [*wrong, f"the right key gives {status}"] if status in (401, 403) or status >= 500 else wrong


async def _status(service: ServiceUnderTest, method: str, path: str, key: str | None, query: str) -> int:
    for name in ("day", "kind", "period", "report"):
        path = path.replace("{" + name + "}", SAMPLES[name])
    while "{" in path:
        before, _, rest = path.partition("{")
        path = f"{before}x-1{rest.partition('}')[2]}"
    async with service.client(key, from_host="10.0.0.7") as client:
        headers = {"Content-Type": "application/json"}
        answer = await client.request(method, path + query, content=BODIES.get(method), headers=headers)
    return answer.status_code


async def test_every_route_wants_its_key(service: ServiceUnderTest) -> None:
    assert await violations(service) == []


async def test_every_route_declares_one_of_the_scopes(service: ServiceUnderTest) -> None:
    undeclared = [path for _, path, told in service.operations() if told.get("x-scope") not in (*SCOPES, PUBLIC)]
    assert undeclared == []


async def test_without_the_check_of_scopes_the_test_above_would_fail(
    service: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sabotage twin."""
    monkeypatch.setattr(Principal, "require", lambda _self, _scope: None)
    assert await violations(service) != []
