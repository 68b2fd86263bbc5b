"""Feishu 飞书 and Lark robots: an interactive card with a button; signed in the body."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from libs.events import strict_json
from services.alerts.channels.base import Limit, Notification, Request
from services.alerts.channels.robots import Codes
from services.alerts.channels.wording import Message, cut, fit, message_of
from services.alerts.store.ledger import Channel

HOSTS = frozenset({"open.feishu.cn", "open.larksuite.com"})
LIMIT = Limit(burst=5, a_minute=90)
MOST_BYTES = 19_000
TITLE_BYTES = 200
EVERYBODY = "all"
_COLOURS = {"critical": "red", "warning": "orange", "info": "blue"}

CODES = Codes(
    field="code",
    busy={11232: 60.0},
    hints={
        9499: "the body is not understood",
        19021: "the signature does not match, or the clock is more than an hour off",
        19022: "the address is not on the robot's IP list",
        19024: "the message lacks the robot's keyword",
        11232: "too many messages",
    },
)


def render(channel: Channel, notification: Notification, now: datetime) -> Request:
    """The signed request."""
    message = message_of(notification, channel.language)
    signature = _signature(channel.secret, now)

    def write(lines: Sequence[str]) -> bytes:
        card = _card(message, lines, channel.mention)
        return strict_json.dumps({**signature, "msg_type": "interactive", "card": card})

    body = fit(message.lines, write, MOST_BYTES, channel.language)
    return Request(channel.url, {"content-type": "application/json"}, body)


def _signature(secret: str, now: datetime) -> dict[str, str]:
    if not secret:
        return {}
    stamp = str(int(now.timestamp()))
    digest = hmac.new(f"{stamp}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return {"timestamp": stamp, "sign": base64.b64encode(digest).decode()}


def _card(message: Message, lines: Sequence[str], mention: Sequence[str]) -> dict[str, Any]:
    called = " ".join(f'<at id="{escape(name)}"></at>' if name != EVERYBODY else "<at id=all></at>" for name in mention)
    text = "\n".join([*(escape(line) for line in lines), *([called] if called else [])])
    button = {
        "tag": "button",
        "type": "primary",
        "text": {"tag": "plain_text", "content": message.link_text},
        "url": message.link,
    }
    return {
        "config": {"wide_screen_mode": True},
        "header": {
            "template": "green" if message.is_good else _COLOURS.get(message.severity, "blue"),
            "title": {"tag": "plain_text", "content": cut(message.title, TITLE_BYTES)},
        },
        "elements": [
            *([{"tag": "div", "text": {"tag": "lark_md", "content": text}}] if text else []),
            {"tag": "action", "actions": [button]},
        ],
    }


_CODED = str.maketrans({character: f"&#{ord(character)};" for character in '&<>*~`["'})


def escape(words: str) -> str:
    """As plain text in lark_md: no tag, so nobody is called by a product's title."""
    return words.translate(_CODED)
