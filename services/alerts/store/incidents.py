"""Incidents and their timelines."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import select, text, true, tuple_
from sqlalchemy.dialects.postgresql import insert

from libs.events.locks import lock_number
from libs.events.transaction import Transaction
from libs.service.errors import NotFound
from services.alerts.domain.incidents import Alert, Incident, Status
from services.alerts.rules import Severity
from services.alerts.tables import INCIDENT, TIMELINE


async def lock_matter(store: str, key: str, tx: Transaction) -> None:
    """Let one transaction at a time decide about a matter: a new incident has no row yet that could be locked."""
    await tx.session.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": lock_number(f"matter:{store}:{key}")})


async def load_standing(store: str, key: str, tx: Transaction) -> Incident | None:
    """The incident of a matter that is not resolved yet, locked."""
    rows = await tx.session.execute(
        select(INCIDENT)
        .where(INCIDENT.c.store == store, INCIDENT.c.key == key, INCIDENT.c.status != Status.RESOLVED)
        .with_for_update()
    )
    row = rows.one_or_none()
    return _incident(row) if row else None


async def load_previous(store: str, key: str, tx: Transaction) -> str | None:
    """The id of the last resolved incident of a matter."""
    found: str | None = await tx.session.scalar(
        select(INCIDENT.c.incident_id)
        .where(INCIDENT.c.store == store, INCIDENT.c.key == key, INCIDENT.c.status == Status.RESOLVED)
        .order_by(INCIDENT.c.resolved_at.desc())
        .limit(1)
    )
    return found


async def load_incident(store: str, incident_id: str, tx: Transaction, *, lock: bool = False) -> Incident:
    """One incident. Raises NotFound."""
    query = select(INCIDENT).where(INCIDENT.c.store == store, INCIDENT.c.incident_id == incident_id)
    row = (await tx.session.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("there is no such incident")
    return _incident(row)


async def list_incidents(
    store: str, *, status: str | None, rule: str | None, after: tuple[datetime, str] | None, limit: int, tx: Transaction
) -> list[Incident]:
    """Incidents, the newest first; `rule` matches any alert in the incident (D41)."""
    has_rule = INCIDENT.c.alerts.contains([{"rule": rule}]) if rule else true()
    beyond = tuple_(INCIDENT.c.opened_at, INCIDENT.c.incident_id) < after if after else true()
    rows = await tx.session.execute(
        select(INCIDENT)
        .where(INCIDENT.c.store == store, INCIDENT.c.status == status if status else true(), has_rule, beyond)
        .order_by(INCIDENT.c.opened_at.desc(), INCIDENT.c.incident_id.desc())
        .limit(limit)
    )
    return [_incident(row) for row in rows]


async def save_incident(incident: Incident, tx: Transaction) -> None:
    """Write an incident."""
    values = asdict(incident)
    values["alerts"] = [_alert_row(alert) for alert in incident.alerts]
    statement = insert(INCIDENT).values(**values)
    changed = {name: value for name, value in values.items() if name not in ("store", "incident_id")}
    await tx.session.execute(statement.on_conflict_do_update(index_elements=["store", "incident_id"], set_=changed))


def _alert_row(alert: Alert) -> dict[str, Any]:
    recovered = alert.recovered_at.isoformat() if alert.recovered_at else None
    return {**asdict(alert), "fired_at": alert.fired_at.isoformat(), "recovered_at": recovered}


def _incident(row: Any) -> Incident:
    values = dict(row._mapping)
    values["severity"] = Severity(values["severity"])
    values["status"] = Status(values["status"])
    values["alerts"] = tuple(_alert(alert) for alert in values["alerts"])
    return Incident(**values)


def _alert(row: Mapping[str, Any]) -> Alert:
    recovered = datetime.fromisoformat(row["recovered_at"]) if row["recovered_at"] else None
    return Alert(row["alert_id"], row["rule"], datetime.fromisoformat(row["fired_at"]), row["reason"], recovered)


async def add_to_timeline(
    incident: Incident, kind: str, by: str, words: str, tx: Transaction, *, at: datetime | None = None
) -> None:
    """Write down what happened to an incident."""
    await tx.session.execute(
        TIMELINE.insert().values(
            store=incident.store, incident_id=incident.incident_id, at=at or tx.now, kind=kind, by=by, text=words
        )
    )


async def load_timeline(store: str, incident_id: str, tx: Transaction) -> list[Any]:
    """What happened to an incident, in order."""
    rows = await tx.session.execute(
        select(TIMELINE.c.at, TIMELINE.c.kind, TIMELINE.c.by, TIMELINE.c.text)
        .where(TIMELINE.c.store == store, TIMELINE.c.incident_id == incident_id)
        .order_by(TIMELINE.c.id)
    )
    return list(rows)
