"""How an incident is handled: it goes up, people acknowledge it, look for its cause, and close it. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

from libs.service.errors import WrongState
from services.alerts.domain.incidents import (
    HANDLING,
    Alert,
    Change,
    Circumstances,
    Incident,
    Status,
    Told,
    end_alerts,
    kept_alerts,
)

FALLEN = frozenset(
    {
        "conversion_below_target",
        "conversion_drop",
        "traffic_drop",
        "roas_below_floor",
        "campaign_behind_plan",
        "payment_step_suspected",
    }
)
"""Rules about a figure that fell: its cause is recorded on the same day (ALR-12)."""


def escalate(
    incident: Incident, alert_id: str, up: tuple[str, int] | None, now: datetime, again_at: datetime | None
) -> Change:
    """Nobody has acknowledged it in time: it goes `up` to (person, level) (ALR-12); None: nobody is left to go to."""
    owner, level = up or (incident.owner, incident.level + 1)
    alert = Alert(alert_id, "incident_unacknowledged", now, "repeated" if incident.level else "first")
    higher = replace(
        incident,
        owner=owner,
        level=level,
        alerts=kept_alerts((*incident.alerts, alert)),
        escalate_at=again_at if up else None,
        told_at=now,
        version=incident.version + 1,
    )
    return Change(higher, alert, Told.ESCALATED)


def miss_cause(incident: Incident, alert_id: str, known: Circumstances) -> Change:
    """The cause of a figure that fell has not been recorded in time (ALR-12)."""
    alert = Alert(alert_id, "cause_missing", known.now, "first")
    missed = replace(
        incident,
        alerts=kept_alerts((*incident.alerts, alert)),
        cause_due_at=None,
        told_at=incident.told_at if known.mute else known.now,
        version=incident.version + 1,
    )
    return Change(missed, alert, Told.ESCALATED, known.mute)


def cause_due(opened_at: datetime, late_hour: float, next_day_hour: float) -> datetime:
    """When the cause must be recorded: by the end of the local day; opened at `late_hour` or after: next day's noon."""
    tomorrow = opened_at.date() + timedelta(days=1)
    hour = next_day_hour if opened_at.hour + opened_at.minute / 60 >= late_hour else 0
    return datetime.combine(tomorrow, time(int(hour), round(hour % 1 * 60)), opened_at.tzinfo)


def acknowledge(incident: Incident, by: str, now: datetime) -> Change:
    """Somebody has seen it (ALR-12); again: no effect (D67)."""
    _require_standing(incident)
    if incident.status is not Status.OPEN:
        return Change(incident, None, Told.NOTHING)
    ended, alerts = end_alerts(incident, {"incident_unacknowledged"}, now)
    seen = replace(
        incident,
        status=Status.ACKNOWLEDGED,
        acknowledged_at=now,
        owner=incident.owner or by,
        alerts=alerts,
        escalate_at=None,
        version=incident.version + 1,
    )
    return Change(seen, None, Told.NOTHING, ended=ended)


def investigate(incident: Incident, by: str, now: datetime) -> Change:
    """Somebody looks for the cause; acknowledges too."""
    _require_standing(incident)
    if incident.status is Status.INVESTIGATING:
        return Change(incident, None, Told.NOTHING)
    seen = acknowledge(incident, by, now)
    looked = replace(seen.incident, status=Status.INVESTIGATING, version=incident.version + 1)
    return replace(seen, incident=looked)


def assign(incident: Incident, owner: str) -> Incident:
    """Give it to somebody; to whom has it already: no effect."""
    _require_standing(incident)
    return incident if incident.owner == owner else replace(incident, owner=owner, version=incident.version + 1)


def resolve(incident: Incident, record: Mapping[str, Any], written: Mapping[str, Any], now: datetime) -> Change:
    """Close it with its record (template 4, ALR-14), completed by what is `written` already.

    Raises WrongState where it was closed with a different record.
    """
    if not incident.is_standing:
        if incident.record is not None and {**incident.record, **record} == incident.record:
            return Change(incident, None, Told.NOTHING)
        _require_standing(incident)
    ended, alerts = end_alerts(incident, HANDLING, now)
    closed = replace(
        incident,
        status=Status.RESOLVED,
        resolved_at=now,
        record={**written, "completed_at": now.isoformat(), **record},
        owner=record["owner"],
        alerts=alerts,
        muted=None,
        escalate_at=None,
        cause_due_at=None,
        version=incident.version + 1,
    )
    was_told = incident.told_at is not None
    return Change(closed, None, Told.RESOLVED if was_told else Told.NOTHING, ended=ended)


def _require_standing(incident: Incident) -> None:
    if not incident.is_standing:
        raise WrongState("resolved", ["comment"])
