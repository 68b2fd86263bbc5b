"""The signed webhook: Standard Webhooks, for anything that is no chat; in our own format or Alertmanager's (v4)."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime

from standardwebhooks import Webhook

from libs.events import strict_json
from libs.service.errors import Validation, fault
from services.alerts.channels import alertmanager
from services.alerts.channels.base import Notification, Outcome, Request, by_status
from services.alerts.store.ledger import Channel

PREFIX = "whsec_"
SHORTEST_SECRET_BYTES = 16


def check_secret(secret: str) -> None:
    """Raises Validation for what is no `whsec_` + base64 of at least 16 bytes."""
    try:
        raw = base64.b64decode(secret.removeprefix(PREFIX), validate=True) if secret.startswith(PREFIX) else b""
    except binascii.Error:
        raw = b""
    if len(raw) < SHORTEST_SECRET_BYTES:
        message = "whsec_ and the base64 of at least 16 bytes"
        raise Validation(f"secret: {message}", errors=[fault("/secret", "secret", message)])


def render(channel: Channel, notification: Notification, now: datetime) -> Request:
    """The signed request: `webhook-id` is the notification's, so that the receiver can drop a repeat."""
    (body,) = notification.bodies
    is_own = channel.format == "own"
    payload = strict_json.dumps(body if is_own else alertmanager.webhook_body(notification, channel.name))
    signature = Webhook(channel.secret).sign(notification.notification_id, now, payload.decode())
    headers = {
        "content-type": "application/json",
        "webhook-id": notification.notification_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    return Request(channel.url, headers, payload)


def classify(status: int, _body: bytes, _headers: Mapping[str, str]) -> Outcome:
    """2xx: sent. 410, and 4xx that will stay: refused. Everything else: again."""
    return by_status(status)
