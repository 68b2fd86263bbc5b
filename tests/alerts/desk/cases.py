"""Conversations in a few words, for the tests of their clocks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.alerts.desk.domain.clocks import Clock, measure
from services.alerts.desk.domain.hours import Calendar, ServiceHours
from services.alerts.desk.domain.log import Did, Fact, Log, On
from services.alerts.desk.domain.policies import DEFAULT, DEFAULT_LIMITS, Kind, Policy, Rulers, ServiceClass, history

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAYTIME = ((9 * 60, 12 * 60), (13 * 60 + 30, 18 * 60))
OFFICE = Calendar("Asia/Shanghai", (DAYTIME,) * 5 + ((), ()))
FAR = datetime(2099, 1, 1, tzinfo=UTC)

PRE, IN, AFTER, COMPLEX = ServiceClass
FIRST, NEXT, SOLUTION = Kind


def at(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    """Such as `09-27 17:55` or `09-27 17:55:30` of 2024."""
    return datetime.fromisoformat(f"2024-{text.replace(' ', 'T')}").replace(tzinfo=zone).astimezone(UTC)


class Story:
    """`Story().opened("09-27 10:00").received("09-27 10:00").replied("09-27 10:05")`."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def _add(self, did: Did, when: str, **what: Any) -> "Story":
        self.facts.append(Fact(did, at(when), f"e-{len(self.facts):03}", **what))
        return self

    def opened(self, when: str, topic_class: ServiceClass = PRE, is_complex: bool | None = None) -> "Story":
        return self._add(Did.OPENED, when, topic_class=topic_class, is_complex=is_complex)

    def classed(self, when: str, topic_class: ServiceClass, is_complex: bool | None = None) -> "Story":
        return self._add(Did.CLASSED, when, topic_class=topic_class, is_complex=is_complex, by="agent:7")

    def received(self, when: str) -> "Story":
        return self._add(Did.RECEIVED, when)

    def replied(self, when: str, agent: str = "7") -> "Story":
        return self._add(Did.REPLIED, when, agent_id=agent)

    def bot(self, when: str) -> "Story":
        return self._add(Did.REPLIED, when, is_automatic=True)

    def assigned(self, when: str, agent: str | None) -> "Story":
        return self._add(Did.ASSIGNED, when, agent_id=agent, by="lead")

    def waiting(self, when: str, on: On = On.CUSTOMER) -> "Story":
        return self._add(Did.WAITING, when, on=on, by="7")

    def resolved(self, when: str) -> "Story":
        return self._add(Did.RESOLVED, when, by="7")

    def reopened(self, when: str) -> "Story":
        return self._add(Did.REOPENED, when, by="customer")

    @property
    def log(self) -> Log:
        return Log(self.facts)


def ruler(
    *limits: tuple[ServiceClass, Kind, int], name: str = DEFAULT, since: str = "01-01 00:00", **more: Any
) -> Policy:
    """A policy of limits in minutes."""
    return Policy(name, {(c, k): timedelta(minutes=m) for c, k, m in limits}, since=at(since), **more)


DEFAULTS = Policy(DEFAULT, DEFAULT_LIMITS, since=at("01-01 00:00"))


def book(*policies: Policy, calendar: Calendar | None = None) -> Rulers:
    """The rulers of these versions; with a calendar for all of them."""
    by_id: dict[str, list[Policy]] = {}
    for policy in policies or (DEFAULTS,):
        by_id.setdefault(policy.id, []).append(replace(policy, calendar="office") if calendar else policy)
    every = tuple(version for name, versions in by_id.items() for version in history(name, versions))
    calendars = {"office": ServiceHours(((at("01-01 00:00"), calendar),))} if calendar else {}
    return Rulers(every, calendars)


def clocks(story: Story, rules: Rulers | None = None, known: str | None = None) -> tuple[Clock, ...]:
    return measure(story.log, rules or book(), at(known) if known else FAR)


def judged(
    story: Story, kind: Kind, rules: Rulers | None = None, known: str | None = None, policy: str = DEFAULT
) -> Sequence[Clock]:
    """The clocks of a kind that figures count."""
    return [c for c in clocks(story, rules, known) if (c.kind, c.policy, c.judges) == (kind, policy, True)]


def days(*texts: str) -> frozenset[date]:
    return frozenset(date.fromisoformat(text) for text in texts)
