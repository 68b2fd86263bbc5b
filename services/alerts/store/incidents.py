"""Incidents and their timelines."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, literal, or_, select, text, true, tuple_
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which incidents a list shows; None: whatever it is. `rule` matches any alert in an incident (D41)."""

    status: str | None = None
    rule: str | None = None
    severity: str | None = None
    owner: str | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None


async def list_incidents(
    store: str, wanted: Wanted, *, after: tuple[datetime, str] | None, limit: int, tx: Transaction
) -> list[Incident]:
    """Incidents, the newest first; `since` and `until` are about when they were opened, [since, until)."""
    beyond = tuple_(INCIDENT.c.opened_at, INCIDENT.c.incident_id) < after if after else true()
    rows = await tx.session.execute(
        select(INCIDENT)
        .where(INCIDENT.c.store == store, beyond, *_conditions(wanted))
        .order_by(INCIDENT.c.opened_at.desc(), INCIDENT.c.incident_id.desc())
        .limit(limit)
    )
    return [_incident(row) for row in rows]


def _conditions(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    for name in ("status", "severity", "owner"):
        if (value := getattr(wanted, name)) is not None:
            yield INCIDENT.c[name] == value
    if wanted.rule is not None:
        yield INCIDENT.c.alerts.contains([{"rule": wanted.rule}])
    if wanted.about:
        yield INCIDENT.c.about.contains(dict(wanted.about))
    if wanted.since is not None:
        yield INCIDENT.c.opened_at >= wanted.since
    if wanted.until is not None:
        yield INCIDENT.c.opened_at < wanted.until


async def is_firing(store: str, key: str, rule: str, tx: Transaction) -> str | None:
    """The id of the standing incident of a matter in which an alert of this rule is not over; None: there is none."""
    query = select(INCIDENT).where(
        INCIDENT.c.store == store, INCIDENT.c.key == key, INCIDENT.c.status != Status.RESOLVED
    )
    row = (await tx.session.execute(query)).one_or_none()
    fires = row is not None and any(a.rule == rule and not a.recovered_at for a in _incident(row).alerts)
    return str(row.incident_id) if row is not None and fires else None


# what a time brings


async def take_unacknowledged(now: datetime, tx: Transaction) -> Incident | None:
    """An incident whose time to be acknowledged has passed, locked."""
    due = (INCIDENT.c.escalate_at <= now, INCIDENT.c.status == Status.OPEN)
    return await _take(INCIDENT.c.escalate_at, due, tx)


async def take_without_cause(now: datetime, tx: Transaction) -> Incident | None:
    """An incident whose cause should have been recorded by now, locked."""
    due = (INCIDENT.c.cause_due_at <= now, INCIDENT.c.status != Status.RESOLVED)
    return await _take(INCIDENT.c.cause_due_at, due, tx)


async def _take(order: ColumnElement[Any], due: Sequence[ColumnElement[bool]], tx: Transaction) -> Incident | None:
    query = select(INCIDENT).where(*due).order_by(order).limit(1).with_for_update(skip_locked=True)
    row = (await tx.session.execute(query)).one_or_none()
    return _incident(row) if row else None


async def list_muted(tx: Transaction, *, explained_by: Collection[str]) -> list[Any]:
    """(store, incident_id, rule, about) of the standing incidents that nobody is told of, oldest first.

    Left out are those whose explanation, an alert of these rules in the incident that they name, still fires.
    """
    c, other = INCIDENT.c, INCIDENT.alias("other")
    firing = [other.c.alerts.contains([{"rule": rule, "recovered_at": None}]) for rule in sorted(explained_by)]
    explains = exists().where(
        other.c.store == c.store,
        literal("incident:") + other.c.incident_id == c.muted,
        other.c.status != Status.RESOLVED,
        or_(*firing),
    )
    query = select(c.store, c.incident_id, c.rule, c.about).where(c.muted.is_not(None), ~explains)
    return list(await tx.session.execute(query.order_by(c.opened_at)))


async def save_incident(incident: Incident, tx: Transaction) -> None:
    """Write an incident."""
    values = asdict(incident)
    values["alerts"] = [_alert_row(alert) for alert in incident.alerts]
    values["evidence"] = list(values["evidence"])
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
    values["evidence"] = tuple(values["evidence"])
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


async def load_timelines(store: str, incident_ids: Collection[str], tx: Transaction) -> dict[str, list[Any]]:
    """incident id -> what happened to it, in order."""
    rows = await tx.session.execute(
        select(TIMELINE.c.incident_id, TIMELINE.c.at, TIMELINE.c.kind, TIMELINE.c.by, TIMELINE.c.text)
        .where(TIMELINE.c.store == store, TIMELINE.c.incident_id.in_(sorted(incident_ids)))
        .order_by(TIMELINE.c.id)
    )
    timelines: dict[str, list[Any]] = {incident_id: [] for incident_id in incident_ids}
    for row in rows:
        timelines[row.incident_id].append(row)
    return timelines
