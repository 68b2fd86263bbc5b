"""DingTalk 钉钉 robots: markdown, or a card with a button where nobody is mentioned; signed in the query."""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from libs.events import strict_json
from services.alerts.channels.base import Limit, Notification, Request
from services.alerts.channels.robots import Codes
from services.alerts.channels.wording import Message, cut, fit, message_of
from services.alerts.store.ledger import Channel

HOSTS = frozenset({"oapi.dingtalk.com"})
LIMIT = Limit(burst=5, a_minute=15)
MOST_BYTES = 19_000
TITLE_BYTES = 200
EVERYBODY = "all"

CODES = Codes(
    field="errcode",
    busy={130101: 600.0},
    hints={
        310000: "signature, keyword or IP does not match the robot's security settings",
        130101: "too many messages a minute; the robot is blocked for 10 minutes",
        300001: "the access token does not exist",
        40035: "the message is not understood",
    },
    passing=(-1, 400013, 400101, 400102, 410100),
)
_SPECIAL = re.compile(r"([\\`*_\[\]()#>~|@])")


def render(channel: Channel, notification: Notification, now: datetime) -> Request:
    """The signed request."""
    message = message_of(notification, channel.language)

    def write(lines: Sequence[str]) -> bytes:
        return strict_json.dumps(_body(message, lines, channel.mention))

    body = fit(message.lines, write, MOST_BYTES, channel.language)
    return Request(_signed(channel.url, channel.secret, now), {"content-type": "application/json"}, body)


def _body(message: Message, lines: Sequence[str], mention: Sequence[str]) -> dict[str, Any]:
    title = cut(message.title, TITLE_BYTES)
    text = "\n\n".join([f"### {escape(title)}", *(escape(line) for line in lines)])
    if not mention:
        card = {"title": title, "text": text, "singleTitle": message.link_text, "singleURL": message.link}
        return {"msgtype": "actionCard", "actionCard": card}
    mobiles = [name for name in mention if name != EVERYBODY]
    called = " ".join(f"@{mobile}" for mobile in mobiles)
    text = f"{text}\n\n[{message.link_text}]({message.link})" + (f"\n\n{called}" if called else "")
    at = {"atMobiles": mobiles, "isAtAll": EVERYBODY in mention}
    return {"msgtype": "markdown", "markdown": {"title": title, "text": text}, "at": at}


def _signed(url: str, secret: str, now: datetime) -> str:
    if not secret:
        return url
    stamp = str(int(now.timestamp() * 1000))
    digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
    query = urlencode({"timestamp": stamp, "sign": base64.b64encode(digest).decode()})
    return f"{url}{'&' if '?' in url else '?'}{query}"


def escape(words: str) -> str:
    """As plain text in markdown; an @ is widened, so that nobody is called by a product's title."""
    return _SPECIAL.sub(lambda found: "＠" if found[1] == "@" else f"\\{found[1]}", words)
