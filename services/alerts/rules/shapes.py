"""The shapes of alert rules. A rule is a row of data with one of them; the engine does the rest.

*Edge*: an event fires it, another one ends it. *Deadline*: something did not happen in time. *WindowRatio*: a measured
alarm window against a target or its usual level. *Comparison*: figures against each other. *PlanCheck*: a plan or a
text that must not be so. Holding, repeating, folding, escalating and telling belong to the engine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from libs.events.contracts.base import Event
from services.alerts.statistics import median, poisson_at_least, poisson_at_most


class Severity(StrEnum):
    """In rising order (D42)."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """To compare by."""
        return ("info", "warning", "critical").index(self.value)


class Role(StrEnum):
    """Who answers for a rule (STF-1)."""

    LEAD = "lead"
    SPECIALIST = "specialist"
    SERVICE = "service"
    DESIGNER = "designer"
    PROMOTION = "promotion"
    LOGISTICS = "logistics"


About = Mapping[str, str]
"""What an alert is about: a SKU, an order, a channel ...; empty for the store."""
Numbers = Mapping[str, float]
Measures = Mapping[str, int]
SCOPES: Final = ("category", "channel", "campaign", "sku")
"""What a rule can be set for besides the whole store, the most particular last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What all rules have. `group` names rules whose alerts on one thing are one incident (D41).

    `source` is the operating rule that it keeps, `role` who answers for it, `parameters` its numbers where the store
    has set none.
    """

    id: str
    source: str
    severity: Severity = Severity.WARNING
    role: Role
    zh: str
    en: str
    group: str = ""
    parameters: Numbers = field(default_factory=dict)
    scopes: tuple[str, ...] = ()

    @property
    def matter(self) -> str:
        """The incident's kind: alerts of rules with one matter about one thing belong together."""
        return self.group or self.id


def _always(_event: Any, _numbers: Numbers) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge(Rule):
    """Fires on one event, where it `breaches`; recovers on another."""

    fires: type[Event]
    about: Callable[[Any], dict[str, str]]
    figures: Callable[[Any], dict[str, Any]]
    recovers: type[Event] | None = None
    breaches: Callable[[Any, Numbers], bool] = _always


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline(Rule):
    """Something must happen by a time. It fires when `topic` is known to be complete up to then (D40).

    `hour` (in `parameters`) is the store's hour of the day for what is looked at every day.
    """

    topic: str
    daily: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCheck(Rule):
    """A plan or a text that must not be so; looked at whenever it is made or changed."""

    words: tuple[str, ...] = ()


class Verdict(StrEnum):
    """What figures say."""

    TOO_LITTLE = "too_little"
    BREACHED = "breached"
    BETWEEN = "between"
    CLEAR = "clear"


class Level(StrEnum):
    """What a window is compared with: the target in force, or what is usual at this hour (else the target)."""

    TARGET = "target"
    USUAL = "usual"


@dataclass(frozen=True, slots=True)
class Seen:
    """A measured window, and what it can be compared with."""

    measures: Measures
    past: Sequence[Measures] = ()
    """the same windows before: of the same weekday and hour in the last 4 weeks, else of the last 7 days"""
    target: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRatio(Rule):
    """A ratio (or, without `denominator`, a count) of an alarm window against its level.

    Fires only where all hold: enough traffic, enough expected, away from the level by the rule's share, and so rare a
    count by Poisson (alarm statistics). Recovers above the threshold plus a tenth of the drop. `rises`: too much is
    wrong, not too little.
    """

    metric: str
    numerator: str
    denominator: str = ""
    level: Level = Level.TARGET
    by: tuple[str, ...] = ("", "channel", "campaign", "sku")
    rises: bool = False

    def level_of(self, seen: Seen) -> float | None:
        """What the window is compared with; None where nothing is known."""
        if self.level is Level.TARGET:
            return seen.target
        known = [value for measures in seen.past if (value := self.value_of(measures)) is not None]
        return median(known) if known else seen.target

    def value_of(self, measures: Measures) -> float | None:
        """The ratio, or the count; None where the denominator is empty."""
        top = measures.get(self.numerator, 0)
        if not self.denominator:
            return float(top)
        bottom = measures.get(self.denominator, 0)
        return top / bottom if bottom else None

    def expected(self, measures: Measures, level: float) -> float:
        """How many the level would make of this window."""
        return level * measures.get(self.denominator, 0) if self.denominator else level

    def judge(self, seen: Seen, numbers: Numbers) -> Verdict:
        """Whether the window breaches, is clear (with the recovery margin), or says nothing.

        `numbers`: `share` away from the level that counts, `minimum_uv` (of the denominator), `minimum_expected`,
        `probability`.
        """
        level = self.level_of(seen)
        if level is None:
            return Verdict.TOO_LITTLE
        top, expected = seen.measures.get(self.numerator, 0), self.expected(seen.measures, level)
        bottom = seen.measures.get(self.denominator, 0)
        if (self.denominator and bottom < numbers.get("minimum_uv", 0)) or expected < numbers["minimum_expected"]:
            return Verdict.TOO_LITTLE
        return _verdict(top, expected, numbers, rises=self.rises)


def _verdict(top: int, expected: float, numbers: Numbers, *, rises: bool) -> Verdict:
    share, rare = numbers["share"], numbers["probability"]
    if rises:
        threshold = expected * (1 + share)
        if top >= threshold and poisson_at_least(top, expected) < rare:
            return Verdict.BREACHED
        return Verdict.CLEAR if top <= threshold - (threshold - expected) / 10 else Verdict.BETWEEN
    threshold = expected * (1 - share)
    if top <= threshold and poisson_at_most(top, expected) < rare:
        return Verdict.BREACHED
    return Verdict.CLEAR if top >= threshold + (expected - threshold) / 10 else Verdict.BETWEEN


Figures = Mapping[str, float]
"""What a comparison needs, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Rule):
    """Figures against each other; `judge` says what they mean. `needs` names them."""

    needs: tuple[str, ...]
    judge: Callable[[Figures, Numbers], Verdict]


SHAPES: Final[Mapping[type[Rule], str]] = {
    Rule: "opened",
    Edge: "edge",
    Deadline: "deadline",
    WindowRatio: "window",
    Comparison: "comparison",
    PlanCheck: "check",
}
"""What each shape is called; `opened` ones are opened by people or by other programs."""
