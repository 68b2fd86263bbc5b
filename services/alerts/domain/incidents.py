"""Incidents: what becomes of a finding, and of its end. Pure."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from services.alerts.rules import Rule, Severity

RETROACTIVE_AFTER = timedelta(hours=1)
"""A breach that becomes known later than this after its limit is recorded and told to nobody (D5); a policy."""
RETELL_AFTER = timedelta(hours=1)
"""A relapse within this time after the last message, be it of a recovery, is folded into it (D74)."""
HANDLING = frozenset({"incident_unacknowledged", "cause_missing"})
"""Rules about how an incident is handled: their alerts join it, and say nothing about whether it has recovered."""
ALERTS_KEPT = 100
"""An incident that fires for ever keeps its first alert and its last ones; the events have them all."""


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
    """A rule's condition began to hold. `apart` keeps alerts about the same thing in incidents of their own."""

    rule: Rule
    about: Mapping[str, str]
    figures: Mapping[str, Any]
    at: datetime
    name: str = ""
    apart: str = ""
    evidence: tuple[Mapping[str, Any], ...] = ()

    @property
    def key(self) -> str:
        """What one incident is about: its matter and what it concerns."""
        return matter_key(self.rule, self.about, self.apart)


LONGEST_KEY = 500


def matter_key(rule: Rule, about: Mapping[str, str], apart: str = "") -> str:
    """The key under which alerts become one incident (ALR-15); a very long one ends in its digest."""
    parts = (rule.matter, *(f"{name}={about[name]}" for name in sorted(about)), *([apart] if apart else ()))
    key = "|".join(parts)
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[:LONGEST_KEY]}#{hashlib.sha256(key.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Alert:
    """One firing of one rule inside an incident."""

    alert_id: str
    rule: str
    fired_at: datetime
    reason: str
    recovered_at: datetime | None = None


class Withheld(StrEnum):
    """Why a message is written down and not sent, as the delivery ledger says it."""

    SILENCED = "silenced"
    INHIBITED = "inhibited"
    FOLDED = "folded"


@dataclass(frozen=True, slots=True)
class Mute:
    """Nobody is told now: planned work (a silence), or another incident explains it (inhibition). `by` says which."""

    status: Withheld
    by: str
    why: str = ""


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
    muted: str | None = None
    level: int = 0
    escalate_at: datetime | None = None
    cause_due_at: datetime | None = None
    evidence: tuple[Mapping[str, Any], ...] = ()
    version: int = 1

    @property
    def is_standing(self) -> bool:
        """Not resolved yet."""
        return self.status is not Status.RESOLVED


@dataclass(frozen=True, slots=True)
class Change:
    """An incident after something happened to it, the alert of it, and the message that it is worth.

    `mute`: the message is written down as withheld. `ended`: the alerts that are over now.
    """

    incident: Incident
    alert: Alert | None
    told: Told
    mute: Mute | None = None
    ended: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a decision about a finding needs to know besides the incident that stands."""

    now: datetime
    mute: Mute | None = None
    retroactive_after: timedelta = RETROACTIVE_AFTER


@dataclass(frozen=True, slots=True)
class Opening:
    """What a new incident begins with: its ids, who owns it, by when somebody must have seen it and found its cause."""

    incident_id: str
    previous: str | None = None
    owner: str | None = None
    escalate_at: datetime | None = None
    cause_due_at: datetime | None = None


def is_retroactive(at: datetime, now: datetime, after: timedelta = RETROACTIVE_AFTER) -> bool:
    """Whether this became known too late to be told (D5)."""
    return now - at > after


def begin(finding: Finding, store: str, alert_id: str, opening: Opening, known: Circumstances) -> Change:
    """A finding opens an incident. A retroactive one waits for nobody: it is recorded."""
    late = is_retroactive(finding.at, known.now, known.retroactive_after)
    alert = Alert(alert_id, finding.rule.id, finding.at, "retroactive" if late else "first")
    opened = Incident(
        store=store,
        incident_id=opening.incident_id,
        key=finding.key,
        rule=finding.rule.id,
        severity=finding.rule.severity,
        status=Status.OPEN,
        about=finding.about,
        name=finding.name,
        figures=finding.figures,
        opened_at=finding.at,
        alerts=(alert,),
        told_at=None if late or known.mute else known.now,
        relapse_told=known.mute is None,
        owner=opening.owner,
        previous=opening.previous,
        retroactive=late,
        muted=known.mute.by if known.mute and not late else None,
        escalate_at=None if late else opening.escalate_at,
        cause_due_at=None if late else opening.cause_due_at,
        evidence=finding.evidence,
    )
    return Change(opened, alert, Told.NOTHING if late else Told.OPENED, None if late else known.mute)


def join(finding: Finding, standing: Incident, alert_id: str, known: Circumstances) -> Change:
    """A finding joins the incident that stands (D41); it is told when it is worse or an hour has passed (D74)."""
    late = is_retroactive(finding.at, known.now, known.retroactive_after)
    rises = _is_worse(finding, standing)
    alert = Alert(alert_id, finding.rule.id, finding.at, _reason(finding, standing, late=late, rises=rises))
    told = Told.NOTHING if late else Told.ESCALATED if rises else Told.REPEATED
    mute = None if late else known.mute or (None if rises else _fold(standing, known.now))
    is_told = told is not Told.NOTHING and mute is None
    is_muted = known.mute is not None and not late
    joined = replace(
        standing,
        severity=max(standing.severity, finding.rule.severity, key=lambda s: s.rank),
        rule=finding.rule.id if rises else standing.rule,
        figures=finding.figures,
        alerts=kept_alerts((*standing.alerts, alert)),
        recovered_at=None,
        told_at=known.now if is_told else standing.told_at,
        relapse_told=is_told or (standing.recovered_at is None and standing.relapse_told),
        retroactive=standing.retroactive and late,
        muted=known.mute.by if is_muted and known.mute else standing.muted,
        evidence=finding.evidence or standing.evidence,
        version=standing.version + 1,
    )
    return Change(joined, alert, told, mute)


def _is_worse(finding: Finding, standing: Incident) -> bool:
    """Whether its severity rises, or what was only warned of has come."""
    warned_of = standing.rule == f"{finding.rule.id}_warning"
    return warned_of or finding.rule.severity.rank > standing.severity.rank


def _reason(finding: Finding, standing: Incident, *, late: bool, rises: bool) -> str:
    known = any(alert.rule == finding.rule.id for alert in standing.alerts)
    return "retroactive" if late else "repeated" if known else "escalated" if rises else "first"


def _fold(standing: Incident, now: datetime) -> Mute | None:
    if standing.told_at is None or now - standing.told_at > RETELL_AFTER:
        return None
    return Mute(Withheld.FOLDED, f"told {standing.told_at.isoformat()}")


def kept_alerts(alerts: tuple[Alert, ...]) -> tuple[Alert, ...]:
    """The first, and the last ones; one that still fires is never left out while one that is over could be."""
    if len(alerts) <= ALERTS_KEPT:
        return alerts
    middle = alerts[1:-1]
    oldest = next((alert for alert in middle if alert.recovered_at), middle[0])
    return tuple(alert for alert in alerts if alert is not oldest)


def recover(standing: Incident, rules: Sequence[str], at: datetime, known: Circumstances) -> Change | None:
    """The condition of these rules holds no more. The incident stays open until resolved with a record (D41).

    None where none of them was firing. A recovery is told once, and not after a relapse that nobody was told of (D83).
    """
    ended, alerts = end_alerts(standing, rules, at)
    if not ended:
        return None
    whole = all(a.recovered_at for a in alerts if a.rule not in HANDLING)
    late = is_retroactive(at, known.now, known.retroactive_after) or standing.retroactive
    told = Told.RECOVERED if whole and not late and standing.relapse_told else Told.NOTHING
    recovered = replace(
        standing,
        alerts=alerts,
        recovered_at=at if whole else None,
        told_at=known.now if told and not known.mute else standing.told_at,
        muted=None if whole else standing.muted,
        version=standing.version + 1,
    )
    return Change(recovered, ended[-1], told, known.mute if told else None, ended)


def end_alerts(standing: Incident, rules: Collection[str], at: datetime) -> tuple[tuple[Alert, ...], tuple[Alert, ...]]:
    """The alerts of these rules that are over now, and all alerts."""
    ended = {a.alert_id: replace(a, recovered_at=at) for a in standing.alerts if a.rule in rules and not a.recovered_at}
    return tuple(ended.values()), tuple(ended.get(a.alert_id, a) for a in standing.alerts)


def unmute(incident: Incident, now: datetime) -> Change:
    """What kept it quiet is over and the condition still holds: it is told now."""
    told = Told.OPENED if incident.told_at is None else Told.REPEATED
    heard = replace(incident, muted=None, told_at=now, relapse_told=True, version=incident.version + 1)
    return Change(heard, incident.alerts[-1], told)
