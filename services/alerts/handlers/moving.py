"""People open incidents and move them along (ALR-12, ALR-14, ALR-16)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from libs.events.contracts import IncidentAcknowledged, IncidentInvestigating, IncidentResolved
from libs.events.contracts.alerts import IncidentRecord
from libs.events.transaction import Transaction
from libs.service.errors import Validation, fault
from services.alerts import staff
from services.alerts.domain import handling
from services.alerts.domain.incidents import Change, Finding, Incident
from services.alerts.handlers.finding import found, incident_fields, tell_ended
from services.alerts.handlers.muting import circumstances
from services.alerts.routing import add_notifications
from services.alerts.rules import MANUAL, Severity
from services.alerts.store import incidents
from services.alerts.wire import incident_title, scope_text


async def open_by_hand(
    title: str, description: str, severity: str, about: Mapping[str, str], *, of: str, by: str, tx: Transaction
) -> Incident:
    """A person opens an incident (ALR-16); two with the same title are one matter while the first stands."""
    figures = {"title": title, "description": description}
    rule = replace(MANUAL, severity=Severity(severity))
    finding = Finding(rule, about, figures, tx.now, apart=title)
    incident = await found(finding, of, tx)
    await incidents.add_to_timeline(incident, "comment", by, description, tx)
    return incident


async def acknowledge(incident_id: str, *, of: str, by: str, tx: Transaction) -> Incident:
    """Somebody has seen the incident (ALR-12)."""
    before = await incidents.load_incident(of, incident_id, tx, lock=True)
    change = handling.acknowledge(before, by, tx.now)
    if change.incident is not before:
        await _moved(change, "acknowledged", by, tx)
        tx.emit(IncidentAcknowledged(**incident_fields(change.incident, by)))
    return change.incident


async def investigate(incident_id: str, *, of: str, by: str, tx: Transaction) -> Incident:
    """Somebody looks for the cause (ALR-12)."""
    before = await incidents.load_incident(of, incident_id, tx, lock=True)
    change = handling.investigate(before, by, tx.now)
    if change.incident is not before:
        await _moved(change, "investigating", by, tx)
        tx.emit(IncidentInvestigating(**incident_fields(change.incident, by)))
    return change.incident


async def assign(incident_id: str, owner: str, *, of: str, by: str, tx: Transaction) -> Incident:
    """Give the incident to somebody who works for the store. Raises Validation for somebody who does not."""
    before = await incidents.load_incident(of, incident_id, tx, lock=True)
    after = handling.assign(before, owner)
    people = (await staff.load(of, tx)).people
    if people and owner not in people:
        message = f"{owner} does not work for the store"
        raise Validation(f"owner: {message}", errors=[fault("/owner", "unknown", message)])
    if after is not before:
        await incidents.save_incident(after, tx)
        await incidents.add_to_timeline(after, "assigned", by, owner, tx)
    return after


async def comment(incident_id: str, words: str, *, of: str, by: str, tx: Transaction) -> Incident:
    """Write something into the incident's timeline."""
    incident = await incidents.load_incident(of, incident_id, tx, lock=True)
    await incidents.add_to_timeline(incident, "comment", by, words, tx)
    return incident


async def resolve(incident_id: str, record: Mapping[str, Any], *, of: str, by: str, tx: Transaction) -> Incident:
    """Close the incident with its record (ALR-14); what the record leaves out is taken from the incident."""
    before = await incidents.load_incident(of, incident_id, tx, lock=True)
    change = handling.resolve(before, record, await _written(before, tx), tx.now)
    after = change.incident
    if after is not before:
        await _moved(change, "resolved", by, tx, words=str(record["cause"]))
        tx.emit(IncidentResolved(**incident_fields(after, by), record=IncidentRecord.model_validate(after.record)))
        known = await circumstances(after.rule, after.about, of, tx)
        await add_notifications(replace(change, mute=known.mute), tx)
    return after


async def _written(incident: Incident, tx: Transaction) -> dict[str, Any]:
    """What template 4 asks for and the incident knows: date, description, scope."""
    zone = (await staff.load(incident.store, tx)).zone
    return {
        "date": incident.opened_at.astimezone(zone).date().isoformat(),
        "description": incident_title(incident, "zh"),
        "scope": scope_text(incident),
    }


async def _moved(change: Change, kind: str, by: str, tx: Transaction, words: str = "") -> None:
    await incidents.save_incident(change.incident, tx)
    await incidents.add_to_timeline(change.incident, kind, by, words, tx)
    tell_ended(change, tx.now, tx)
