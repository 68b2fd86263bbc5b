"""How fast a target may be told, and when it is left alone for a while. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.alerts.channels.base import Limit, Outcome, Result

TROUBLE_AFTER = 5
"""Failures in a row after which a target is left alone."""
FIRST_REST, LONGEST_REST = timedelta(seconds=30), timedelta(minutes=10)
DIGEST_MOST = 50
"""Messages in one digest."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Before one target, for all channels and processes: a bucket of messages and a breaker."""

    target: str
    tokens: float
    filled_at: datetime
    failures: int = 0
    closed_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """How many calls may be made now, and how many messages each takes; none: not before `opens_at`."""

    calls: int
    messages: int = 1
    opens_at: datetime | None = None


def fresh(target: str, limit: Limit | None, now: datetime) -> Gate:
    """Of a target that was never told anything."""
    return Gate(target, float(limit.burst if limit else 0), now)


def fill(gate: Gate, limit: Limit, now: datetime) -> Gate:
    """With what has dripped in since."""
    passed = max(0.0, (now - gate.filled_at).total_seconds())
    tokens = min(float(limit.burst), gate.tokens + passed * limit.a_minute / 60)
    return replace(gate, tokens=tokens, filled_at=max(now, gate.filled_at))


def admit(gate: Gate, limit: Limit | None, waiting: int, most: int, now: datetime) -> tuple[Gate, Pass]:
    """Let through what may go: each message by itself, or all in one digest where that many calls are not allowed."""
    if gate.closed_until is not None and gate.closed_until > now:
        return gate, Pass(0, opens_at=gate.closed_until)
    calls = min(waiting, most, 1 if gate.failures >= TROUBLE_AFTER else most)
    if limit is None:
        return gate, Pass(calls)
    gate = fill(gate, limit, now)
    if gate.tokens < 1:
        return gate, Pass(0, opens_at=now + timedelta(seconds=(1 - gate.tokens) * 60 / limit.a_minute))
    if waiting > int(gate.tokens):
        return replace(gate, tokens=gate.tokens - 1), Pass(1, min(waiting, DIGEST_MOST))
    return replace(gate, tokens=gate.tokens - calls), Pass(calls)


def after(gate: Gate, outcome: Outcome, now: datetime) -> Gate:
    """Trouble closes the gate after a few times; an answer that says when to come again closes it until then."""
    if outcome.result is Result.SENT:
        return replace(gate, failures=0, closed_until=None)
    failures = gate.failures + 1
    if outcome.result is Result.REFUSED:
        return replace(gate, failures=failures)
    rest = timedelta(seconds=outcome.after_seconds or 0)
    if failures >= TROUBLE_AFTER:
        rest = max(rest, min(LONGEST_REST, FIRST_REST * 2 ** min(10, failures - TROUBLE_AFTER)))
    return replace(gate, failures=failures, closed_until=now + rest if rest else gate.closed_until)
