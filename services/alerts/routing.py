"""Who is told: a message for every channel whose routes match, as a row beside the incident (P6)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from libs.events.contracts import NotificationFolded
from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from services.alerts import wire
from services.alerts.domain.incidents import Change, Incident, Mute, Told, Withheld
from services.alerts.rules import Severity
from services.alerts.rules.running import DELIVERY_FAILING
from services.alerts.store import ledger
from services.alerts.store.ledger import Channel


class Choice(StrEnum):
    """Whether a channel is told of an incident, and if not, why."""

    TOLD = "told"
    DISABLED = "disabled"
    OWN_FAILURE = "own_failure"
    RULE = "rule"
    SEVERITY = "severity"
    HOURS = "hours"


async def add_notifications(change: Change, tx: Transaction) -> None:
    """Have every channel that wants it told of the change, in its language, with the incident as it stands now."""
    if change.told is Told.NOTHING:
        return
    channels = await ledger.list_channels(change.incident.store, tx)
    wanting = [channel for channel in channels if choose(channel, change.incident, tx.now) is Choice.TOLD]
    rows = [_row(channel, change, tx) for channel in wanting]
    await ledger.add_deliveries(rows, tx)
    if change.mute is not None and change.mute.status is Withheld.FOLDED:
        _tell_folded(rows, change.mute, tx)


def _tell_folded(rows: Sequence[Mapping[str, Any]], mute: Mute, tx: Transaction) -> None:
    for row in rows:
        about = {name: row[name] for name in ("notification_id", "channel", "alert_id", "incident_id")}
        tx.emit(NotificationFolded(**about, attempt=0, reason=mute.by), store=row["store"])


def choose(channel: Channel, incident: Incident, now: datetime) -> Choice:
    """Whether one of the channel's routes names the incident's rules, at its severity or a lower one (D42), now."""
    if not channel.enabled:
        return Choice.DISABLED
    if incident.rule == DELIVERY_FAILING.id and incident.about.get("channel") == channel.name:
        return Choice.OWN_FAILURE
    rules = {"*", incident.rule, *(alert.rule for alert in incident.alerts)}
    named = [route for route in channel.routes if rules & set(route.get("rules", ("*",)))]
    if not named:
        return Choice.RULE
    heeded = [r for r in named if incident.severity.rank >= Severity(r.get("severity", "info")).rank]
    if not heeded:
        return Choice.SEVERITY
    local = now.astimezone(ZoneInfo(channel.timezone)).time()
    return Choice.TOLD if any(is_within(route.get("hours") or (), local) for route in heeded) else Choice.HOURS


def is_within(hours: Sequence[Sequence[str]], at: time) -> bool:
    """Whether a time lies in one of the spans; a span may go over midnight; none at all: always."""
    return not hours or any(_spans(time.fromisoformat(first), time.fromisoformat(last), at) for first, last in hours)


def _spans(first: time, last: time, at: time) -> bool:
    return first <= at < last if first < last else at >= first or at < last


def quiet_until(channel: Channel, severity: Severity, now: datetime) -> datetime | None:
    """The end of the quiet hours that now lie over a channel; the critical is told all the same."""
    if channel.quiet is None or severity is Severity.CRITICAL:
        return None
    local = now.astimezone(ZoneInfo(channel.timezone))
    first, last = channel.quiet["from"], channel.quiet["to"]
    if not is_within([(first, last)], local.time()):
        return None
    end = datetime.combine(local.date(), time.fromisoformat(last), local.tzinfo)
    return (end if end > local else end + timedelta(days=1)).astimezone(UTC)


def _row(channel: Channel, change: Change, tx: Transaction) -> dict[str, Any]:
    incident = change.incident
    data = wire.incident_body(incident, "en" if channel.language == "en" else "zh")
    return delivery_row(
        channel,
        change.told.value,
        wire.frozen(data),
        tx,
        incident_id=incident.incident_id,
        alert_id=change.alert.alert_id if change.alert else None,
        mute=change.mute,
        quiet=quiet_until(channel, incident.severity, tx.now),
    )


def delivery_row(
    channel: Channel,
    type_: str,
    data: Mapping[str, Any],
    tx: Transaction,
    *,
    incident_id: str | None = None,
    alert_id: str | None = None,
    mute: Mute | None = None,
    quiet: datetime | None = None,
) -> dict[str, Any]:
    """A message that waits to be sent, until the `quiet` hours end; or, `mute`, one that is not, and why."""
    return {
        "store": channel.store,
        "notification_id": f"nt_{uuid7(tx.now)}",
        "channel": channel.name,
        "type": type_,
        "incident_id": incident_id,
        "alert_id": alert_id,
        "body": {"type": type_, "timestamp": tx.now.isoformat(), "data": data},
        "status": mute.status.value if mute else "quiet" if quiet else "pending",
        "reason": mute.by if mute else "quiet_hours" if quiet else "route",
        "attempts": 0,
        "created_at": tx.now,
        "due_at": None if mute else quiet or tx.now,
        "settled_at": tx.now if mute else None,
    }
