"""Rules without a database: when they fire."""

from datetime import UTC, datetime

import pytest

from services.alerts import texts, windows
from services.alerts.rules import CONVERSION_BELOW_TARGET, RULES, Seen, Verdict
from services.alerts.statistics import poisson_at_most

NOW = datetime(2024, 7, 1, 2, 0, tzinfo=UTC)
NUMBERS = CONVERSION_BELOW_TARGET.parameters


@pytest.mark.parametrize(
    ("uv", "orders", "verdict"),
    [
        (1000, 15, Verdict.BREACHED),
        (1000, 24, Verdict.BETWEEN),  # 20 % under, but so few orders are not rare enough
        (1000, 25, Verdict.CLEAR),  # above the threshold of 2.4 % plus a tenth of the drop
        (199, 0, Verdict.TOO_LITTLE),  # too few visitors
        (300, 0, Verdict.TOO_LITTLE),  # fewer than ten orders expected
        (340, 3, Verdict.BREACHED),
    ],
)
def test_conversion_is_judged_with_minimum_sample_and_poisson(uv: int, orders: int, verdict: Verdict) -> None:
    judged = CONVERSION_BELOW_TARGET.judge(Seen({"uv": uv, "orders_placed_here": orders}, target=0.03), NUMBERS)
    assert judged is verdict


def test_the_shortest_window_with_enough_traffic_speaks() -> None:
    quiet, enough = {"uv": 50, "orders_placed_here": 0}, {"uv": 500, "orders_placed_here": 2}
    judge, targets = windows.judge_ratio(CONVERSION_BELOW_TARGET, NUMBERS), dict.fromkeys(windows.GRAINS, 0.03)

    def speaker(known: dict[str, dict[str, int]]) -> str | None:
        found = windows.speak({(g, NOW): m for g, m in known.items()}, NOW, UTC, targets, judge)
        return found.grain if found else None

    assert speaker({"w1": quiet, "w3": enough, "w6": enough}) == "w3"
    assert speaker({"w1": quiet}) is None


@pytest.mark.parametrize(
    ("count", "expected", "probability"), [(0, 2.0, 0.135335), (3, 2.0, 0.857123), (15, 30.0, 0.001949)]
)
def test_poisson_agrees_with_the_tables(count: int, expected: float, probability: float) -> None:
    assert poisson_at_most(count, expected) == pytest.approx(probability, abs=1e-5)


def test_every_rule_has_words_in_both_languages_and_a_source() -> None:
    for rule in RULES:
        assert rule.zh
        assert rule.en
        assert rule.source.split("-")[0] in {"INV", "ORD", "ALR", "SRV", "RPT"}


def test_an_older_incident_may_lack_a_figure_of_a_newer_wording() -> None:
    assert texts.title("low_stock", {"sku": "A001"}, "", {}, "en") == "A001: - left, safety level -"
