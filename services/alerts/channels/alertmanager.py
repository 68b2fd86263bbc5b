"""Prometheus Alertmanager: posts to an existing server's `/api/v2/alerts`, and writes its webhook format (v4)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from libs.events import strict_json
from services.alerts.channels.base import Notification, Outcome, Request, by_status
from services.alerts.channels.wording import one_line
from services.alerts.store.ledger import Channel

PATH = "/api/v2/alerts"
ENDED = frozenset({"incident.recovered", "incident.resolved"})
NEVER = "0001-01-01T00:00:00Z"
_OFFSET, _PRIME, _64_BITS = 0xCBF29CE484222325, 0x100000001B3, 0xFFFFFFFFFFFFFFFF


def render(channel: Channel, notification: Notification, _now: datetime) -> Request:
    """The alerts as a Prometheus server would post them; an address with no path means the server itself."""
    alerts = [_alert(body, notification.console) for body in notification.bodies]
    parts = urlsplit(channel.url)
    path = parts.path.rstrip("/")
    url = urlunsplit(parts._replace(path=path if path.endswith(PATH) else path + PATH))
    authorization = {"authorization": f"Bearer {channel.secret}"} if channel.secret else {}
    return Request(url, {"content-type": "application/json", **authorization}, strict_json.dumps(alerts))


def _alert(body: Mapping[str, Any], console: str) -> dict[str, Any]:
    data = body.get("data", {})
    ended = {"endsAt": _ended_at(body)} if body.get("type") in ENDED else {}
    return {
        "labels": labels_of(data),
        "annotations": {"summary": one_line(str(data.get("title", "")))},
        "startsAt": data.get("opened_at") or body["timestamp"],
        **ended,
        "generatorURL": f"{console}/incidents/{data.get('incident_id', '')}",
    }


def _ended_at(body: Mapping[str, Any]) -> str:
    data = body.get("data", {})
    return str(data.get("recovered_at") or data.get("resolved_at") or body["timestamp"])


def labels_of(data: Mapping[str, Any]) -> dict[str, str]:
    """The labels of an incident: which alert it is for Alertmanager, whatever happens to it later."""
    about = {str(name).replace("-", "_"): str(value) for name, value in (data.get("about") or {}).items()}
    own = {"alertname": str(data.get("rule", "test")), "store": str(data.get("store", ""))}
    incident = {"incident_id": str(data["incident_id"])} if data.get("incident_id") else {}
    return {name: one_line(value) for name, value in {**about, **own, **incident}.items() if value}


def webhook_body(notification: Notification, receiver: str) -> dict[str, Any]:
    """The v4 payload that Alertmanager's own webhook receivers understand."""
    alerts = [_received(body, notification.console) for body in notification.bodies]
    common = alerts[0]["labels"]
    return {
        "version": "4",
        "groupKey": f"{{}}:{{alertname={strict_json.dumps(common['alertname']).decode()}}}",
        "truncatedAlerts": 0,
        "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
        "receiver": receiver,
        "groupLabels": {"alertname": common["alertname"]},
        "commonLabels": common,
        "commonAnnotations": alerts[0]["annotations"],
        "externalURL": notification.console,
        "alerts": alerts,
    }


def _received(body: Mapping[str, Any], console: str) -> dict[str, Any]:
    alert = _alert(body, console)
    over = "endsAt" in alert
    return {
        "status": "resolved" if over else "firing",
        **alert,
        "endsAt": alert.get("endsAt", NEVER),
        "fingerprint": fingerprint(alert["labels"]),
    }


def fingerprint(labels: Mapping[str, str]) -> str:
    """FNV-1a, 64 bits, over the sorted labels, as Prometheus names an alert."""
    value = _OFFSET
    for name in sorted(labels):
        for byte in name.encode() + b"\xff" + labels[name].encode() + b"\xff":
            value = ((value ^ byte) * _PRIME) & _64_BITS
    return f"{value:016x}"


def classify(status: int, _body: bytes, _headers: Mapping[str, str]) -> Outcome:
    """2xx."""
    return by_status(status)
