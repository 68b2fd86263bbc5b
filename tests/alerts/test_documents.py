"""What a store sets: typed, kept with its history, told to everybody, valid from when it says (D10, D43, D79)."""

from datetime import timedelta
from typing import Any

from libs.events.contracts import PolicyChanged
from services.alerts import documents
from services.alerts.domain.documents import policy_id
from services.alerts.domain.policies import POLICIES
from services.inventory.domain import policy as inventory
from services.orders.domain import policies as orders
from tests.alerts.conftest import Clock, items, put
from tests.support.desk import Desk


async def changes(desk: Desk) -> list[PolicyChanged]:
    return [event for event in await desk.emitted() if isinstance(event, PolicyChanged)]


async def valid(desk: Desk, kind: str, at: Any) -> Any:
    answer = await desk.call("GET", f"/v1/policies/{kind}", params={"at": at.isoformat()})
    return answer.json()["value"]


async def test_every_kind_of_policy_has_a_default_that_may_be_set(shop: Desk) -> None:
    before = {item["kind"]: item["value"] for item in await items(shop, "/v1/policies")}
    assert before == {policy.kind: policy.default for policy in POLICIES}
    for kind, default in before.items():
        assert (await put(shop, f"/v1/policies/{kind}", {"value": default}))["value"] == default


async def test_a_policy_is_told_with_before_and_after_and_who(shop: Desk) -> None:
    await put(shop, "/v1/policies/hold", {"value": 20})
    await put(shop, "/v1/policies/hold", {"value": 30})
    first, second = await changes(shop)
    assert (first.policy_id, first.kind, first.before, first.after) == ("hold", "hold", None, {"value": 20})
    assert (second.before, second.after) == ({"value": 20}, {"value": 30})
    assert second.by.startswith("key:")


async def test_saying_the_same_again_changes_and_tells_nothing(shop: Desk, clock: Clock) -> None:
    for _ in range(2):
        await put(shop, "/v1/policies/hold", {"value": 20})
        clock.turn(minutes=1)
    assert len(await changes(shop)) == 1


async def test_a_policy_holds_from_its_time_and_the_past_keeps_its_own(shop: Desk, clock: Clock) -> None:
    start = clock.now
    await put(shop, "/v1/policies/review_limit", {"value": 20})
    later = start + timedelta(days=3)
    await put(shop, "/v1/policies/review_limit", {"value": 10, "valid_from": later.isoformat()})
    shown = (await shop.get("/v1/policies/review_limit")).json()
    assert (shown["value"], [version["value"] for version in shown["coming"]]) == (20, [10])
    clock.turn(days=4)
    assert (await shop.get("/v1/policies/review_limit")).json()["value"] == 10
    assert await valid(shop, "review_limit", start + timedelta(days=1)) == 20
    assert await valid(shop, "review_limit", start - timedelta(days=1)) == 30


async def test_of_two_decisions_for_one_time_the_later_holds(shop: Desk, clock: Clock) -> None:
    since = (clock.now - timedelta(hours=1)).isoformat()
    for value in (20, 10):
        await put(shop, "/v1/policies/review_limit", {"value": value, "valid_from": since})
        clock.turn(seconds=1)
    assert (await shop.get("/v1/policies/review_limit")).json()["value"] == 10


async def test_a_correction_of_the_past_leaves_what_came_after_it(shop: Desk, clock: Clock) -> None:
    await put(shop, "/v1/policies/review_limit", {"value": 20})
    past = clock.now - timedelta(days=10)
    await put(shop, "/v1/policies/review_limit", {"value": 40, "valid_from": past.isoformat()})
    assert await valid(shop, "review_limit", clock.now) == 20
    assert await valid(shop, "review_limit", clock.now - timedelta(days=1)) == 40


async def test_a_policy_may_be_set_for_a_category_in_any_language(shop: Desk) -> None:
    await put(shop, "/v1/policies/hide_safety", {"value": True, "scope": {"category": "连衣裙"}})
    shown = (await shop.get("/v1/policies/hide_safety")).json()
    assert shown["value"] is False
    assert [(s["scope"], s["value"]) for s in shown["scopes"]] == [({"category": "连衣裙"}, True)]
    (told,) = await changes(shop)
    assert told.scope == {"category": "连衣裙"}


NO_VALUES: list[tuple[str, dict[str, Any], str]] = [
    ("hold", {"value": 0}, "/value"),
    ("hold", {"value": "15"}, "/value"),
    ("hold", {"value": True}, "/value"),
    ("hold", {"value": 15, "scope": {"category": "dress"}}, "/scope/category"),
    ("count_deadline", {"value": "5pm"}, "/value"),
    ("count_deadline", {"value": "24:00"}, "/value"),
    ("refund_at_once", {"value": 1}, "/value"),
    ("traffic_origins", {"value": "tmall"}, "/value"),
    ("hold", {}, "/value"),
    ("hold", {"value": 15, "valid_from": "2024-07-01T10:00:00"}, "/valid_from"),
    ("hold", {"value": 15, "colour": 1}, "/colour"),
]


async def test_a_value_that_is_none_is_refused_by_field(shop: Desk) -> None:
    for kind, body, pointer in NO_VALUES:
        answer = await shop.call("PUT", f"/v1/policies/{kind}", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
        assert await changes(shop) == []


async def test_there_is_no_other_kind_of_policy(shop: Desk) -> None:
    assert (await shop.call("PUT", "/v1/policies/colour", json={"value": 1})).status_code == 404


async def test_if_match_guards_the_version_written_last(shop: Desk) -> None:
    first = await shop.call("PUT", "/v1/policies/hold", json={"value": 20})
    await put(shop, "/v1/policies/hold", {"value": 30})
    stale = await shop.call("PUT", "/v1/policies/hold", json={"value": 40}, headers={"if-match": first.headers["etag"]})
    assert stale.status_code == 412


async def test_another_store_keeps_its_own_policies(shop: Desk) -> None:
    await put(shop, "/v1/policies/hold", {"value": 20})
    assert (await shop.get("/v1/policies/hold", store="other")).json()["value"] == 15


async def test_a_rule_setting_is_told_under_an_id_that_inventory_knows(shop: Desk) -> None:
    body = {"enabled": True, "parameters": {"safety": 5}, "scope": {"category": "dress"}}
    shown = await put(shop, "/v1/rules/low_stock", body)
    assert shown["scopes"][0]["scope"] == {"category": "dress"}
    (told,) = await changes(shop)
    assert (told.kind, told.policy_id, told.scope) == ("rule", "rule:low_stock:category:dress", {"category": "dress"})
    assert told.after == {"enabled": True, "parameters": {"safety": 5}}


async def test_what_is_taken_back_holds_no_more_and_the_past_stands(shop: Desk, clock: Clock) -> None:
    async with shop.runtime.worker.begin() as tx:
        await documents.save(documents.Setting("calendar", "c", {"timezone": "UTC"}), of="demo", by="x", tx=tx)
    start = clock.now
    clock.turn(hours=1)
    async with shop.runtime.worker.begin() as tx:
        await documents.save(documents.Setting("calendar", "c", None), of="demo", by="x", tx=tx)
        assert await documents.load("demo", "calendar", "c", tx) is None
        assert await documents.list_valid("demo", "calendar", tx) == []
        assert await documents.load("demo", "calendar", "c", tx, at=start) is not None


def test_a_scope_that_no_id_may_contain_still_gives_one_id_a_scope() -> None:
    ids = {policy_id("rule", "low_stock", {"category": name}) for name in ("连衣裙", "裤子")}
    assert len(ids) == 2
    assert all(len(name) <= 128 and name.isascii() for name in ids)


def test_every_policy_that_another_service_follows_can_be_set_and_has_the_same_default() -> None:
    defaults = {policy.kind: policy.default for policy in POLICIES}
    followed = orders.policies_of(defaults)
    assert set(defaults) >= orders.KINDS
    assert followed == orders.Policies()
    assert defaults[inventory.SLOW_MOVER_DAYS] == inventory.DEFAULT_SLOW_DAYS
    assert inventory.HIDE_SAFETY in defaults
