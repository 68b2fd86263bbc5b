"""A rule, or a changed one, is told over history before it takes effect; nothing changes by asking."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from libs.events.contracts import OrderReviewed
from services.alerts.app import build
from services.alerts.settings import AlertsSettings
from tests.alerts.catalogue import EXAMPLES, USUAL, level, measured, paid, placed, refund, target, weeks
from tests.alerts.stories import DAY, HOUR, MINUTE, Teller, day, told
from tests.support.desk import desk_of

DROP = {"uv": 1000, "orders_placed_here": 12}


@pytest.fixture(scope="module")
async def teller(database: str) -> AsyncIterator[Teller]:
    settings = AlertsSettings(database_url=SecretStr(database), webhook_allow="127.0.0.1")
    async with desk_of(build(settings), ["alerts:read", "alerts:write"]) as desk:
        yield await Teller.of(desk)


async def replayed(teller: Teller, store: str, rule: str, days: tuple[int, int] = (0, 0), **parameters: float) -> Any:
    """What the answer says."""
    body = {"from": f"{day(days[0])}", "to": f"{day(days[1])}", "parameters": parameters}
    answer = await teller.call("POST", f"/v1/rules/{rule}/replay", store, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def rows(teller: Teller) -> dict[str, int]:
    """How many rows each table of the service has."""
    async with teller.desk.runtime.engine.connect() as session:
        names = await session.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'alerts'"))
        return {name: (await session.scalar(text(f"SELECT count(*) FROM alerts.{name}"))) or 0 for (name,) in names}


async def test_a_window_rule_is_told_with_the_numbers_that_hold_and_with_others(teller: Teller) -> None:
    await teller.open("windows")
    steps = [*told(target("conversion.order_uv", 0.03)), *weeks(USUAL), measured(0 * HOUR, DROP)]
    await teller.tell("windows", [*steps, measured(HOUR, {**DROP, "orders_placed_here": 30})])
    (incident,) = await teller.incidents("windows", "conversion_below_target")
    teller.now += HOUR
    before = await rows(teller)
    now = await replayed(teller, "windows", "conversion_below_target")
    assert [one["figures"]["numerator"] for one in now["fired"]] == [12]
    assert (now["per_day"], now["matched_incidents"], now["false_alarms"], now["missed_incidents"]) == (1.0, 1, 0, 0)
    assert now["fired"][0]["at"] == incident["alerts"][0]["fired_at"]
    wider = await replayed(teller, "windows", "conversion_below_target", share=0.7)
    assert (wider["fired"], wider["missed_incidents"]) == ([], 1)
    assert await rows(teller) == before


async def test_an_incident_that_was_a_false_alarm_is_counted_as_one(teller: Teller) -> None:
    await teller.open("false")
    await teller.tell("false", [*told(target("conversion.order_uv", 0.03)), measured(0 * HOUR, DROP)])
    (incident,) = await teller.incidents("false", "conversion_below_target")
    record = {"cause_code": "false_alarm", "cause": "a test", "measures": "none", "owner": "li"}
    done = await teller.call("POST", f"/v1/incidents/{incident['incident_id']}/resolve", "false", json=record)
    assert done.status_code == 200, done.text
    teller.now += HOUR
    found = await replayed(teller, "false", "conversion_below_target")
    assert (found["matched_incidents"], found["false_alarms"], found["missed_incidents"]) == (0, 1, 0)


async def test_a_deadline_is_told_with_another_limit(teller: Teller) -> None:
    await teller.open("reviews")
    held = OrderReviewed(order_id="o-1", decision="held", reasons=("amount_unusual",), by="rule")
    approved = OrderReviewed(order_id="o-1", decision="approved", reasons=(), by="li")
    await teller.tell("reviews", [*told(held), *told(approved, at=20 * MINUTE)])
    teller.now += 2 * HOUR
    assert (await replayed(teller, "reviews", "review_overdue"))["fired"] == []
    (fired,) = (await replayed(teller, "reviews", "review_overdue", minutes=10))["fired"]
    assert (fired["about"], fired["figures"]["minutes"]) == ({"order_id": "o-1"}, 10)


async def test_another_safety_level_makes_other_edges(teller: Teller) -> None:
    await teller.open("edges")
    levels = [level(available=n, version=v) for v, n in enumerate((30, 19, 12, 25, 15), 1)]
    await teller.tell("edges", [step for n, one in enumerate(levels) for step in told(one, at=n * MINUTE)])
    teller.now += HOUR
    assert (await replayed(teller, "edges", "low_stock"))["fired"] == []
    found = await replayed(teller, "edges", "low_stock", safety=20)
    assert [one["figures"]["available"] for one in found["fired"]] == [19, 15]


async def test_a_deadline_of_every_day_is_told_day_by_day(teller: Teller) -> None:
    await teller.open("days")
    await teller.tell("days", told(level(available=5), at=-2 * DAY))
    teller.now += 3 * DAY
    found = await replayed(teller, "days", "count_missing", (-1, 0))
    assert [one["figures"]["day"] for one in found["fired"]] == [f"{day(-1)}", f"{day()}"]


async def test_a_rate_is_told_with_another_factor(teller: Teller) -> None:
    await teller.open("rates")
    orders = [e for n in range(40) for e in (placed(f"o-{n}"), paid(f"o-{n}"))]
    others = [e for n in range(160) for e in (placed(f"b-{n}", "B1"), paid(f"b-{n}", "B1"))]
    await teller.tell("rates", [*told(*orders, *others, at=-DAY), *told(*(refund(f"o-{n}") for n in range(12)))])
    teller.now += HOUR
    assert len((await replayed(teller, "rates", "refund_rate_high"))["fired"]) == 1
    assert (await replayed(teller, "rates", "refund_rate_high", factor=8))["fired"] == []


@pytest.mark.parametrize(
    ("rule", "change", "pointer"),
    [
        ("low_stock", {"parameters": {"colour": 1}}, "/parameters/colour"),
        ("low_stock", {"to": "2024-06-01"}, "/to"),
        ("low_stock", {"from": "2023-01-01"}, "/from"),
        ("manual", {}, "/rule"),
        ("response_presale", {}, "/rule"),
    ],
)
async def test_what_cannot_be_replayed_is_refused_by_name(
    teller: Teller, rule: str, change: dict[str, Any], pointer: str
) -> None:
    await teller.open("refused")
    body = {"from": "2024-07-01", "to": "2024-07-02", **change}
    answer = await teller.call("POST", f"/v1/rules/{rule}/replay", "refused", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_an_unknown_rule_is_not_found(teller: Teller) -> None:
    await teller.open("unknown")
    body = {"from": "2024-07-01", "to": "2024-07-02"}
    assert (await teller.call("POST", "/v1/rules/none/replay", "unknown", json=body)).status_code == 404


SOME = ("oversold", "payment_step_suspected", "budget_overspent", "campaign_behind_plan", "shipment_overdue")


@pytest.mark.parametrize("rule", SOME)
async def test_a_rule_of_each_shape_fires_in_its_replay_as_it_did(teller: Teller, rule: str) -> None:
    store = f"again.{rule}"
    await teller.open(store)
    await teller.tell(store, EXAMPLES[rule].fires)
    teller.now += HOUR
    assert len((await replayed(teller, store, rule))["fired"]) == 1
