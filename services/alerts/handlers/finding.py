"""What becomes of findings: incidents are opened, joined and recovered, and people are told (ALR-15)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from libs.events.contracts import (
    AlertFired,
    AlertRecovered,
    IncidentEscalated,
    IncidentOpened,
)
from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from services.alerts.domain import incidents as domain
from services.alerts.domain.incidents import Alert, Change, Finding, Incident, Told
from services.alerts.routing import add_notifications
from services.alerts.store import incidents
from services.alerts.wire import incident_title


async def found(finding: Finding, of: str, tx: Transaction) -> Incident:
    """A rule's condition holds: open an incident or join the one that stands, and have people told (ALR-15)."""
    await incidents.lock_matter(of, finding.key, tx)
    standing = await incidents.load_standing(of, finding.key, tx)
    previous = None if standing else await incidents.load_previous(of, finding.key, tx)
    ids = (f"inc_{uuid7(tx.now)}", f"al_{uuid7(tx.now)}")
    change = domain.fire(finding, standing, store=of, ids=ids, previous=previous, now=tx.now)
    await _settle(change, f"rule:{finding.rule.id}", tx, opened=standing is None)
    return change.incident


async def recovered(of: str, key: str, rules: Sequence[str], at: datetime, tx: Transaction) -> None:
    """The condition of these rules holds no more."""
    await incidents.lock_matter(of, key, tx)
    standing = await incidents.load_standing(of, key, tx)
    change = domain.recover(standing, rules, at, tx.now) if standing else None
    if change is None or change.alert is None:
        return
    incident = change.incident
    await incidents.save_incident(incident, tx)
    await incidents.add_to_timeline(incident, "recovered", f"rule:{change.alert.rule}", "", tx, at=at)
    tx.emit(AlertRecovered(**alert_fields(incident, change.alert)), store=of, time=at)
    await add_notifications(change, tx)


async def _settle(change: Change, by: str, tx: Transaction, *, opened: bool) -> None:
    """Save a fired incident, write its timeline, publish its events, have it told."""
    incident, alert = change.incident, change.alert
    assert alert is not None, "a finding always has an alert"
    await incidents.save_incident(incident, tx)
    words = incident_title(incident, "en")
    await incidents.add_to_timeline(incident, "opened" if opened else alert.reason, by, words, tx, at=alert.fired_at)
    tx.emit(AlertFired(**alert_fields(incident, alert)), store=incident.store, time=alert.fired_at)
    if opened:
        tx.emit(
            IncidentOpened(**incident_fields(incident, by), figures=dict(incident.figures), previous=incident.previous),
            store=incident.store,
            time=incident.opened_at,
        )
    elif change.told is Told.ESCALATED:
        tx.emit(
            IncidentEscalated(**incident_fields(incident, by), reason="severity"), store=incident.store, time=tx.now
        )
    await add_notifications(change, tx)


def alert_fields(incident: Incident, alert: Alert) -> dict[str, Any]:
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
