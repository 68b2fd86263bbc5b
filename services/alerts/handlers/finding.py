"""What becomes of findings: incidents are opened, joined and recovered, and people are told (ALR-15)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from libs.events.contracts import AlertFired, AlertRecovered, IncidentEscalated, IncidentOpened
from libs.events.contracts.alerts import Evidence
from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from services.alerts import staff
from services.alerts.domain import incidents as domain
from services.alerts.domain.handling import FALLEN, cause_due
from services.alerts.domain.incidents import Alert, Change, Finding, Incident, Opening, Told, Withheld
from services.alerts.evidence import shown
from services.alerts.handlers.muting import circumstances
from services.alerts.routing import add_notifications
from services.alerts.rulebook import Rulebook
from services.alerts.rules import RULE, About
from services.alerts.store import incidents
from services.alerts.wire import incident_title


async def found(finding: Finding, of: str, tx: Transaction) -> Incident:
    """A rule's condition holds: open an incident or join the one that stands, and have people told (ALR-15)."""
    await incidents.lock_matter(of, finding.key, tx)
    standing = await incidents.load_standing(of, finding.key, tx)
    known = await circumstances(finding.rule.id, finding.about, of, tx)
    if standing is None:
        change = domain.begin(finding, of, new_alert_id(tx), await _opening(finding, of, tx), known)
    else:
        change = domain.join(finding, standing, new_alert_id(tx), known)
    await _settle(change, f"rule:{finding.rule.id}", tx, opened=standing is None)
    return change.incident


async def recovered(of: str, key: str, rules: Sequence[str], at: datetime, tx: Transaction) -> None:
    """The condition of these rules holds no more."""
    await incidents.lock_matter(of, key, tx)
    standing = await incidents.load_standing(of, key, tx)
    known = await circumstances(standing.rule, standing.about, of, tx) if standing else None
    change = domain.recover(standing, rules, at, known) if standing and known else None
    if change is None or change.alert is None:
        return
    await incidents.save_incident(change.incident, tx)
    await incidents.add_to_timeline(change.incident, "recovered", f"rule:{change.alert.rule}", "", tx, at=at)
    tell_ended(change, at, tx)
    await add_notifications(change, tx)


def new_alert_id(tx: Transaction) -> str:
    """Of an alert that fires now."""
    return f"al_{uuid7(tx.now)}"


async def _opening(finding: Finding, of: str, tx: Transaction) -> Opening:
    """Who owns a new incident, and its deadlines (ALR-12)."""
    previous = await incidents.load_previous(of, finding.key, tx)
    people = await staff.load(of, tx)
    return Opening(
        incident_id=f"inc_{uuid7(tx.now)}",
        previous=previous,
        owner=people.owner_for(finding.rule.role, tx.now),
        escalate_at=await escalation_time(of, finding.about, finding.at, tx),
        cause_due_at=await _cause_due_at(finding, of, tx),
    )


async def escalation_time(of: str, about: About, since: datetime, tx: Transaction) -> datetime | None:
    """When an incident that nobody acknowledges goes up; None where the store does not want it.

    The limit runs `since` the problem began (D62); where that is over already, from now.
    """
    terms = await Rulebook(tx).terms(RULE["incident_unacknowledged"], of, about)
    if terms is None:
        return None
    limit = timedelta(minutes=terms.numbers["minutes"])
    return since + limit if since + limit > tx.now else tx.now + limit


async def _cause_due_at(finding: Finding, of: str, tx: Transaction) -> datetime | None:
    book = Rulebook(tx)
    terms = await book.terms(RULE["cause_missing"], of, finding.about) if finding.rule.id in FALLEN else None
    if terms is None:
        return None
    opened_at = finding.at.astimezone(await book.zone(of))
    return cause_due(opened_at, terms.numbers["late_hour"], terms.numbers["next_day_hour"])


async def _settle(change: Change, by: str, tx: Transaction, *, opened: bool) -> None:
    """Save a fired incident, write its timeline, publish its events, have it told."""
    incident, alert = change.incident, change.alert
    assert alert is not None, "a finding always has an alert"
    await incidents.save_incident(incident, tx)
    words = incident_title(incident, "en")
    await incidents.add_to_timeline(incident, "opened" if opened else alert.reason, by, words, tx, at=alert.fired_at)
    await _write_mute(change, tx)
    fired = AlertFired(**alert_fields(incident, alert), evidence=_evidence(incident))
    tx.emit(fired, store=incident.store, time=alert.fired_at)
    if opened:
        tx.emit(
            IncidentOpened(
                **incident_fields(incident, by),
                figures=dict(incident.figures),
                evidence=_evidence(incident),
                previous=incident.previous,
            ),
            store=incident.store,
            time=incident.opened_at,
        )
    elif change.told is Told.ESCALATED:
        tell_escalated(incident, by, "severity", tx)
    await add_notifications(change, tx)


def _evidence(incident: Incident) -> tuple[Evidence, ...]:
    return tuple(Evidence.model_validate(shown(item, "en")) for item in incident.evidence)


async def _write_mute(change: Change, tx: Transaction) -> None:
    mute = change.mute
    if mute is not None and mute.status is not Withheld.FOLDED:
        await incidents.add_to_timeline(change.incident, mute.status.value, mute.by, mute.why, tx)


def tell_escalated(incident: Incident, by: str, reason: str, tx: Transaction) -> None:
    """Publish that an incident went up, or became more severe."""
    escalated = IncidentEscalated(**incident_fields(incident, by), reason=reason, level=incident.level)
    tx.emit(escalated, store=incident.store, time=tx.now)


def tell_ended(change: Change, at: datetime, tx: Transaction) -> None:
    """Publish the alerts that are over."""
    for alert in change.ended:
        tx.emit(AlertRecovered(**alert_fields(change.incident, alert)), store=change.incident.store, time=at)


def alert_fields(incident: Incident, alert: Alert) -> dict[str, Any]:
    """What events about an alert say."""
    return {
        "alert_id": alert.alert_id,
        "incident_id": incident.incident_id,
        "rule": alert.rule,
        "about": dict(incident.about),
        "severity": incident.severity.value,
        "figures": dict(incident.figures),
        "reason": alert.reason,
        "retroactive": incident.retroactive,
        "fired_at": alert.fired_at,
    }


def incident_fields(incident: Incident, by: str) -> dict[str, Any]:
    """What events about an incident say."""
    return {
        "incident_id": incident.incident_id,
        "alerts": tuple(alert.alert_id for alert in incident.alerts),
        "owner": incident.owner,
        "rule": incident.rule,
        "severity": incident.severity.value,
        "title": incident_title(incident, "en"),
        "about": dict(incident.about),
        "by": by,
        "retroactive": incident.retroactive,
    }
