"""Slack incoming webhooks: blocks with a button; the secret is the address."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from libs.events import strict_json
from services.alerts.channels.base import Limit, Notification, Outcome, Request, Result, by_status
from services.alerts.channels.wording import Message, cut, fit, message_of
from services.alerts.store.ledger import Channel

HOSTS = frozenset({"hooks.slack.com"})
LIMIT = Limit(burst=1, a_minute=59)
SECTION_BYTES = 2_900
TITLE_BYTES = 300
EVERYBODY = "all"
_HINTS = {
    "invalid_payload": "the message is not understood",
    "no_service": "the webhook was removed or disabled",
    "channel_is_archived": "the Slack channel is archived",
    "action_prohibited": "an administrator forbids it",
}


def render(channel: Channel, notification: Notification, _now: datetime) -> Request:
    """The request."""
    message = message_of(notification, channel.language)
    body = strict_json.dumps({"text": escape(message.title), "blocks": _blocks(message, channel)})
    return Request(channel.url, {"content-type": "application/json"}, body)


def _blocks(message: Message, channel: Channel) -> list[dict[str, Any]]:
    called = " ".join("<!channel>" if name == EVERYBODY else f"<@{escape(name)}>" for name in channel.mention)
    head = [f"*{escape(cut(message.title, TITLE_BYTES))}*"]

    def write(lines: Sequence[str]) -> bytes:
        return "\n".join([*head, *(escape(line) for line in lines), *([called] if called else [])]).encode()

    text = fit(message.lines, write, SECTION_BYTES, channel.language).decode()
    button = {"type": "button", "text": {"type": "plain_text", "text": message.link_text}, "url": message.link}
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": text}},
        {"type": "actions", "elements": [button]},
    ]


def classify(status: int, body: bytes, headers: Mapping[str, str]) -> Outcome:
    """200 with `ok` in the body; 429 says when to come again."""
    said = body.decode(errors="replace").strip()
    if status == 200:
        return Outcome(Result.SENT) if said == "ok" else Outcome(Result.AGAIN, "the answer is not ok")
    wait = headers.get("retry-after", "")
    outcome = by_status(status, float(wait) if wait.isdigit() else None)
    hint = _HINTS.get(said)
    return Outcome(outcome.result, f"{outcome.detail}: {hint}" if hint else outcome.detail, outcome.after_seconds)


def escape(words: str) -> str:
    """As plain text in mrkdwn: no link and no call."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("*", "∗")
