"""WeCom 企业微信 robots: markdown, or text where people are called by mobile number; the secret is the address."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from libs.events import strict_json
from services.alerts.channels.base import Limit, Notification, Request
from services.alerts.channels.robots import Codes
from services.alerts.channels.wording import Message, cut, fit, message_of
from services.alerts.store.ledger import Channel

HOSTS = frozenset({"qyapi.weixin.qq.com"})
LIMIT = Limit(burst=5, a_minute=15)
MARKDOWN_BYTES, TEXT_BYTES = 4_096, 2_048
TITLE_BYTES = 400
EVERYBODY = "all"
_COLOURS = {"critical": "warning", "warning": "warning", "info": "info"}
_SPECIAL = re.compile(r"([\\`*_\[\]()#])")

CODES = Codes(
    field="errcode",
    busy={45009: 60.0},
    hints={
        40058: "the message is too long or lacks a field",
        45009: "too many messages a minute",
        93000: "the key of the address is wrong, or the robot was removed",
        93017: "the group is gone",
    },
    passing=(-1,),
)


def render(channel: Channel, notification: Notification, _now: datetime) -> Request:
    """The request."""
    message = message_of(notification, channel.language)
    calls_mobiles = any(name.isdigit() or name == EVERYBODY for name in channel.mention)
    body = _text(message, channel) if calls_mobiles else _markdown(message, channel)
    return Request(channel.url, {"content-type": "application/json"}, strict_json.dumps(body))


def _text(message: Message, channel: Channel) -> dict[str, Any]:
    numbers = ["@all" if name == EVERYBODY else name for name in channel.mention]
    content = _within(TEXT_BYTES, [cut(message.title, TITLE_BYTES)], message.lines, [message.link], channel.language)
    return {"msgtype": "text", "text": {"content": content, "mentioned_mobile_list": numbers}}


def _markdown(message: Message, channel: Channel) -> dict[str, Any]:
    colour = "info" if message.is_good else _COLOURS.get(message.severity, "info")
    head = [f'<font color="{colour}">{escape(cut(message.title, TITLE_BYTES))}</font>']
    called = " ".join(f"<@{escape(name)}>" for name in channel.mention)
    foot = [f"[{message.link_text}]({message.link})", *([called] if called else [])]
    lines = [f"> {escape(line)}" for line in message.lines]
    return {
        "msgtype": "markdown",
        "markdown": {"content": _within(MARKDOWN_BYTES, head, lines, foot, channel.language)},
    }


def _within(limit: int, head: Sequence[str], lines: Sequence[str], foot: Sequence[str], language: str) -> str:
    """The limit is of the content alone, in bytes."""

    def write(kept: Sequence[str]) -> bytes:
        return "\n".join([*head, *kept, *foot]).encode()

    return fit(lines, write, limit, language).decode()


def escape(words: str) -> str:
    """As plain text in markdown: no tag and no link, so nobody is called by a product's title."""
    return _SPECIAL.sub(r"\\\1", words).replace("<", "＜").replace(">", "＞")
