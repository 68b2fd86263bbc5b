"""Targets: the worked rows of the goal plan, spread by weekday, met by streak."""

from datetime import date, timedelta
from fractions import Fraction

from services.kpi.achievement import DayFigure, Target, achieve

START = date(2024, 7, 1)


def days(*values: int, denominator: int | None = None, complete: bool = True) -> list[DayFigure]:
    return [DayFigure(START + timedelta(days=n), value, denominator, complete) for n, value in enumerate(values)]


def target(value: float, kind: str, n: int = 1, length: int = 92) -> Target:
    return Target(Fraction(str(value)), START, START + timedelta(days=length - 1), kind, n)


def test_5000_visitors_on_seven_days_in_a_row_meet_the_target() -> None:
    seven = achieve(target(5000, "days_in_a_row", 7), days(4850, *[5200] * 7), {})
    assert (seven.met, seven.streak) == (True, 7)
    six = achieve(target(5000, "days_in_a_row", 7), days(4850, *[5200] * 6), {})
    assert (six.met, six.streak) == (False, 6)


def test_a_streak_that_was_long_enough_stays_met_after_it_broke() -> None:
    broken = achieve(target(5000, "days_in_a_row", 7), days(*[5000] * 7, 100), {})
    assert (broken.met, broken.streak) == (True, 0)


def test_a_day_that_is_not_over_neither_breaks_nor_lengthens_a_streak() -> None:
    figures = [*days(*[5000] * 6), DayFigure(START + timedelta(days=6), 10, None, complete=False)]
    assert achieve(target(5000, "days_in_a_row", 7), figures, {}).streak == 6


def test_a_stable_conversion_is_met_when_every_complete_day_reaches_it() -> None:
    good = days(150, 165, denominator=5000)
    assert achieve(target(0.03, "every_day"), good, {}).met
    assert not achieve(target(0.03, "every_day"), [*good, *days(120, denominator=4850)], {}).met
    assert not achieve(target(0.03, "every_day"), days(0, denominator=0), {}).met


def test_an_average_ratio_is_over_the_whole_period_not_an_average_of_averages() -> None:
    got = achieve(target(0.03, "average"), [*days(120, denominator=4850), *days(165, denominator=5200)], {})
    assert got.actual == Fraction(285, 10050)
    assert not got.met


def test_a_quarters_sales_against_plan() -> None:
    got = achieve(target(1000, "total", length=10), days(90, 110), {})
    assert (got.actual, got.achievement, got.met) == (Fraction(200), Fraction(1, 5), False)
    assert got.expected_to_date == 200


def test_the_expected_part_follows_the_weekdays_of_the_four_weeks_before() -> None:
    before = {
        START - timedelta(days=n): Fraction(30 if (START - timedelta(days=n)).weekday() == 0 else 10)
        for n in range(1, 29)
    }
    got = achieve(target(90, "total", length=7), days(5), before)
    assert got.expected_to_date == 30


def test_nothing_known_yet_is_none() -> None:
    got = achieve(target(1000, "total"), [], {})
    assert (got.actual, got.achievement, got.met) == (None, None, False)
    assert got.expected_to_date == 0
