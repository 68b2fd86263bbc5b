"""Incidents and notifications as they stand on the wire."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from services.alerts import evidence, texts
from services.alerts.domain.incidents import Incident
from services.alerts.store.ledger import Channel, Delivery
from services.alerts.texts import Language


def incident_body(
    incident: Incident,
    language: Language,
    *,
    timeline: Iterable[Any] = (),
    notifications: Iterable[Delivery] = (),
) -> dict[str, Any]:
    """An incident; instants as `datetime`."""
    return {
        "incident_id": incident.incident_id,
        "store": incident.store,
        "rule": incident.rule,
        "severity": incident.severity.value,
        "status": incident.status.value,
        "title": incident_title(incident, language),
        "about": dict(incident.about),
        "figures": dict(incident.figures),
        "opened_at": incident.opened_at,
        "acknowledged_at": incident.acknowledged_at,
        "recovered_at": incident.recovered_at,
        "resolved_at": incident.resolved_at,
        "owner": incident.owner,
        "alerts": [
            {
                "alert_id": alert.alert_id,
                "rule": alert.rule,
                "fired_at": alert.fired_at,
                "recovered_at": alert.recovered_at,
                "reason": alert.reason,
            }
            for alert in incident.alerts
        ],
        "evidence": [evidence.shown(item, language) for item in incident.evidence],
        "record": incident.record,
        "previous": incident.previous,
        "retroactive": incident.retroactive,
        "muted": incident.muted,
        "level": incident.level,
        "version": incident.version,
        "timeline": [{"at": row.at, "kind": row.kind, "by": row.by, "text": row.text} for row in timeline],
        "notifications": [
            {"channel": d.channel, "status": d.status, "at": d.settled_at or d.created_at, "attempts": d.attempts}
            for d in notifications
        ],
    }


def incident_title(incident: Incident, language: Language) -> str:
    """The one line of an incident."""
    return texts.title(incident.rule, incident.about, incident.name, incident.figures, language)


def scope_text(incident: Incident) -> str:
    """What an incident concerns, for its record: SKU A001; 5 orders."""
    about = [f"{name} {value}" for name, value in sorted(incident.about.items())]
    orders = incident.figures.get("orders")
    return "; ".join([*about, *([f"{orders} orders"] if isinstance(orders, int) else [])]) or "store"


def notification_body(delivery: Delivery) -> dict[str, Any]:
    """A row of the delivery ledger."""
    return {
        "notification_id": delivery.notification_id,
        "channel": delivery.channel,
        "type": delivery.type,
        "about": {"incident_id": delivery.incident_id} if delivery.incident_id else {},
        "status": delivery.status,
        "reason": delivery.reason,
        "attempts": delivery.attempts,
        "last_error": delivery.last_error,
        "at": delivery.settled_at or delivery.created_at,
    }


MASK = "***"


def channel_body(channel: Channel) -> dict[str, Any]:
    """A channel with its secrets masked: the path and query of a robot's address are a secret too."""
    scheme, _, rest = channel.url.partition("://")
    return {
        "name": channel.name,
        "kind": channel.kind,
        "url": f"{scheme}://{rest.partition('/')[0]}/{MASK}",
        "secret": MASK if channel.secret else None,
        "language": channel.language,
        "routes": list(channel.routes),
        "mention": [MASK for _ in channel.mention],
        "format": channel.format,
        "quiet": channel.quiet,
        "enabled": channel.enabled,
    }


def frozen(value: Any) -> Any:
    """The same as plain JSON: instants as RFC 3339."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: frozen(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [frozen(inner) for inner in value]
    return value
