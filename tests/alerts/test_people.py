"""People and rotas over HTTP (STF-1, D79)."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from libs.events.contracts import PolicyChanged, StockRanLow
from libs.service.auth import add_key
from tests.alerts.conftest import Clock, items, put
from tests.support.desk import Desk

LI = {
    "name": "李雷",
    "role": "specialist",
    "stores": ["demo"],
    "handle": "lilei",
    "mobile": "13800005678",
    "deputy": "han",
    "absent": [{"from": "2024-10-01", "to": "2024-10-07"}],
}
ROTA = {
    "role": "lead",
    "shifts": [
        {"weekday": "mon", "from": "09:00", "to": "18:00", "person": "li"},
        {"weekday": "mon", "from": "18:00", "to": "09:00", "person": "han"},
    ],
    "escalate_to": ["chen"],
}


async def test_a_person_is_kept_and_shown_with_what_the_role_may_do(shop: Desk) -> None:
    await put(shop, "/v1/people/li", LI)
    shown = (await shop.get("/v1/people/li")).json()
    assert (shown["person"], shown["name"], shown["deputy"], shown["absent"]) == ("li", "李雷", "han", LI["absent"])
    assert shown["rights"] == ["see", "act", "set"]
    assert [person["person"] for person in await items(shop, "/v1/people")] == ["li"]
    assert (await shop.get("/v1/people/li", store="other")).status_code == 404


async def test_a_mobile_number_is_masked_everywhere_but_for_keys_that_may_see_it(shop: Desk) -> None:
    answer = await shop.call("PUT", "/v1/people/li", json=LI)
    texts = [answer.text, (await shop.get("/v1/people/li")).text, (await shop.get("/v1/people")).text]
    texts += [event.model_dump_json() for event in await shop.emitted()]
    async with shop.runtime.engine.begin() as session:
        texts += [str(row) for row in await session.execute(text("SELECT * FROM access.audit"))]
        key = await add_key(session, "demo", ["alerts:read", "orders:pii"])
    assert not any("13800005678" in said for said in texts)
    whole = await shop.client.get("/v1/people/li", headers={"authorization": f"Bearer {key.key}"})
    assert whole.json()["mobile"] == "13800005678"


async def test_people_travel_as_policy_events(shop: Desk) -> None:
    await put(shop, "/v1/people/li", LI)
    (told,) = [event for event in await shop.emitted() if isinstance(event, PolicyChanged)]
    assert (told.kind, told.policy_id) == ("person", "person:li")
    assert isinstance(told.after, dict)
    assert told.after["role"] == "specialist"


async def test_an_operator_hires_somebody_for_several_stores_and_takes_them_out_of_one(shop: Desk) -> None:
    async with shop.runtime.engine.begin() as session:
        operator = (await add_key(session, "*", ["alerts:read", "alerts:write"])).key

    async def hire(*stores: str) -> int:
        headers = {"authorization": f"Bearer {operator}"}
        answer = await shop.client.put("/v1/people/li", json={**LI, "stores": list(stores)}, headers=headers)
        return answer.status_code

    async def works_for(store: str) -> bool:
        await put(shop, "/v1/rotas/r", {"role": "specialist", "shifts": []}, store=store)
        return bool((await shop.get("/v1/rotas/r", store=store)).json()["on_duty"] == "li")

    assert await hire("demo", "other") == 200
    assert [await works_for(store) for store in ("demo", "other")] == [True, True]
    assert await hire("demo") == 200
    assert [await works_for(store) for store in ("demo", "other")] == [True, False]
    assert await hire("demo", "nowhere") == 422


async def test_a_stores_key_hires_for_its_store_only(shop: Desk) -> None:
    refused = await shop.call("PUT", "/v1/people/li", json={**LI, "stores": ["other"]})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/stores")
    await put(shop, "/v1/people/li", {**LI, "stores": ["demo", "other"]})
    assert await items(shop, "/v1/people", store="other") == []


NO_PEOPLE: list[tuple[dict[str, Any], str]] = [
    ({"role": "boss"}, "/role"),
    ({"stores": []}, "/stores"),
    ({"mobile": "call me"}, "/mobile"),
    ({"deputy": "li"}, "/deputy"),
    ({"absent": [{"from": "2024-10-01", "to": "October"}]}, "/absent/0/to"),
    ({"absent": [{"from": "2024-10-07", "to": "2024-10-01"}]}, "/absent/0"),
    ({"colour": "red"}, "/colour"),
]


async def test_a_person_who_cannot_be_is_refused(shop: Desk) -> None:
    for change, pointer in NO_PEOPLE:
        refused = await shop.call("PUT", "/v1/people/li", json={**LI, **change})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


NO_SHIFTS: list[tuple[dict[str, Any], str]] = [
    ({"weekday": "lundi"}, "/shifts/0/weekday"),
    ({"weekday": "monkey"}, "/shifts/0/weekday"),
    ({"weekday": 8}, "/shifts/0/weekday"),
    ({"from": "9:00"}, "/shifts/0/from"),
    ({"to": "25:00"}, "/shifts/0/to"),
    ({"person": ""}, "/shifts/0/person"),
]


async def test_a_shift_that_cannot_be_is_refused(shop: Desk) -> None:
    for change, pointer in NO_SHIFTS:
        shift = {"weekday": "mon", "from": "09:00", "to": "18:00", "person": "li", **change}
        refused = await shop.call("PUT", "/v1/rotas/r", json={"role": "lead", "shifts": [shift]})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_a_weekday_may_be_written_in_several_ways(shop: Desk) -> None:
    written: list[Any] = ["mon", "Tuesday", "WED", 4, 5, "saturday", 0, 7]
    shifts = [{"weekday": day, "from": "09:00", "to": "18:00", "person": "li"} for day in written]
    made = await put(shop, "/v1/rotas/r", {"role": "lead", "shifts": shifts})
    assert [shift["weekday"] for shift in made["shifts"]] == ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "sun"]


async def test_a_rota_says_who_is_on_duty_and_whom_it_does_not_know(shop: Desk, clock: Clock) -> None:
    clock.now = datetime.fromisoformat("2024-07-01T10:00:00+08:00")
    await put(shop, "/v1/people/li", {**LI, "role": "lead"})
    await put(shop, "/v1/people/han", {**LI, "role": "lead", "deputy": None})
    made = await put(shop, "/v1/rotas/r", ROTA)
    assert (made["on_duty"], made["unknown_people"]) == ("li", ["chen"])
    clock.turn(hours=8)
    (shown,) = await items(shop, "/v1/rotas")
    assert shown["on_duty"] == "han"
    assert shown["shifts"] == ROTA["shifts"]


async def test_who_goes_on_leave_hands_over_to_the_deputy_at_once(shop: Desk, clock: Clock) -> None:
    clock.now = datetime.fromisoformat("2024-10-01T08:00:00+08:00")
    for person, role in (("li", "specialist"), ("han", "specialist"), ("chen", "lead")):
        await put(
            shop,
            f"/v1/people/{person}",
            {"name": person, "role": role, "stores": ["demo"], "deputy": "han"}
            | ({"deputy": "chen"} if person == "han" else {}),
        )
    day = [{"weekday": name, "from": "00:00", "to": "24:00", "person": "li"} for name in ("tue", "wed")]
    for role in ("specialist", "logistics", "service", "promotion"):
        await put(shop, f"/v1/rotas/{role}", {"role": role, "shifts": day, "escalate_to": ["chen"]})
    await shop.tell(StockRanLow(sku="A001", available=9, safety=10), at=clock.now)
    await put(shop, "/v1/people/li", {**LI, "deputy": "han"})
    await shop.tell(StockRanLow(sku="A002", available=9, safety=10), at=clock.now)
    await put(shop, "/v1/people/han", {**LI, "deputy": None})
    await shop.tell(StockRanLow(sku="A003", available=9, safety=10), at=clock.now)
    owners = {incident["about"]["sku"]: incident["owner"] for incident in await items(shop, "/v1/incidents")}
    assert owners == {"A001": "li", "A002": "han", "A003": "chen"}


async def test_who_has_left_owns_nothing_any_more(shop: Desk, clock: Clock) -> None:
    await put(shop, "/v1/people/li", LI)
    clock.turn(minutes=1)
    assert (await shop.call("DELETE", "/v1/people/li")).status_code == 204
    assert (await shop.call("DELETE", "/v1/people/li")).status_code == 204
    assert (await shop.get("/v1/people/li")).status_code == 404
    assert (await shop.call("DELETE", "/v1/people/nobody")).status_code == 404
    await shop.tell(StockRanLow(sku="A001", available=9, safety=10), at=clock.now)
    assert (await items(shop, "/v1/incidents"))[0]["owner"] is None


async def test_a_change_of_role_may_be_planned(shop: Desk, clock: Clock) -> None:
    await put(shop, "/v1/people/li", LI)
    since = clock.now + timedelta(days=1)
    await put(shop, "/v1/people/li", {**LI, "role": "lead", "valid_from": since.isoformat()})
    assert (await shop.get("/v1/people/li")).json()["role"] == "specialist"
    clock.turn(days=1)
    assert (await shop.get("/v1/people/li")).json()["role"] == "lead"
