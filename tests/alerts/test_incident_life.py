"""Incidents without a database: when they open, join, recover and go up, and whom they tell."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from libs.service.errors import WrongState
from services.alerts import texts
from services.alerts.domain import handling
from services.alerts.domain import incidents as domain
from services.alerts.domain.incidents import Circumstances, Finding, Incident, Opening, Status, Told, Withheld
from services.alerts.domain.muting import Silence, inhibitors, silenced
from services.alerts.rules import LOW_STOCK, SOLD_OUT, Severity

NOW = datetime(2024, 7, 1, 2, 0, tzinfo=UTC)
RECORD = {"cause_code": "stock_out", "cause": "sync", "measures": "repaired", "owner": "li", "completed_at": "x"}


def low(at: datetime = NOW) -> Finding:
    return Finding(LOW_STOCK, {"sku": "A001"}, {"available": 9, "safety": 10}, at, "夏季连衣裙")


def sold_out(at: datetime = NOW) -> Finding:
    return Finding(SOLD_OUT, {"sku": "A001"}, {"available": 0, "safety": 10}, at, "夏季连衣裙")


def fired(finding: Finding, standing: Incident | None = None, now: datetime = NOW) -> domain.Change:
    known = Circumstances(now)
    if standing is None:
        return domain.begin(finding, "demo", "al_1", Opening("inc_1"), known)
    return domain.join(finding, standing, f"al_{now}_{len(standing.alerts)}", known)


def recovered(standing: Incident, now: datetime = NOW) -> domain.Change | None:
    return domain.recover(standing, ["low_stock"], now, Circumstances(now))


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
    assert soon.mute is not None
    assert (soon.mute.status, later.told, later.mute) == (Withheld.FOLDED, Told.REPEATED, None)
    assert soon.alert is not None
    assert soon.alert.reason == "repeated"


def test_the_hour_runs_from_the_last_message_even_if_that_was_a_recovery() -> None:
    standing = recovered(fired(low()).incident, NOW + timedelta(minutes=55))
    assert standing is not None
    relapse = fired(low(NOW + timedelta(minutes=65)), standing.incident, NOW + timedelta(minutes=65))
    assert relapse.mute is not None


def test_an_incident_that_fires_for_ever_stays_small() -> None:
    standing = fired(low()).incident
    for _ in range(300):
        standing = replace(fired(low(), standing).incident, told_at=NOW)
        assert standing.alerts[0].reason == "first"
    assert len(standing.alerts) == domain.ALERTS_KEPT


def test_what_becomes_known_an_hour_late_is_recorded_and_told_to_nobody() -> None:
    change = fired(low(NOW - timedelta(minutes=61)))
    assert (change.told, change.incident.retroactive) == (Told.NOTHING, True)
    assert fired(low(NOW - timedelta(minutes=59))).told is Told.OPENED


def test_a_recovery_is_told_once_and_the_incident_stays_open() -> None:
    change = recovered(fired(low()).incident)
    assert change is not None
    assert (change.told, change.incident.status, change.incident.recovered_at) == (Told.RECOVERED, Status.OPEN, NOW)
    assert recovered(change.incident) is None


def test_the_recovery_of_a_relapse_that_nobody_was_told_of_is_not_told() -> None:
    first = recovered(fired(low()).incident)
    assert first is not None
    relapse = fired(low(NOW + timedelta(minutes=5)), first.incident, NOW + timedelta(minutes=5))
    again = recovered(relapse.incident, NOW + timedelta(minutes=6))
    assert again is not None
    assert (relapse.mute is None, again.told) == (False, Told.NOTHING)


def test_a_repeat_that_is_folded_does_not_swallow_the_recovery() -> None:
    standing = fired(low()).incident
    repeated = fired(low(NOW + timedelta(minutes=5)), standing, NOW + timedelta(minutes=5)).incident
    change = recovered(repeated, NOW + timedelta(minutes=6))
    assert change is not None
    assert (change.told, len(change.ended)) == (Told.RECOVERED, 2)


def test_an_incident_moves_forward_only() -> None:
    opened = fired(low()).incident
    acknowledged = handling.acknowledge(opened, "li", NOW).incident
    assert (acknowledged.status, acknowledged.owner) == (Status.ACKNOWLEDGED, "li")
    assert handling.acknowledge(acknowledged, "wang", NOW).incident is acknowledged
    looked_into = handling.investigate(acknowledged, "li", NOW).incident
    assert handling.acknowledge(looked_into, "wang", NOW).incident is looked_into
    resolved = handling.resolve(looked_into, RECORD, {}, NOW).incident
    assert (resolved.status, resolved.record) == (Status.RESOLVED, RECORD)
    assert handling.resolve(resolved, RECORD, {}, NOW).incident is resolved
    for step in (handling.acknowledge, handling.investigate):
        with pytest.raises(WrongState):
            step(resolved, "li", NOW)
    with pytest.raises(WrongState):
        handling.resolve(resolved, {**RECORD, "cause": "another"}, {}, NOW)


@pytest.mark.parametrize(
    ("opened", "due"),
    [
        ("2024-07-01T00:00", "2024-07-02T00:00"),
        ("2024-07-01T19:59", "2024-07-02T00:00"),
        ("2024-07-01T20:00", "2024-07-02T12:00"),
        ("2024-07-01T23:59", "2024-07-02T12:00"),
        ("2024-12-31T21:00", "2025-01-01T12:00"),
    ],
)
def test_the_cause_is_due_by_the_end_of_the_day_or_by_noon(opened: str, due: str) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    local = datetime.fromisoformat(opened).replace(tzinfo=zone)
    assert handling.cause_due(local, 20, 12) == datetime.fromisoformat(due).replace(tzinfo=zone)


def test_an_incident_goes_up_until_nobody_is_left() -> None:
    opened = fired(low()).incident
    hour = timedelta(hours=1)
    first = handling.escalate(opened, "al_2", ("wang", 1), NOW + hour, NOW + 2 * hour)
    assert (first.told, first.incident.owner, first.incident.level) == (Told.ESCALATED, "wang", 1)
    assert first.incident.escalate_at == NOW + 2 * hour
    last = handling.escalate(first.incident, "al_3", None, NOW + 2 * hour, NOW + 3 * hour)
    assert (last.incident.owner, last.incident.escalate_at) == ("wang", None)


def test_how_it_is_handled_says_nothing_about_whether_it_has_recovered() -> None:
    unseen = handling.escalate(fired(low()).incident, "al_2", None, NOW, None).incident
    change = recovered(unseen)
    assert change is not None
    assert change.incident.recovered_at == NOW
    seen = handling.acknowledge(unseen, "li", NOW)
    assert [alert.rule for alert in seen.ended] == ["incident_unacknowledged"]


def mute(finding: Finding, *silences: Silence) -> domain.Mute | None:
    return silenced(silences, finding.rule.id, finding.about, NOW)


def silence(rules: set[str], about: dict[str, str], until: datetime = NOW + timedelta(hours=1)) -> Silence:
    return Silence("s1", frozenset(rules), about, NOW, until, "planned")


def test_a_silence_covers_its_rules_and_what_it_is_about() -> None:
    assert mute(low(), silence({"low_stock"}, {})) is not None
    assert mute(low(), silence({"*"}, {"sku": "A001"})) is not None
    assert mute(low(), silence({"sold_out"}, {})) is None
    assert mute(low(), silence({"low_stock"}, {"sku": "A002"})) is None
    assert mute(low(), silence({"low_stock"}, {"channel": "paid"})) is None
    assert mute(low(), silence({"low_stock"}, {}, until=NOW)) is None


def test_sold_out_explains_the_conversion_of_the_same_sku_and_nothing_else() -> None:
    assert inhibitors("conversion_drop", {"sku": "A001"}) == [("sold_out", {"sku": "A001"})]
    assert inhibitors("conversion_drop", {"channel": "paid"}) == []
    assert inhibitors("refund_rate_high", {"sku": "A001"}) == []


def test_what_was_kept_quiet_is_told_when_that_is_over() -> None:
    known = Circumstances(NOW, silenced([silence({"*"}, {})], "low_stock", {"sku": "A001"}, NOW))
    opened = domain.begin(low(), "demo", "al_1", Opening("inc_1"), known)
    assert (opened.incident.told_at, opened.incident.muted) == (None, "silence:s1")
    heard = domain.unmute(opened.incident, NOW)
    assert (heard.told, heard.incident.muted, heard.incident.told_at) == (Told.OPENED, None, NOW)
    quiet = recovered(opened.incident)
    assert quiet is not None
    assert (quiet.told, quiet.incident.muted) == (Told.NOTHING, None)


def test_severity_never_falls_by_joining() -> None:
    critical = replace(fired(sold_out()).incident)
    assert fired(low(), critical).incident.severity is Severity.CRITICAL
