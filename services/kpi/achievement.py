"""Targets against what came of them (KPI-9): actual, expected to date, met, streak. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

WEEKS_OF_PATTERN = 4


@dataclass(frozen=True, slots=True)
class DayFigure:
    """One store day of the target's metric. `complete`: nothing more will come, so it may count as missed."""

    day: date
    numerator: int | Fraction
    denominator: int | None
    complete: bool

    @property
    def value(self) -> Fraction | None:
        """The day's value; None for a ratio without a denominator."""
        if self.denominator is None:
            return Fraction(self.numerator)
        return Fraction(self.numerator) / self.denominator if self.denominator else None


@dataclass(frozen=True, slots=True)
class Target:
    """What was promised: the value, its period (both days included) and how it counts as met."""

    value: Fraction
    starts_on: date
    ends_on: date
    kind: str
    n: int = 1

    @property
    def days(self) -> list[date]:
        return [self.starts_on + timedelta(days=n) for n in range((self.ends_on - self.starts_on).days + 1)]


@dataclass(frozen=True, slots=True)
class Achievement:
    """How a target stands. Values are exact; None where nothing is known yet."""

    actual: Fraction | None
    expected_to_date: Fraction
    achievement: Fraction | None
    met: bool
    streak: int


def achieve(target: Target, figures: Sequence[DayFigure], before: Mapping[date, Fraction]) -> Achievement:
    """How the target stands with these days of its period, in order; `before`: the daily values of the 4 weeks before.

    Streaks are of complete days at or over the value; a day that is still open neither breaks nor lengthens one.
    """
    actual = _actual(target, figures)
    streak, longest = _streaks(target, figures)
    return Achievement(
        actual=actual,
        expected_to_date=_expected(target, figures, before),
        achievement=None if actual is None or not target.value else actual / target.value,
        met=_met(target, figures, actual, longest),
        streak=streak,
    )


def _actual(target: Target, figures: Sequence[DayFigure]) -> Fraction | None:
    """Total: the sum. Otherwise the average: of a ratio over the whole period, of a count by complete day."""
    if not figures:
        return None
    if target.kind != "total" and figures[0].denominator is None:
        figures = [figure for figure in figures if figure.complete] or figures
    total = sum((figure.numerator for figure in figures), Fraction(0))
    if figures[0].denominator is not None:
        below = sum(figure.denominator or 0 for figure in figures)
        return Fraction(total) / below if below else None
    return Fraction(total) if target.kind == "total" else Fraction(total) / len(figures)


def _reached(target: Target, figure: DayFigure) -> bool:
    return figure.value is not None and figure.value >= target.value


def _streaks(target: Target, figures: Sequence[DayFigure]) -> tuple[int, int]:
    """(the run that still lasts, the longest)."""
    run = longest = 0
    for figure in figures:
        if not figure.complete:
            continue
        run = run + 1 if _reached(target, figure) else 0
        longest = max(longest, run)
    return run, longest


def _met(target: Target, figures: Sequence[DayFigure], actual: Fraction | None, longest: int) -> bool:
    if target.kind == "days_in_a_row":
        return longest >= target.n
    if target.kind == "every_day":
        done = [figure for figure in figures if figure.complete]
        return bool(done) and all(_reached(target, figure) for figure in done)
    return actual is not None and actual >= target.value


def _expected(target: Target, figures: Sequence[DayFigure], before: Mapping[date, Fraction]) -> Fraction:
    """What a total should have come to by the last complete day, spread by the weekdays of the 4 weeks before."""
    if target.kind != "total":
        return target.value
    weights = _weekday_weights(target.starts_on, before)
    whole = sum((weights[day.weekday()] for day in target.days), Fraction(0))
    done = sum((weights[figure.day.weekday()] for figure in figures if figure.complete), Fraction(0))
    return target.value * done / whole if whole else Fraction(0)


def _weekday_weights(start: date, before: Mapping[date, Fraction]) -> list[Fraction]:
    """One weight a weekday; even where the weeks before are not known."""
    weights = [Fraction(0)] * 7
    for back in range(1, 7 * WEEKS_OF_PATTERN + 1):
        day = start - timedelta(days=back)
        weights[day.weekday()] += before.get(day, Fraction(0))
    return weights if all(weights) else [Fraction(1)] * 7


@dataclass(frozen=True, slots=True)
class Entered:
    """What a person entered of a metric: its value for a day, or for the month that begins on it."""

    day: date
    value: Fraction
    is_month: bool


def figures_of_entries(entries: Sequence[Entered], target: Target, known_until: date) -> list[DayFigure]:
    """Entered values as the figures of a target's period up to a day; several sources of one day add up.

    A month's value counts evenly by day where the target is a total, and as one value otherwise.
    """
    spread = target.kind == "total"
    values: dict[date, Fraction] = {}
    for entry in entries:
        days = _days_of(entry) if spread else [entry.day]
        for day in days:
            values[day] = values.get(day, Fraction(0)) + entry.value / len(days)
    last = min(target.ends_on, known_until)
    return [DayFigure(day, values[day], None, True) for day in sorted(values) if target.starts_on <= day <= last]


def _days_of(entry: Entered) -> list[date]:
    if not entry.is_month:
        return [entry.day]
    after = (entry.day + timedelta(days=31)).replace(day=1)
    return [entry.day + timedelta(days=n) for n in range((after - entry.day).days)]
