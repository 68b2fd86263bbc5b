"""Targets read against the figures (KPI-9)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from libs.events.transaction import Transaction
from services.kpi.achievement import (
    WEEKS_OF_PATTERN,
    Achievement,
    DayFigure,
    Entered,
    Target,
    achieve,
    figures_of_entries,
)
from services.kpi.answers import half_up
from services.kpi.asking import Days, begun_buckets
from services.kpi.calendar import Calendar
from services.kpi.completeness import Progress
from services.kpi.definitions import TARGET, Definition, list_definitions
from services.kpi.kpis import Kpi, find_kpi
from services.kpi.questions import entered_values
from services.kpi.reading import Asked, answer

MOST_TARGETS = 200
PATTERN = timedelta(weeks=WEEKS_OF_PATTERN)


@dataclass(frozen=True, slots=True)
class Judge:
    """Holds targets against figures as they are known now."""

    calendar: Calendar
    currency: str
    progress: Progress
    now: datetime

    async def judge(self, days: Days, tx: Transaction) -> list[dict[str, Any]]:
        """Every target whose period meets the days, against what came of it up to their last."""
        targets = await list_definitions(TARGET, tx.store, "", MOST_TARGETS, tx.session)
        return [await self._judge(target, days, tx) for target in targets if _meets(target, days)]

    async def _judge(self, target: Definition, days: Days, tx: Transaction) -> dict[str, Any]:
        goal, metric = _goal(target), target.body["metric"]
        head = {"target_id": target.id, "metric": metric, "target": target.body["value"]}
        kpi = find_kpi(metric)
        if kpi is None:
            return {**head, **_result(await self._entered(goal, metric, days, tx))}
        found = await self._figures(kpi, target, Days(goal.starts_on - PATTERN, min(goal.ends_on, days.last)), tx)
        before = {f.day: f.value for f in found if f.day < goal.starts_on and f.value is not None}
        return {**head, **_result(achieve(goal, [f for f in found if f.day >= goal.starts_on], before))}

    async def _entered(self, goal: Target, metric: str, days: Days, tx: Transaction) -> Achievement | None:
        """A metric that people enter; None where nothing was entered."""
        entries = [_entry(body) for body in await entered_values(tx.store, metric, tx.session)]
        today = self.calendar.local(int(self.now.timestamp())).date()
        figures = figures_of_entries(entries, goal, min(days.last, today))
        return achieve(goal, figures, {}) if figures else None

    async def _figures(self, kpi: Kpi, target: Definition, days: Days, tx: Transaction) -> list[DayFigure]:
        """The days' figures for the target's dimensions; a day without any is a zero, as it is in a series."""
        dimension: dict[str, str] = target.body["dimension"]
        by = tuple(sorted(dimension))
        buckets = begun_buckets(self.calendar, "day", days, self.now)
        asked = Asked(kpi, tx.store, self.calendar, days, "day", by, self.currency, buckets, home=self.currency)
        found = await answer(asked, self.progress, tx)
        wanted = tuple(dimension[name] for name in by)
        points = {point.bucket.second: point for point in found.series.points if point.dimensions == wanted}
        nothing = None if kpi.denominator is None else 0
        return [
            DayFigure(bucket.start.date(), point.numerator, point.denominator, point.complete)
            if (point := points.get(bucket.second))
            else DayFigure(bucket.start.date(), 0, nothing, bucket.end <= self.now)
            for bucket in buckets
        ]


def _entry(body: Mapping[str, Any]) -> Entered:
    day = body.get("day") or f"{body['month']}-01"
    return Entered(date.fromisoformat(day), Fraction(str(body["value"])), "month" in body)


def _meets(target: Definition, days: Days) -> bool:
    first, last = date.fromisoformat(target.body["starts_on"]), date.fromisoformat(target.body["ends_on"])
    return first <= days.last and last >= days.first


def _goal(target: Definition) -> Target:
    criterion = target.body["criterion"]
    return Target(
        value=Fraction(str(target.body["value"])),
        starts_on=date.fromisoformat(target.body["starts_on"]),
        ends_on=date.fromisoformat(target.body["ends_on"]),
        kind=criterion["kind"],
        n=criterion.get("n") or 1,
    )


def _result(result: Achievement | None) -> dict[str, Any]:
    if result is None:
        return {"actual": None, "expected_to_date": None, "achievement": None, "met": False, "streak": 0}
    return {
        "actual": _number(result.actual),
        "expected_to_date": _number(result.expected_to_date),
        "achievement": _number(result.achievement),
        "met": result.met,
        "streak": result.streak,
    }


def _number(value: Fraction | None) -> int | float | None:
    if value is None:
        return None
    return value.numerator if value.denominator == 1 else half_up(value.numerator, value.denominator)
