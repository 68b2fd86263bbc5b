"""Incidents: what becomes of a finding, and how people move an incident along. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from libs.service.errors import WrongState
from services.alerts.rules import Rule, Severity

RETROACTIVE_AFTER = timedelta(hours=1)
"""A breach that becomes known later than this after its limit is recorded and told to nobody (D5)."""
RETELL_AFTER = timedelta(hours=1)
"""A relapse within this time after the last message is folded into it (D74)."""


class Status(StrEnum):
    """Of an incident."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    INVESTIGATING = "investigating"
    RESOLVED = "resolved"


class Told(StrEnum):
    """The message that a change of an incident is worth, as its type on the wire says it; NOTHING for none."""

    OPENED = "incident.opened"
    REPEATED = "incident.repeated"
    RECOVERED = "incident.recovered"
    ESCALATED = "incident.escalated"
    RESOLVED = "incident.resolved"
    NOTHING = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's condition began to hold."""

    rule: Rule
    about: Mapping[str, str]
    figures: Mapping[str, Any]
    at: datetime
    name: str = ""

    @property
    def key(self) -> str:
        """What one incident is about: its matter and what it concerns."""
        return matter_key(self.rule, self.about)


def matter_key(rule: Rule, about: Mapping[str, str]) -> str:
    """The key under which alerts become one incident (ALR-15)."""
    return "|".join((rule.matter, *(f"{name}={about[name]}" for name in sorted(about))))


@dataclass(frozen=True, slots=True)
class Alert:
    """One firing of one rule inside an incident."""

    alert_id: str
    rule: str
    fired_at: datetime
    reason: str
    recovered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """A problem somebody has to deal with, from opened to resolved."""

    store: str
    incident_id: str
    key: str
    rule: str
    severity: Severity
    status: Status
    about: Mapping[str, str]
    name: str
    figures: Mapping[str, Any]
    opened_at: datetime
    alerts: tuple[Alert, ...]
    acknowledged_at: datetime | None = None
    recovered_at: datetime | None = None
    resolved_at: datetime | None = None
    told_at: datetime | None = None
    relapse_told: bool = True
    owner: str | None = None
    record: Mapping[str, Any] | None = None
    previous: str | None = None
    retroactive: bool = False
    version: int = 1


@dataclass(frozen=True, slots=True)
class Change:
    """An incident after something happened to it, the alert of it, and the message that it is worth."""

    incident: Incident
    alert: Alert | None
    told: Told


def is_retroactive(at: datetime, now: datetime) -> bool:
    """Whether this became known too late to be told (D5)."""
    return now - at > RETROACTIVE_AFTER


def fire(
    finding: Finding,
    standing: Incident | None,
    *,
    store: str,
    ids: tuple[str, str],
    previous: str | None,
    now: datetime,
) -> Change:
    """A finding opens an incident, or joins the one that stands (D41, D74). `ids`: of a new incident and alert."""
    late = is_retroactive(finding.at, now)
    if standing is None:
        alert = Alert(ids[1], finding.rule.id, finding.at, "retroactive" if late else "first")
        opened = Incident(
            store=store,
            incident_id=ids[0],
            key=finding.key,
            rule=finding.rule.id,
            severity=finding.rule.severity,
            status=Status.OPEN,
            about=finding.about,
            name=finding.name,
            figures=finding.figures,
            opened_at=finding.at,
            alerts=(alert,),
            told_at=None if late else now,
            previous=previous,
            retroactive=late,
        )
        return Change(opened, alert, Told.NOTHING if late else Told.OPENED)
    return _join(finding, standing, ids[1], late=late, now=now)


def _join(finding: Finding, standing: Incident, alert_id: str, *, late: bool, now: datetime) -> Change:
    rises = finding.rule.severity.rank > standing.severity.rank
    known = any(alert.rule == finding.rule.id for alert in standing.alerts)
    reason = "retroactive" if late else "repeated" if known else "escalated" if rises else "first"
    alert = Alert(alert_id, finding.rule.id, finding.at, reason)
    told = Told.NOTHING
    if not late and rises:
        told = Told.ESCALATED
    elif not late and (standing.told_at is None or now - standing.told_at > RETELL_AFTER):
        told = Told.REPEATED
    joined = replace(
        standing,
        severity=max(standing.severity, finding.rule.severity, key=lambda s: s.rank),
        rule=finding.rule.id if rises else standing.rule,
        figures=finding.figures,
        alerts=(*standing.alerts, alert),
        recovered_at=None,
        told_at=now if told else standing.told_at,
        relapse_told=bool(told) or standing.recovered_at is None,
        retroactive=standing.retroactive and late,
        version=standing.version + 1,
    )
    return Change(joined, alert, told)


def recover(standing: Incident, rules: Sequence[str], at: datetime, now: datetime) -> Change | None:
    """The condition of these rules holds no more. The incident stays open until resolved with a record (D41).

    None where none of them was firing. A recovery is told once, and not after a relapse that nobody was told of (D83).
    """
    open_alerts = [a for a in standing.alerts if a.rule in rules and a.recovered_at is None]
    if not open_alerts:
        return None
    alerts = tuple(replace(a, recovered_at=at) if a in open_alerts else a for a in standing.alerts)
    whole = all(a.recovered_at for a in alerts)
    late = is_retroactive(at, now) or standing.retroactive
    told = Told.RECOVERED if whole and not late and standing.relapse_told else Told.NOTHING
    recovered = replace(standing, alerts=alerts, recovered_at=at if whole else None, version=standing.version + 1)
    return Change(recovered, open_alerts[-1], told)


def acknowledge(incident: Incident, by: str, now: datetime) -> Incident:
    """Somebody has seen it (ALR-12); again: no effect (D67)."""
    if incident.status is Status.RESOLVED:
        raise WrongState("resolved", ["comment"])
    if incident.status is not Status.OPEN:
        return incident
    return replace(
        incident,
        status=Status.ACKNOWLEDGED,
        acknowledged_at=now,
        owner=incident.owner or by,
        version=incident.version + 1,
    )


def investigate(incident: Incident, by: str, now: datetime) -> Incident:
    """Somebody looks for the cause; acknowledges too."""
    if incident.status is Status.RESOLVED:
        raise WrongState("resolved", ["comment"])
    if incident.status is Status.INVESTIGATING:
        return incident
    return replace(acknowledge(incident, by, now), status=Status.INVESTIGATING, version=incident.version + 1)


def assign(incident: Incident, owner: str) -> Incident:
    """Give it to somebody."""
    if incident.status is Status.RESOLVED:
        raise WrongState("resolved", ["comment"])
    return replace(incident, owner=owner, version=incident.version + 1)


def resolve(incident: Incident, record: Mapping[str, Any], now: datetime) -> Incident:
    """Close it with its record (template 4, ALR-14); a different record for a closed one is refused."""
    if incident.status is Status.RESOLVED:
        if incident.record == record:
            return incident
        raise WrongState("resolved", ["comment"])
    return replace(
        incident,
        status=Status.RESOLVED,
        resolved_at=now,
        record=record,
        owner=record["owner"],
        version=incident.version + 1,
    )
