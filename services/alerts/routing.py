"""Who is told: a message for every channel whose routes match, as a row beside the incident (P6)."""

from collections.abc import Mapping, Sequence
from typing import Any

from libs.events.contracts import NotificationFolded
from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from services.alerts import wire
from services.alerts.domain.incidents import Change, Incident, Mute, Told, Withheld
from services.alerts.rules import Severity
from services.alerts.store import ledger
from services.alerts.store.ledger import Channel


async def add_notifications(change: Change, tx: Transaction) -> None:
    """Have every channel that wants it told of the change, in its language, with the incident as it stands now."""
    if change.told is Told.NOTHING:
        return
    channels = await ledger.list_channels(change.incident.store, tx)
    wanting = [channel for channel in channels if channel.enabled and wants(channel, change.incident)]
    rows = [_row(channel, change, tx) for channel in wanting]
    await ledger.add_deliveries(rows, tx)
    if change.mute is not None and change.mute.status is Withheld.FOLDED:
        _tell_folded(rows, change.mute, tx)


def _tell_folded(rows: Sequence[Mapping[str, Any]], mute: Mute, tx: Transaction) -> None:
    for row in rows:
        about = {name: row[name] for name in ("notification_id", "channel", "alert_id", "incident_id")}
        tx.emit(NotificationFolded(**about, attempt=0, reason=mute.by), store=row["store"])


def wants(channel: Channel, incident: Incident) -> bool:
    """Whether one of the channel's routes names the incident's rules at its severity or a lower one (D42)."""
    rules = {incident.rule, *(alert.rule for alert in incident.alerts)}
    return any(_matches(route, rules, incident.severity) for route in channel.routes)


def _matches(route: Mapping[str, Any], rules: set[str], severity: Severity) -> bool:
    named = set(route.get("rules", ("*",)))
    return bool("*" in named or named & rules) and severity.rank >= Severity(route.get("severity", "info")).rank


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
) -> dict[str, Any]:
    """A message that waits to be sent; or, `mute`, one that is written down with the reason why it is not."""
    return {
        "store": channel.store,
        "notification_id": f"nt_{uuid7(tx.now)}",
        "channel": channel.name,
        "type": type_,
        "incident_id": incident_id,
        "alert_id": alert_id,
        "body": {"type": type_, "timestamp": tx.now.isoformat(), "data": data},
        "status": mute.status.value if mute else "pending",
        "reason": mute.by if mute else "route",
        "attempts": 0,
        "created_at": tx.now,
        "due_at": None if mute else tx.now,
        "settled_at": tx.now if mute else None,
    }
