"""Warnings, breaches and recoveries of what has a limit, told through incidents (SRV-1, 2, 3, 6, 8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from libs.events.transaction import Transaction
from services.alerts.desk.domain.standing import Act
from services.alerts.domain.incidents import Finding, matter_key
from services.alerts.handlers.finding import found, recovered
from services.alerts.rulebook import Rulebook
from services.alerts.rules import RULE, Rule

TELLABLE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Matter:
    """What an alert would be about."""

    store: str
    rule: str
    about: Mapping[str, str]
    figures: Mapping[str, Any]
    warn_at: datetime
    due_at: datetime
    over_at: datetime | None
    """when it was done; None while it waits"""
    name: str = ""

    @property
    def breach(self) -> Rule:
        """The rule of the breach."""
        return RULE[self.rule]

    @property
    def warning(self) -> Rule:
        """The rule of the warning before it."""
        return RULE[f"{self.rule}_warning"]


async def say(matter: Matter, acts: Sequence[Act], tx: Transaction) -> None:
    """Do what is to be said, in order."""
    for act in acts:
        if act is Act.RECOVER:
            key = matter_key(matter.breach, matter.about)
            await recovered(matter.store, key, [matter.rule, matter.warning.id], matter.over_at or tx.now, tx)
        else:
            await _raise(matter, act, tx)


async def _raise(matter: Matter, act: Act, tx: Transaction) -> None:
    rule = matter.breach if act is Act.FIRE else matter.warning
    if await Rulebook(tx).terms(matter.breach, matter.store, matter.about) is not None:
        at = matter.due_at if act is Act.FIRE else _of_warning(matter.warn_at, tx.now)
        await found(Finding(rule, matter.about, matter.figures, at, matter.name), matter.store, tx)


def _of_warning(warn_at: datetime, now: datetime) -> datetime:
    """A warning is about what is still to come: it is never too late for it."""
    return warn_at if now - warn_at <= TELLABLE else now


def in_words(limit: timedelta) -> str:
    """A limit in a few signs: `10 min`, `2 h`, `90 s`."""
    seconds = int(limit.total_seconds())
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
