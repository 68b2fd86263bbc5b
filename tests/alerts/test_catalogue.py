"""Every rule of the catalogue: from the event, over the real bus and consumer, to its incident and its message."""

from collections.abc import AsyncIterator
from dataclasses import replace
from string import Formatter
from typing import Any

import pytest
from pydantic import SecretStr

from services.alerts.app import build
from services.alerts.rules import RULE, RULES, Role, Severity
from services.alerts.settings import AlertsSettings
from tests.alerts.catalogue import ELSEWHERE, EXAMPLES, USUAL, listed, measured, target
from tests.alerts.stories import BEGAN, DAY, HOUR, Teller, told
from tests.support.desk import desk_of


@pytest.fixture(scope="module")
async def teller(database: str) -> AsyncIterator[Teller]:
    settings = AlertsSettings(database_url=SecretStr(database), webhook_allow="127.0.0.1")
    async with desk_of(build(settings), ["alerts:read", "alerts:write"]) as desk:
        yield await Teller.of(desk)


@pytest.mark.parametrize("rule", EXAMPLES)
async def test_a_rule_fires_in_its_example_and_has_it_told(teller: Teller, rule: str) -> None:
    store = f"fires.{rule}"
    await teller.open(store)
    await teller.tell(store, EXAMPLES[rule].fires)
    (incident,) = await teller.incidents(store, rule)
    assert RULE[rule].severity is Severity(incident["severity"])
    assert _figures_of(RULE[rule].en) <= {*incident["figures"], *incident["about"], "name"}
    assert {message["channel"] for message in incident["notifications"]} == {"ops"}


def _figures_of(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize("rule", EXAMPLES)
async def test_a_rule_is_silent_in_its_other_example(teller: Teller, rule: str) -> None:
    store = f"silent.{rule}"
    await teller.open(store)
    await teller.tell(store, EXAMPLES[rule].silent)
    assert await teller.incidents(store, rule) == []


def test_every_rule_has_its_examples() -> None:
    assert set(RULE) == set(EXAMPLES) | set(ELSEWHERE)
    assert not set(EXAMPLES) & set(ELSEWHERE)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_has_its_words_its_source_and_whom_it_concerns(rule) -> None:  # type: ignore[no-untyped-def]
    assert rule.zh
    assert rule.en
    assert rule.source.split("-")[0] in {"INV", "ORD", "ALR", "SRV", "RPT"}
    assert isinstance(rule.role, Role)


@pytest.mark.parametrize(
    ("rule", "change", "pointer"),
    [
        ("low_stock", {"scope": {"channel": "paid"}}, "/scope/channel"),
        ("data_missing", {"scope": {"sku": "A1"}}, "/scope/sku"),
        ("low_stock", {"words": ["最"]}, "/words"),
        ("low_stock", {"parameters": {"safety": -1}}, "/parameters/safety"),
    ],
)
async def test_a_setting_that_cannot_be_is_refused_by_field(
    teller: Teller, rule: str, change: dict[str, Any], pointer: str
) -> None:
    await teller.open("refused")
    answer = await teller.call("PUT", f"/v1/rules/{rule}", "refused", json=change)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


@pytest.mark.parametrize(
    ("rule", "setting"),
    [
        ("review_overdue", {"parameters": {"minutes": 60}}),
        ("conversion_drop", {"parameters": {"share": 0.9}, "scope": {"channel": "paid"}}),
        ("campaign_price", {"enabled": False, "scope": {"campaign": "summer"}}),
        ("refund_rate_high", {"parameters": {"minimum_orders": 100}, "scope": {"category": "dress"}}),
        ("absolute_wording", {"words": ["顶流"]}),
        ("roas_below_floor", {"parameters": {"floor": 2.5}, "scope": {"channel": "paid"}}),
    ],
)
async def test_a_rule_obeys_what_is_set_for_the_part_that_it_is_about(
    teller: Teller, rule: str, setting: dict[str, Any]
) -> None:
    """The same stories in which they fire by the catalogue's numbers."""
    store = f"set.{rule}"
    await teller.open(store)
    await teller.tell(store, told(listed(), at=-3 * DAY))
    teller.now = BEGAN - 40 * DAY
    body = {**setting, "valid_from": (BEGAN - 40 * DAY).isoformat()}
    answer = await teller.call("PUT", f"/v1/rules/{rule}", store, json=body)
    assert answer.status_code == 200, answer.text
    await teller.tell(store, EXAMPLES[rule].fires)
    assert await teller.incidents(store, rule) == []


async def test_a_setting_for_another_part_changes_nothing(teller: Teller) -> None:
    await teller.open("else")
    body = {"enabled": False, "scope": {"channel": "social"}, "valid_from": (BEGAN - 40 * DAY).isoformat()}
    await teller.call("PUT", "/v1/rules/conversion_drop", "else", json=body)
    await teller.tell("else", EXAMPLES["conversion_drop"].fires)
    assert len(await teller.incidents("else", "conversion_drop")) == 1


async def test_conversion_recovers_after_two_clear_windows_above_the_margin(teller: Teller) -> None:
    """Usual is 30 of 1000: breached at 15, clear from 16.5 on."""
    await teller.open("recovers")
    past = [step for n in range(6) for w in (4, 3, 2, 1) for step in [measured(n * HOUR - 7 * w * DAY, USUAL)]]
    windows = [measured(n * HOUR, {**USUAL, "orders_placed_here": o}) for n, o in enumerate((12, 20, 16, 20, 20))]

    async def recovered() -> bool:
        (incident,) = await teller.incidents("recovers", "conversion_drop")
        return incident["recovered_at"] is not None

    await teller.tell("recovers", [*past, *windows[:4]])
    assert not await recovered(), "16 is above the threshold and below the margin"
    await teller.tell("recovers", windows[4:])
    assert await recovered()


async def test_a_breach_that_goes_on_is_one_alert(teller: Teller) -> None:
    await teller.open("on")
    windows = [measured(n * HOUR, {"uv": 1000, "orders_placed_here": 10}) for n in range(3)]
    await teller.tell("on", [*told(target("conversion.order_uv", 0.03)), *windows])
    (incident,) = await teller.incidents("on", "conversion_below_target")
    assert len([alert for alert in incident["alerts"] if alert["rule"] == "conversion_below_target"]) == 1


async def test_a_window_measured_late_is_recorded_and_told_to_nobody(teller: Teller) -> None:
    await teller.open("late")
    window = measured(-3 * HOUR, {"uv": 1000, "orders_placed_here": 10})
    late = replace(window, late=2 * HOUR)
    await teller.tell("late", [*told(target("conversion.order_uv", 0.03), at=-4 * HOUR), late])
    (incident,) = await teller.incidents("late", "conversion_below_target")
    assert (incident["retroactive"], incident["notifications"]) == (True, [])


async def test_without_four_weeks_the_last_seven_days_are_what_is_usual(teller: Teller) -> None:
    await teller.open("week")
    drop = {"uv": 1000, "orders_placed_here": 14}
    days = [measured(-n * DAY, USUAL) for n in range(7, 0, -1)]
    await teller.tell("week", [*days[3:], measured(0 * HOUR, drop)])
    assert await teller.incidents("week") == [], "four days are too few, and there is no target"
    await teller.tell("week", [*days[:3], measured(0 * HOUR, drop)])
    assert len(await teller.incidents("week", "conversion_drop")) == 1
