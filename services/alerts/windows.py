"""Alarm windows: which of them speaks, what they are compared with, and what they say. Pure (ALR-1, 2, 5, 7, 17)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from services.alerts import texts
from services.alerts.rules import Measures, Numbers, Seen, Verdict, WindowRatio
from services.alerts.statistics import median

HOURS: Final = (1, 3, 6, 12, 24)
GRAINS: Final = tuple(f"w{hours}" for hours in HOURS)
_READ: Final = """
uv pv sessions bounces cart_visitors checkout_visitors orders_placed orders_placed_here orders_paid paid_amount
gmv items_amount cost_amount covered_items_amount orders_cancelled refunds payments_tried payments_succeeded
units_paid first_orders
"""
READ: Final = frozenset(_READ.split())
"""Measures of a window that rules and evidence read."""
WEEKS: Final = 4
LEAST_WEEKS: Final = 3
DAYS: Final = 7
LEAST_DAYS: Final = 5

Judge = Callable[[Seen], Verdict]


def hours_of(grain: str) -> int | None:
    """The length of an alarm window by its grain (`w1` ... `w24`); None for other grains."""
    return int(grain[1:]) if grain.startswith("w") and grain[1:].isdecimal() else None


def about_key(about: Mapping[str, str]) -> str:
    """Such as `channel=paid`; '' for the store."""
    return ",".join(f"{name}={about[name]}" for name in sorted(about))


def kept(measures: Measures) -> dict[str, int]:
    """What is worth keeping of a window."""
    return {name: value for name, value in measures.items() if value and name in READ}


def weeks_before(end: datetime, zone: tzinfo) -> list[datetime]:
    """The ends of the same weekday-and-hour windows of the last 4 weeks."""
    return [_same_hour(end, zone, timedelta(weeks=n)) for n in range(1, WEEKS + 1)]


def days_before(end: datetime, zone: tzinfo) -> list[datetime]:
    """The ends of the same hour's windows of the last 7 days."""
    return [_same_hour(end, zone, timedelta(days=n)) for n in range(1, DAYS + 1)]


def _same_hour(end: datetime, zone: tzinfo, back: timedelta) -> datetime:
    """The instant at which the store's clock showed the same time."""
    return ((end.astimezone(zone).replace(tzinfo=None) - back).replace(tzinfo=zone)).astimezone(UTC)


Known = Mapping[tuple[str, datetime], Measures]
"""(grain, end) -> measures, of one thing."""


def usual(known: Known, grain: str, end: datetime, zone: tzinfo) -> list[Measures]:
    """What a window is compared with: 4 weeks, else 7 days, else nothing (then the target)."""
    weeks = [known[grain, at] for at in weeks_before(end, zone) if (grain, at) in known]
    if len(weeks) >= LEAST_WEEKS:
        return weeks
    days = [known[grain, at] for at in days_before(end, zone) if (grain, at) in known]
    return days if len(days) >= LEAST_DAYS else []


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the windows that end at an hour say, by the one that speaks."""

    verdict: Verdict
    grain: str
    seen: Seen


def speak(
    known: Known, end: datetime, zone: tzinfo, targets: Mapping[str, float | None], judge: Judge
) -> Spoken | None:
    """The shortest window with enough traffic; None where none has. `targets`: grain -> the target for it."""
    for grain in GRAINS:
        if (grain, end) in known:
            seen = Seen(known[grain, end], usual(known, grain, end, zone), targets.get(grain))
            verdict = judge(seen)
            if verdict is not Verdict.TOO_LITTLE:
                return Spoken(verdict, grain, seen)
    return None


def window_text(grain: str, end: datetime, zone: tzinfo) -> str:
    """Such as `07-01 09:00 - 10:00`."""
    start = end - timedelta(hours=hours_of(grain) or 0)
    return f"{start.astimezone(zone):%m-%d %H:%M} - {end.astimezone(zone):%H:%M}"


def ratio_figures(rule: WindowRatio, spoken: Spoken, end: datetime, zone: tzinfo) -> dict[str, Any]:
    """The figures of an alert about a window."""
    measures, level = spoken.seen.measures, rule.level_of(spoken.seen) or 0.0
    value = rule.value_of(measures) or 0.0
    shown: Callable[[float], Any] = texts.percent if rule.denominator else round
    return {
        "numerator": measures.get(rule.numerator, 0),
        "denominator": measures.get(rule.denominator, 0) if rule.denominator else None,
        "expected": round(rule.expected(measures, level), 2) if rule.denominator else round(level),
        "ratio": shown(round(value, 6)),
        "target": shown(round(level, 6)),
        "level": shown(round(level, 6)),
        "value": round(value, 6),
        "target_value": round(level, 6),
        "grain": spoken.grain,
        "window": window_text(spoken.grain, end, zone),
    }


def payment_figures(seen: Seen) -> dict[str, float] | None:
    """What the payment-step rule needs (ALR-5); None where nothing is usual yet."""
    carts = rates(seen.past, "cart_visitors", "uv")
    paid = rates(seen.past, "orders_paid", "orders_placed")
    if not carts or not paid:
        return None
    names = ("uv", "cart_visitors", "orders_placed", "orders_paid")
    return {
        **{name: float(seen.measures.get(name, 0)) for name in names},
        "usual_cart_rate": median(carts),
        "usual_payment_rate": median(paid),
    }


def rates(past: Sequence[Measures], top: str, bottom: str) -> list[float]:
    """The ratio in each of these windows that has a denominator."""
    return [m.get(top, 0) / m[bottom] for m in past if m.get(bottom)]


def judge_ratio(rule: WindowRatio, numbers: Numbers) -> Judge:
    """A rule with its numbers as a question to a window."""
    return lambda seen: rule.judge(seen, numbers)
