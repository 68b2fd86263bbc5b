"""Microsoft Teams by a Workflows address: an adaptive card with a button; the secret is the address."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from libs.events import strict_json
from services.alerts.channels.base import Limit, Notification, Outcome, Request, by_status
from services.alerts.channels.wording import Message, cut, fit, message_of
from services.alerts.store.ledger import Channel

HOSTS = frozenset({"*.logic.azure.com", "*.api.powerplatform.com", "*.webhook.office.com"})
LIMIT = Limit(burst=4, a_minute=56)
MOST_BYTES = 27_000
TITLE_BYTES = 300
_COLOURS = {"critical": "Attention", "warning": "Warning", "info": "Accent"}
_SPECIAL = re.compile(r"([\\`*_\[\]()#>~])")


def render(channel: Channel, notification: Notification, _now: datetime) -> Request:
    """The request."""
    message = message_of(notification, channel.language)

    def write(lines: Sequence[str]) -> bytes:
        content = _card(message, lines, channel.mention)
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
        return strict_json.dumps({"type": "message", "attachments": [attachment]})

    return Request(
        channel.url,
        {"content-type": "application/json"},
        fit(message.lines, write, MOST_BYTES, channel.language),
    )


def _card(message: Message, lines: Sequence[str], mention: Sequence[str]) -> dict[str, Any]:
    colour = "Good" if message.is_good else _COLOURS.get(message.severity, "Default")
    head = {
        "type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": True, "color": colour,
        "text": escape(cut(message.title, TITLE_BYTES)),
    }  # fmt: skip
    called = [f"<at>{name}</at>" for name in map(escape, mention)]
    texts = [*(escape(line) for line in lines), *([" ".join(called)] if called else [])]
    people = [
        {"type": "mention", "text": text, "mentioned": {"id": name, "name": name}}
        for text, name in zip(called, mention, strict=True)
    ]
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [head, *({"type": "TextBlock", "wrap": True, "text": text} for text in texts)],
        "actions": [{"type": "Action.OpenUrl", "title": message.link_text, "url": message.link}],
        "msteams": {"width": "Full", "entities": people},
    }


def classify(status: int, _body: bytes, headers: Mapping[str, str]) -> Outcome:
    """2xx."""
    wait = headers.get("retry-after", "")
    return by_status(status, float(wait) if wait.isdigit() else None)


def escape(words: str) -> str:
    """As plain text in the card's markdown."""
    return _SPECIAL.sub(r"\\\1", words).replace("<", "＜")
