"""Clocks: what a conversation's log is worth under every policy, known up to an instant. Pure.

A clock runs in service hours, stands still while the store waits for somebody else, and is breached once more than its
limit has run. Everything follows from the log alone, so any order of arrival and any repeat gives the same clocks.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.alerts.desk.domain.hours import LATEST, ServiceHours
from services.alerts.desk.domain.log import Classed, Did, Fact, Log, Span
from services.alerts.desk.domain.policies import END, Kind, Policy, Rulers, ServiceClass


class State(StrEnum):
    """Of a clock."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"


@dataclass(frozen=True, slots=True)
class Lap:
    """What is to be measured, whoever's ruler is laid at it: from when to when, and when it does not count."""

    kind: Kind
    number: int
    """the first, second ... of its kind"""
    start: datetime
    stop: datetime | None
    stopped_by: str | None
    left_out: tuple[Span, ...]

    @property
    def end(self) -> datetime:
        """When it stopped; END while it runs."""
        return self.stop or END


@dataclass(frozen=True, slots=True)
class Clock:
    """A lap measured with one version of a policy."""

    policy: str
    since: datetime
    """the version: when it came into force"""
    kind: Kind
    number: int
    topic_class: ServiceClass
    """of the conversation"""
    service_class: ServiceClass
    """whose limit it is: the conversation's, or `complex`"""
    limit: timedelta
    started_at: datetime
    due_at: datetime
    """while it is paused: as if it went on when it was paused"""
    warn_at: datetime
    stopped_at: datetime | None
    elapsed: timedelta
    state: State
    agent_id: str | None
    judges: bool
    """whether this version was valid when the clock started: figures count this one"""
    told_until: datetime
    """a breach after this is not told: another version has taken over"""

    @property
    def is_replaced(self) -> bool:
        """Whether another version had taken over before the limit passed: then nobody is told."""
        return self.due_at >= self.told_until

    @property
    def is_over(self) -> bool:
        """Whether nothing can change any more but by another event."""
        return self.stopped_at is not None

    @property
    def key(self) -> tuple[str, datetime, Kind, int]:
        """What tells it from the conversation's other clocks."""
        return self.policy, self.since, self.kind, self.number


def measure(log: Log, rules: Rulers, known_until: datetime) -> tuple[Clock, ...]:
    """All clocks of a conversation, as they stand when everything before `known_until` is known.

    None while the conversation's class is not known, and none where a policy sets no limit.
    """
    if not log.classes:
        return ()
    return tuple(
        clock
        for lap in laps(log)
        for policy, judges in rules.in_life(lap.start, lap.end)
        if (clock := _clock(lap, log, policy, judges, rules.hours(policy), known_until)) is not None
    )


# what is measured


def laps(log: Log) -> list[Lap]:
    """The first response, each further one that a customer waited for, and the solution."""
    first = _first_response(log)
    if first is None:
        return []
    return [first, *_next_responses(log, first), _solution(log, first)]


def _first_response(log: Log) -> Lap | None:
    """From the first message of the customer, else from the opening, to the first reply that is not automatic (D40).

    A solution without a reply answers too. Where people wrote before the customer did, it starts at the opening.
    """
    begun = [fact.at for fact in log.facts if fact.did in (Did.OPENED, Did.RECEIVED)]
    if not begun:
        return None
    answer = first_answer(log, begun[0])
    message = next((fact.at for fact in log.facts if fact.did is Did.RECEIVED), None)
    start = begun[0] if message is None or (answer is not None and message > answer.at) else message
    return _response(log, Kind.FIRST_RESPONSE, 1, start, answer)


def first_answer(log: Log, since: datetime) -> Fact | None:
    """The first reply of a person, or solution, from an instant on."""
    return next((f for f in log.facts if f.at >= since and (f.is_answer or f.did is Did.RESOLVED)), None)


def _response(log: Log, kind: Kind, number: int, start: datetime, answer: Fact | None) -> Lap:
    stop = answer.at if answer else None
    return Lap(kind, number, start, stop, answer.agent_id if answer else None, _until(stop, [w for w, _ in log.waits]))


def _until(stop: datetime | None, spans: Iterable[Span]) -> tuple[Span, ...]:
    """What is left out of a lap: what began before it stopped."""
    end = stop or END
    return tuple((begin, min(back, end)) for begin, back in sorted(spans) if begin < end)


def _next_responses(log: Log, first: Lap) -> Iterator[Lap]:
    """Each from the first unanswered message to the reply. What a customer writes after the solution (thanks, mostly)
    starts nothing, unless the conversation is reopened: then it is waited for from the reopening on.
    """
    number, asked, after_hours = 0, None, False
    for fact in _after_first(log, first):
        if fact.did is Did.RECEIVED and asked is None:
            asked, after_hours = (None, True) if log.is_closed(fact.at) else (fact.at, False)
        elif fact.did is Did.REOPENED and after_hours:
            asked, after_hours = fact.at, False
        elif fact.is_answer or fact.did is Did.RESOLVED:
            if asked is not None:
                number += 1
                yield _response(log, Kind.NEXT_RESPONSE, number, asked, fact)
            asked, after_hours = None, after_hours and not fact.is_answer
    if asked is not None:
        yield _response(log, Kind.NEXT_RESPONSE, number + 1, asked, None)


def _after_first(log: Log, first: Lap) -> Sequence[Fact]:
    answer = first_answer(log, first.start) if first.stop is not None else None
    return [] if answer is None else log.facts[log.facts.index(answer) + 1 :]


def _solution(log: Log, first: Lap) -> Lap:
    """From the start to the last solution, without the time it was closed (D66)."""
    stop = log.closed[-1][0] if log.is_resolved else None
    gaps = [*(wait for wait, _ in log.waits), *(gap for gap in log.closed if gap[1] != END)]
    return Lap(Kind.SOLUTION, 1, first.start, stop, _solver(log, stop), _until(stop, gaps))


def _solver(log: Log, stop: datetime | None) -> str | None:
    """Who wrote last before the solution."""
    answers = (f.agent_id for f in reversed(log.facts) if stop is not None and f.at <= stop and f.is_answer)
    return next(answers, None)


# how long it ran


def _running(lap: Lap) -> Iterator[Span]:
    """The lap without what is left out of it; it goes on beyond its stop."""
    begin = lap.start
    for away, back in lap.left_out:
        if away > begin:
            yield begin, away
        begin = max(begin, back)
    if begin < END:
        yield begin, END


def elapsed(lap: Lap, until: datetime, hours: ServiceHours) -> timedelta:
    """The service time that the lap has run by an instant."""
    return sum((hours.between(begin, min(end, until)) for begin, end in _running(lap) if begin < until), timedelta())


def due(lap: Lap, limit: timedelta, hours: ServiceHours) -> datetime:
    """When the limit has run; of a paused lap as if it went on when it was paused."""
    last = lap.start
    for begin, end in _running(lap):
        if end == END:
            return hours.after(begin, limit)
        ran = hours.between(begin, end)
        if ran >= limit:
            return hours.after(begin, limit)
        limit, last = limit - ran, end
    return hours.after(last, limit)


# under a policy


def _clock(
    lap: Lap, log: Log, policy: Policy, judges: bool, hours: ServiceHours, known_until: datetime
) -> Clock | None:
    found = _limit(lap, log, policy, hours)
    if found is None:
        return None
    topic_class, service_class, limit = found
    due_at = due(lap, limit, hours)
    end = lap.stop or max(known_until, lap.start)
    ran = elapsed(lap, end, hours)
    return Clock(
        policy=policy.id,
        since=policy.begins,
        kind=lap.kind,
        number=lap.number,
        topic_class=topic_class,
        service_class=service_class,
        limit=limit,
        started_at=lap.start,
        due_at=due_at,
        warn_at=due(lap, limit * policy.warn_at, hours),
        stopped_at=lap.stop,
        elapsed=ran,
        state=_state(lap, is_late=ran >= limit and end > due_at and end >= policy.begins),
        agent_id=lap.stopped_by or _holding_agent(log, lap.start, min(end, LATEST)),
        judges=judges,
        told_until=policy.until,
    )


_Limit = tuple[ServiceClass, ServiceClass, timedelta]
"""The conversation's class, the class whose limit it is, and the limit."""


def _limit(lap: Lap, log: Log, policy: Policy, hours: ServiceHours) -> _Limit | None:
    """The limit by the class that the conversation had at last: but a class given after the limit of the one before
    it had passed does not undo the breach.
    """
    earlier = [known for known in log.classes if known.at <= lap.start]
    now = earlier[-1] if earlier else log.classes[0]
    for then in log.classes:
        if lap.start < then.at < lap.end:
            found = _of(policy, now, lap.kind)
            if found is not None and _is_breached_by(then.at, lap, found[2], hours):
                return found
            now = then
    return _of(policy, now, lap.kind)


def _of(policy: Policy, known: Classed, kind: Kind) -> _Limit | None:
    found = policy.limit(known.topic_class, known.is_complex, kind)
    return None if found is None else (known.topic_class, *found)


def _is_breached_by(instant: datetime, lap: Lap, limit: timedelta, hours: ServiceHours) -> bool:
    return elapsed(lap, instant, hours) >= limit and instant > due(lap, limit, hours)


def _state(lap: Lap, *, is_late: bool) -> State:
    if is_late:
        return State.BREACHED
    if lap.stop is not None:
        return State.MET
    return State.PAUSED if lap.left_out and lap.left_out[-1][1] == END else State.RUNNING


def _holding_agent(log: Log, start: datetime, end: datetime) -> str | None:
    """The agent who had it last in a time, where nobody answered."""
    for holder, (begin, back) in reversed(log.held):
        if begin <= end and back > start and holder in log.agents:
            return log.agents[holder]
    return None


def blame(log: Log, clock: Clock, hours: ServiceHours, until: datetime) -> dict[str, timedelta]:
    """Who had the conversation for how much of a clock's time, in service hours, the first first."""
    end = min(clock.stopped_at or until, until)
    found: dict[str, timedelta] = {}
    for holder, (begin, back) in log.held:
        span = max(begin, clock.started_at), min(back, end)
        if span[0] < span[1]:
            found[holder] = found.get(holder, timedelta()) + hours.between(*span)
    return found
