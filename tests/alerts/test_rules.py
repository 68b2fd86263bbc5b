"""Rules and incidents without a database: when they fire, join, recover, and whom they tell."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from libs.service.errors import WrongState
from services.alerts import texts, windows
from services.alerts.domain import incidents as domain
from services.alerts.domain.incidents import Finding, Incident, Status, Told
from services.alerts.rules import CONVERSION_BELOW_TARGET, LOW_STOCK, RULES, SOLD_OUT, Seen, Severity, Verdict
from services.alerts.statistics import poisson_at_most

NOW = datetime(2024, 7, 1, 2, 0, tzinfo=UTC)
NUMBERS = CONVERSION_BELOW_TARGET.parameters
RECORD = {"cause_code": "stock_out", "cause": "sync", "measures": "repaired", "owner": "li", "completed_at": "x"}


def low(at: datetime = NOW) -> Finding:
    return Finding(LOW_STOCK, {"sku": "A001"}, {"available": 9, "safety": 10}, at, "夏季连衣裙")


def sold_out(at: datetime = NOW) -> Finding:
    return Finding(SOLD_OUT, {"sku": "A001"}, {"available": 0, "safety": 10}, at, "夏季连衣裙")


def fired(finding: Finding, standing: Incident | None = None, now: datetime = NOW) -> domain.Change:
    return domain.fire(finding, standing, store="demo", ids=("inc_1", "al_1"), previous=None, now=now)


def test_a_finding_opens_an_incident_and_is_told() -> None:
    change = fired(low())
    assert (change.told, change.incident.status, change.incident.severity) == (
        Told.OPENED,
        Status.OPEN,
        Severity.WARNING,
    )
    title = texts.title("low_stock", change.incident.about, change.incident.name, change.incident.figures, "en")
    assert title == "A001 夏季连衣裙: 9 left, safety level 10"


def test_sold_out_joins_the_low_stock_incident_and_raises_it() -> None:
    change = fired(sold_out(), fired(low()).incident)
    assert (change.told, change.incident.severity, change.incident.rule) == (
        Told.ESCALATED,
        Severity.CRITICAL,
        "sold_out",
    )
    assert [alert.reason for alert in change.incident.alerts] == ["first", "escalated"]


def test_a_relapse_within_the_hour_is_folded_and_after_it_told() -> None:
    standing = fired(low()).incident
    soon = fired(low(NOW + timedelta(minutes=59)), standing, NOW + timedelta(minutes=59))
    later = fired(low(NOW + timedelta(minutes=61)), standing, NOW + timedelta(minutes=61))
    assert (soon.told, later.told) == (Told.NOTHING, Told.REPEATED)
    assert soon.alert is not None
    assert soon.alert.reason == "repeated"


def test_what_becomes_known_an_hour_late_is_recorded_and_told_to_nobody() -> None:
    change = fired(low(NOW - timedelta(minutes=61)))
    assert (change.told, change.incident.retroactive) == (Told.NOTHING, True)
    assert fired(low(NOW - timedelta(minutes=59))).told is Told.OPENED


def test_a_recovery_is_told_once_and_the_incident_stays_open() -> None:
    standing = fired(low()).incident
    change = domain.recover(standing, ["low_stock"], NOW, NOW)
    assert change is not None
    assert (change.told, change.incident.status, change.incident.recovered_at) == (Told.RECOVERED, Status.OPEN, NOW)
    assert domain.recover(change.incident, ["low_stock"], NOW, NOW) is None


def test_the_recovery_of_a_relapse_that_nobody_was_told_of_is_not_told() -> None:
    recovered = domain.recover(fired(low()).incident, ["low_stock"], NOW, NOW)
    assert recovered is not None
    relapse = fired(low(NOW + timedelta(minutes=5)), recovered.incident, NOW + timedelta(minutes=5))
    again = domain.recover(relapse.incident, ["low_stock"], NOW + timedelta(minutes=6), NOW + timedelta(minutes=6))
    assert again is not None
    assert (relapse.told, again.told) == (Told.NOTHING, Told.NOTHING)


def test_an_incident_moves_forward_only() -> None:
    opened = fired(low()).incident
    acknowledged = domain.acknowledge(opened, "li", NOW)
    assert (acknowledged.status, acknowledged.owner) == (Status.ACKNOWLEDGED, "li")
    assert domain.acknowledge(acknowledged, "wang", NOW) is acknowledged
    resolved = domain.resolve(domain.investigate(acknowledged, "li", NOW), RECORD, NOW)
    assert (resolved.status, resolved.record) == (Status.RESOLVED, RECORD)
    assert domain.resolve(resolved, RECORD, NOW) is resolved
    with pytest.raises(WrongState):
        domain.acknowledge(resolved, "li", NOW)
    with pytest.raises(WrongState):
        domain.investigate(resolved, "li", NOW)
    with pytest.raises(WrongState):
        domain.resolve(resolved, {**RECORD, "cause": "another"}, NOW)


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
    assert windows.speaker(CONVERSION_BELOW_TARGET, {1: quiet, 3: enough, 6: enough}, 0.03, NUMBERS) == 3
    assert windows.speaker(CONVERSION_BELOW_TARGET, {1: quiet}, 0.03, NUMBERS) is None


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


def test_severity_never_falls_by_joining() -> None:
    critical = replace(fired(sold_out()).incident)
    assert fired(low(), critical).incident.severity is Severity.CRITICAL
