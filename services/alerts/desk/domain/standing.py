"""What a clock's alerts and its timer are, given what was said before. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.alerts.desk.domain.clocks import Clock, State

IMPORTED_IS_OLD = timedelta(hours=1)
"""Of imported facts older than this nobody is warned (D6)."""
IMPORT_SETTLES = timedelta(seconds=60)
"""So long after the last imported fact its log is taken as whole."""


class Act(StrEnum):
    """What is to be said."""

    WARN = "warn"
    FIRE = "fire"
    RECOVER = "recover"


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of something that has a limit."""

    warned: bool = False
    fired: bool = False
    alerting: bool = False
    """told, and not recovered"""


NOTHING = Said()


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is judged."""

    known_until: datetime
    """everything that happened before is known"""
    settled_at: datetime
    """before this nothing is judged by its time: more of the log may be on its way"""
    now: datetime
    imported: bool


@dataclass(frozen=True, slots=True)
class Limited:
    """Something that has a limit, as it stands."""

    warn_at: datetime
    due_at: datetime
    is_late: bool
    is_over: bool
    is_paused: bool = False
    is_replaced: bool = False
    """nobody is told"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What was said by now, what is to be said, and when it is to be looked at again."""

    said: Said
    acts: tuple[Act, ...]
    timer_at: datetime | None


def of_clock(clock: Clock) -> Limited:
    """A clock as something that has a limit; a version that comes into force later is not late before that."""
    return Limited(
        warn_at=max(clock.warn_at, clock.since),
        due_at=max(clock.due_at, clock.since),
        is_late=clock.state is State.BREACHED,
        is_over=clock.is_over,
        is_paused=clock.state is State.PAUSED,
        is_replaced=clock.is_replaced,
    )


def stand(limited: Limited, said: Said, moment: Moment) -> Standing:
    """Warn once, fire once, recover once; what is disproved may fire again."""
    is_near = moment.known_until > limited.warn_at
    acts: list[Act] = []
    if limited.is_late and not said.fired and not limited.is_replaced:
        acts.append(Act.FIRE)
    elif _is_to_be_warned(limited, said, is_near) and _is_news(limited, moment):
        acts.append(Act.WARN)
    alerting = said.alerting or bool(acts)
    if alerting and not _holds(limited, is_near):
        acts.append(Act.RECOVER)
        alerting = False
    warned = said.warned or limited.is_late or (is_near and not limited.is_paused)
    after = Said(warned and (is_near or limited.is_late), limited.is_late, alerting)
    return Standing(after, tuple(acts), _timer(limited, after, moment))


def _is_to_be_warned(limited: Limited, said: Said, is_near: bool) -> bool:
    waits = not (limited.is_late or limited.is_over or limited.is_paused)
    return waits and is_near and not said.warned and not limited.is_replaced


def _is_news(limited: Limited, moment: Moment) -> bool:
    return not (moment.imported and moment.now - limited.warn_at > IMPORTED_IS_OLD)


def _holds(limited: Limited, is_near: bool) -> bool:
    return not limited.is_over and (limited.is_late or limited.is_paused or is_near)


def _timer(limited: Limited, said: Said, moment: Moment) -> datetime | None:
    if limited.is_over or limited.is_late or limited.is_paused:
        return None
    return max(limited.due_at if said.warned else limited.warn_at, moment.settled_at)


def settled_at(recorded_at: datetime, *, imported: bool) -> datetime:
    """Until when more of a log may be on its way, of which something was accepted at `recorded_at`."""
    return recorded_at + IMPORT_SETTLES if imported else recorded_at
