"""Calendars and policies as stores write them (D65), read into what the clocks use. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from services.alerts.desk.domain.hours import MIDNIGHT, WEEKDAYS, Calendar, Shift
from services.alerts.desk.domain.policies import Kind, Policy, ServiceClass

LEAST_MINUTES_A_WEEK = 60
"""With less than an hour a week a limit would be due in years."""
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Unfit(ValueError):
    """A setting that cannot be: where, and why."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.message = message


def read_calendar(value: Mapping[str, Any]) -> Calendar:
    """A calendar from its body. Raises Unfit."""
    week = tuple(_shifts(value["week"].get(day, ()), f"/week/{day}") for day in WEEKDAYS)
    for day in value["week"]:
        if day not in WEEKDAYS:
            raise Unfit(f"/week/{day}", f"not a day of the week; there are {', '.join(WEEKDAYS)}")
    if sum(end - begin for shifts in week for begin, end in shifts) < LEAST_MINUTES_A_WEEK:
        raise Unfit("/week", f"less than {LEAST_MINUTES_A_WEEK} minutes of service a week")
    holidays = {_day(text, f"/holidays/{n}"): n for n, text in enumerate(value.get("holidays", ()))}
    workdays = {
        _day(text, f"/workdays/{text}"): _shifts(shifts, f"/workdays/{text}")
        for text, shifts in value.get("workdays", {}).items()
    }
    for day, shifts in workdays.items():
        if not shifts:
            raise Unfit(f"/workdays/{day}", "without a shift it is a holiday")
        if day in holidays:
            raise Unfit(f"/holidays/{holidays[day]}", "a workday too")
    return Calendar(_zone(value["timezone"]), week, frozenset(holidays), workdays)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise Unfit("/timezone", "not a time zone such as Asia/Shanghai") from None
    return name


def _day(text: str, pointer: str) -> date:
    try:
        return date.fromisoformat(text if _DAY.fullmatch(text) else "")
    except ValueError:
        raise Unfit(pointer, "no such day; write YYYY-MM-DD") from None


def _shifts(pairs: Sequence[Sequence[str]], pointer: str) -> tuple[Shift, ...]:
    """Shifts in order. Raises Unfit for one that ends before it begins, and for two that overlap."""
    read = sorted((*_shift(pair, f"{pointer}/{n}"), n) for n, pair in enumerate(pairs))
    for (_, end, _), (begin, _, n) in pairwise(read):
        if begin < end:
            raise Unfit(f"{pointer}/{n}", "overlaps another shift of the day")
    return tuple((begin, end) for begin, end, _ in read)


def _shift(pair: Sequence[str], pointer: str) -> Shift:
    if len(pair) != 2:
        raise Unfit(pointer, "not a pair of times")
    begin, end = (_minutes(text, f"{pointer}/{n}") for n, text in enumerate(pair))
    if end <= begin:
        raise Unfit(pointer, "ends before it begins; a night is two shifts, to 24:00 and from 00:00")
    return begin, end


def _minutes(text: str, pointer: str) -> int:
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise Unfit(pointer, "not a time HH:MM")
    return MIDNIGHT if text == "24:00" else int(found[1]) * 60 + int(found[2])


def read_policy(policy_id: str, value: Mapping[str, Any], since: datetime) -> Policy:
    """A version of a policy from its body. Raises Unfit."""
    limits: dict[tuple[ServiceClass, Kind], timedelta] = {}
    for n, limit in enumerate(value["limits"]):
        key = ServiceClass(limit["class"]), Kind(limit["kind"])
        if key in limits:
            raise Unfit(f"/limits/{n}", "a second limit of this class and kind")
        limits[key] = timedelta(seconds=limit["seconds"])
    return Policy(policy_id, limits, since, calendar=value.get("calendar"), warn_at=value.get("warn_at", 0.8))


def shown_limits(policy: Policy) -> Iterable[Mapping[str, Any]]:
    """The limits of a policy as they are written."""
    for (service_class, kind), limit in policy.limits.items():
        yield {"class": service_class.value, "kind": kind.value, "seconds": int(limit.total_seconds())}
