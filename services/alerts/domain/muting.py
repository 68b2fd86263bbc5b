"""Whom nobody is told of now: what planned work silences, and what another incident explains (ALR-15). Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.alerts.domain.incidents import Mute, Withheld

EVERY_RULE = "*"


@dataclass(frozen=True, slots=True)
class Silence:
    """From a time to another nobody is told of these rules, where the incident is about all that `about` names."""

    id: str
    rules: frozenset[str]
    about: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime
    reason: str

    def covers(self, rule: str, about: Mapping[str, str], now: datetime) -> bool:
        """Whether an alert of this rule about this is silenced now."""
        is_named = EVERY_RULE in self.rules or rule in self.rules
        is_about = all(about.get(name) == value for name, value in self.about.items())
        return is_named and is_about and self.starts_at <= now < self.ends_at


def silence_of(key: str, value: Mapping[str, Any]) -> Silence:
    """A silence from the document."""
    starts_at, ends_at = (datetime.fromisoformat(value[name]) for name in ("starts_at", "ends_at"))
    return Silence(key, frozenset(value["rules"]), value["about"], starts_at, ends_at, value["reason"])


def silenced(silences: Iterable[Silence], rule: str, about: Mapping[str, str], now: datetime) -> Mute | None:
    """The silence that covers an alert and lasts longest."""
    covering = [silence for silence in silences if silence.covers(rule, about, now)]
    longest = max(covering, key=lambda silence: (silence.ends_at, silence.id), default=None)
    return Mute(Withheld.SILENCED, f"silence:{longest.id}", longest.reason) if longest else None


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While `source` fires about one `by`, alerts of the `targets` about the same are explained by it."""

    source: str
    targets: frozenset[str]
    by: str


INHIBITIONS = (
    Inhibition(
        "sold_out", frozenset({"conversion_below_target", "conversion_drop", "margin_without_conversion"}), "sku"
    ),
)
"""Nobody buys what is not there: the stock-out is the problem, the conversion its consequence."""


def inhibitors(rule: str, about: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
    """(rule, about) of the alerts that would explain this one."""
    return [(i.source, {i.by: about[i.by]}) for i in INHIBITIONS if rule in i.targets and i.by in about]
