"""People open incidents and move them along (ALR-12, ALR-14, ALR-16)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from libs.events.contracts import (
    IncidentAcknowledged,
    IncidentInvestigating,
    IncidentResolved,
)
from libs.events.contracts.alerts import IncidentRecord
from libs.events.transaction import Transaction
from services.alerts.domain import incidents as domain
from services.alerts.domain.incidents import Change, Finding, Incident, Told
from services.alerts.handlers.finding import found, incident_fields
from services.alerts.routing import add_notifications
from services.alerts.rules import MANUAL, Severity
from services.alerts.store import incidents


async def open_by_hand(
    title: str, description: str, severity: str, about: Mapping[str, str], *, of: str, by: str, tx: Transaction
) -> Incident:
    """A person opens an incident (ALR-16); two with the same title are one matter while the first stands."""
    figures = {"title": title, "description": description}
    rule = replace(MANUAL, severity=Severity(severity))
    finding = Finding(rule, {**about, "title": title}, figures, tx.now)
    incident = await found(finding, of, tx)
    await incidents.add_to_timeline(incident, "comment", by, description, tx)
    return incident


async def acknowledge(incident_id: str, *, of: str, by: str, tx: Transaction) -> Incident:
    """Somebody has seen the incident (ALR-12)."""
    before = await incidents.load_incident(of, incident_id, tx, lock=True)
    after = domain.acknowledge(before, by, tx.now)
    if after is not before:
        await _moved(after, "acknowledged", by, tx)
        tx.emit(IncidentAcknowledged(**incident_fields(after, by)))
    return after


async def investigate(incident_id: str, *, of: str, by: str, tx: Transaction) -> Incident:
    """Somebody looks for the cause (ALR-12)."""
    before = await incidents.load_incident(of, incident_id, tx, lock=True)
    after = domain.investigate(before, by, tx.now)
    if after is not before:
        await _moved(after, "investigating", by, tx)
        tx.emit(IncidentInvestigating(**incident_fields(after, by)))
    return after


async def assign(incident_id: str, owner: str, *, of: str, by: str, tx: Transaction) -> Incident:
    """Give the incident to somebody."""
    after = domain.assign(await incidents.load_incident(of, incident_id, tx, lock=True), owner)
    await _moved(after, "assigned", by, tx, words=owner)
    return after


async def comment(incident_id: str, words: str, *, of: str, by: str, tx: Transaction) -> Incident:
    """Write something into the incident's timeline."""
    incident = await incidents.load_incident(of, incident_id, tx, lock=True)
    await incidents.add_to_timeline(incident, "comment", by, words, tx)
    return incident


async def resolve(incident_id: str, record: Mapping[str, Any], *, of: str, by: str, tx: Transaction) -> Incident:
    """Close the incident with its record (ALR-14)."""
    before = await incidents.load_incident(of, incident_id, tx, lock=True)
    after = domain.resolve(before, record, tx.now)
    if after is not before:
        await _moved(after, "resolved", by, tx, words=str(record["cause"]))
        tx.emit(IncidentResolved(**incident_fields(after, by), record=IncidentRecord.model_validate(dict(record))))
        await add_notifications(Change(after, None, Told.RESOLVED), tx)
    return after


async def _moved(incident: Incident, kind: str, by: str, tx: Transaction, words: str = "") -> None:
    await incidents.save_incident(incident, tx)
    await incidents.add_to_timeline(incident, kind, by, words, tx)
