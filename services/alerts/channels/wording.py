"""What a chat message says: pure, the same for every target; how it is written is the target's own file."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.alerts.channels.base import Notification

_TOLD: Mapping[str, tuple[str, str]] = {
    "incident.repeated": ("再次发生", "Again"),
    "incident.recovered": ("已恢复", "Recovered"),
    "incident.escalated": ("升级", "Escalated"),
    "incident.resolved": ("已解决", "Resolved"),
    "report.published": ("报表", "Report"),
    "test": ("测试消息", "Test message"),
}
_SEVERITY: Mapping[str, tuple[str, str]] = {
    "info": ("提示", "Info"),
    "warning": ("警告", "Warning"),
    "critical": ("严重", "Critical"),
}
_RANK = ("critical", "warning", "info")
EVIDENCE_SHOWN = 4
_BLANKS = re.compile(r"[\x00-\x20\x7f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Message:
    """One message for a person: a title, lines below it, and where to read on."""

    title: str
    lines: Sequence[str]
    severity: str
    is_good: bool
    link: str
    link_text: str


def message_of(notification: Notification, language: str) -> Message:
    """One message in words; several become a digest with a line each, the worst first."""
    english = language == "en"
    if len(notification.bodies) == 1:
        return _single(notification.bodies[0], notification.console, english=english)
    return _digest(notification, english=english)


def _single(body: Mapping[str, Any], console: str, *, english: bool) -> Message:
    data = body.get("data", {})
    return Message(
        title=_headline(body, english=english),
        lines=_details(data, english=english),
        severity=str(data.get("severity", "info")),
        is_good=body.get("type") in ("incident.recovered", "incident.resolved"),
        link=_link(data, console),
        link_text="Open" if english else "查看",
    )


def _digest(notification: Notification, *, english: bool) -> Message:
    bodies = sorted(notification.bodies, key=lambda body: _rank(body.get("data", {})))
    count = len(bodies)
    return Message(
        title=f"{count} messages" if english else f"{count} 条消息",
        lines=[_headline(body, english=english) for body in bodies],
        severity=str(bodies[0].get("data", {}).get("severity", "info")),
        is_good=False,
        link=f"{notification.console}/incidents",
        link_text="Open" if english else "查看",
    )


def _rank(data: Mapping[str, Any]) -> int:
    severity = data.get("severity")
    return _RANK.index(severity) if severity in _RANK else len(_RANK)


def _headline(body: Mapping[str, Any], *, english: bool) -> str:
    """Such as [严重] 已恢复: A001 夏季连衣裙: 售罄."""
    data = body.get("data", {})
    told = _TOLD.get(str(body.get("type")))
    severity = _SEVERITY.get(str(data.get("severity")))
    title = one_line(str(data.get("title") or data.get("channel") or data.get("kind") or ""))
    words = ([f"[{severity[english]}]"] if severity else []) + ([f"{told[english]}:"] if told else []) + [title]
    return " ".join(words)


def _details(data: Mapping[str, Any], *, english: bool) -> list[str]:
    named = (
        ("owner", "负责人", "Owner"),
        ("store", "店铺", "Store"),
        ("opened_at", "开始", "Since"),
        ("recovered_at", "恢复", "Recovered"),
    )
    lines = [f"{en if english else zh}: {one_line(str(data[name]))}" for name, zh, en in named if data.get(name)]
    evidence = [one_line(str(item.get("text", ""))) for item in data.get("evidence") or ()]
    return [*lines, *(f"{n}. {text}" for n, text in enumerate(evidence[:EVIDENCE_SHOWN], 1) if text)]


def _link(data: Mapping[str, Any], console: str) -> str:
    incident = data.get("incident_id")
    return f"{console}/incidents/{incident}" if incident else console


def one_line(words: str) -> str:
    """Without line breaks and control characters, so that a text cannot look like a second message."""
    return _BLANKS.sub(" ", words).strip()


def fit(lines: Sequence[str], write: Callable[[Sequence[str]], bytes], limit: int, language: str) -> bytes:
    """What `write` makes of the lines, in at most `limit` bytes: the last lines give way, and it says how many."""
    for kept in range(len(lines), -1, -1):
        left_out = len(lines) - kept
        more = [f"… {left_out} more" if language == "en" else f"…… 另有 {left_out} 条"] if left_out else []
        written = write([*lines[:kept], *more])
        if len(written) <= limit:
            break
    return written


def cut(words: str, most_bytes: int) -> str:
    """The beginning of a text in at most so many bytes of UTF-8, whole characters only."""
    raw = words.encode()
    return words if len(raw) <= most_bytes else raw[: most_bytes - 3].decode(errors="ignore") + "…"
