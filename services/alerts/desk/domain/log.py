"""The log of a conversation: facts in any order of arrival, and what they say once they are put in order. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from services.alerts.desk.domain.policies import END, ServiceClass


class Did(StrEnum):
    """What happened; in this order when it happened in the same instant."""

    OPENED = "opened"
    CLASSED = "classed"
    ASSIGNED = "assigned"
    REOPENED = "reopened"
    RECEIVED = "received"
    REPLIED = "replied"
    WAITING = "waiting"
    RESOLVED = "resolved"
    RATED = "rated"


_RANK = {did: n for n, did in enumerate(Did)}


class On(StrEnum):
    """Whom the store waits for."""

    CUSTOMER = "customer"
    THIRD_PARTY = "third_party"


@dataclass(frozen=True, slots=True)
class Fact:
    """One event of a conversation. `id` tells it from others and orders those of one instant."""

    did: Did
    at: datetime
    id: str
    agent_id: str | None = None
    is_automatic: bool = False
    topic_class: ServiceClass | None = None
    is_complex: bool | None = None
    on: On | None = None
    by: str | None = None
    score: int | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    """of an opening: whose conversation it is, about what"""

    @property
    def is_answer(self) -> bool:
        """Whether a person replied: an automatic reply stops nothing (SRV-5)."""
        return self.did is Did.REPLIED and not self.is_automatic

    @property
    def is_of_an_agent(self) -> bool:
        """Whether a person of the store did this: it ends the wait for a third party (D66)."""
        if self.did is Did.REPLIED:
            return not self.is_automatic
        return self.did in _BY_AGENTS and not _is_machine(self.by)


_BY_AGENTS = frozenset({Did.CLASSED, Did.ASSIGNED, Did.WAITING, Did.RESOLVED})
_MACHINES = frozenset({"auto", "automatic", "bot", "customer", "robot", "rule", "system", "timeout"})


def _is_machine(by: str | None) -> bool:
    return by is not None and by.partition(":")[0].lower() in _MACHINES


class Status(StrEnum):
    """Of a conversation."""

    OPEN = "open"
    WAITING = "waiting"
    RESOLVED = "resolved"


Span = tuple[datetime, datetime]
"""[start, end); END where it lasts."""


@dataclass(frozen=True, slots=True)
class Classed:
    """The class of a conversation from a time on."""

    at: datetime
    topic_class: ServiceClass
    is_complex: bool


class Log:
    """The facts in the order of their times, each once: the same whatever the order of arrival and the repeats."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        once = {fact.id: fact for fact in facts}
        self.facts: Sequence[Fact] = sorted(once.values(), key=lambda fact: (fact.at, _RANK[fact.did], fact.id))

    def _those(self, *what: Did) -> Iterator[Fact]:
        return (fact for fact in self.facts if fact.did in what)

    @cached_property
    def opened(self) -> Fact | None:
        """The first time it was opened; None while that has not arrived."""
        return next(self._those(Did.OPENED), None)

    @cached_property
    def classes(self) -> Sequence[Classed]:
        """Its classes in order; empty while nobody has said one."""
        found: list[Classed] = []
        for fact in self._those(Did.OPENED, Did.CLASSED):
            if fact.topic_class is not None:
                was_complex = found[-1].is_complex if found else False
                is_complex = was_complex if fact.is_complex is None else fact.is_complex
                found.append(Classed(fact.at, fact.topic_class, is_complex))
        return found

    @cached_property
    def waits(self) -> Sequence[tuple[Span, On]]:
        """When the store waited for somebody: until the next message of the customer, or act of an agent (D66)."""
        found: list[tuple[Span, On]] = []
        since: Fact | None = None
        for fact in self.facts:
            if since is not None and since.on is not None and _ends(since.on, fact):
                found.append(((since.at, fact.at), since.on))
                since = None
            if fact.did is Did.WAITING and since is None:
                since = fact
        if since is not None and since.on is not None:
            found.append(((since.at, END), since.on))
        return [wait for wait in found if wait[0][0] < wait[0][1]]

    @cached_property
    def closed(self) -> Sequence[Span]:
        """When it was resolved and not reopened."""
        found: list[Span] = []
        since: datetime | None = None
        for fact in self._those(Did.RESOLVED, Did.REOPENED):
            if fact.did is Did.RESOLVED:
                since = since or fact.at
            elif since is not None:
                found.append((since, fact.at))
                since = None
        return [*found, (since, END)] if since is not None else found

    def is_closed(self, at: datetime) -> bool:
        """Whether it was closed at an instant."""
        return any(begin <= at < end for begin, end in self.closed)

    @property
    def is_resolved(self) -> bool:
        """Whether it is closed now."""
        return bool(self.closed) and self.closed[-1][1] == END

    @property
    def rating(self) -> int | None:
        """What the customer thought of it at last, 1 to 5."""
        return max(self._those(Did.RATED), key=lambda fact: (fact.at, fact.id), default=_UNRATED).score

    @property
    def resolved_at(self) -> datetime | None:
        """Since when it is closed."""
        return self.closed[-1][0] if self.is_resolved else None

    @property
    def status(self) -> Status:
        """How it stands."""
        if self.is_resolved:
            return Status.RESOLVED
        return Status.WAITING if self.waits_for is not None else Status.OPEN

    @property
    def waits_for(self) -> On | None:
        """Whom the store waits for now."""
        last = self.waits[-1] if self.waits and not self.is_resolved else None
        return last[1] if last is not None and last[0][1] == END else None

    @cached_property
    def agents(self) -> Mapping[str, str]:
        """Holder -> the agent's id as it was given."""
        return {agent_holder(fact.agent_id): fact.agent_id for fact in self.facts if fact.agent_id}

    @cached_property
    def held(self) -> Sequence[tuple[str, Span]]:
        """Who had it when, in order: `queue`, `agent:7`, `customer` or `third_party`; nobody while it is closed."""
        return [(holder, span) for holder, span in _held(self) if span[0] < span[1]]


_UNRATED = Fact(Did.RATED, END, "")


def _ends(on: On, fact: Fact) -> bool:
    if fact.did in (Did.RESOLVED, Did.WAITING):
        return True
    return fact.did is Did.RECEIVED if on is On.CUSTOMER else fact.is_of_an_agent


QUEUE = "queue"


def agent_holder(agent_id: str) -> str:
    """How an agent is named as a holder."""
    return agent_id if agent_id.startswith("agent:") else f"agent:{agent_id}"


def _held(log: Log) -> Iterator[tuple[str, Span]]:
    """An assignment gives it to an agent; so does the first reply of one while it lies in the queue."""
    acts = [fact for fact in log.facts if fact.did is not Did.RATED]
    if not acts:
        return
    owner, since = QUEUE, acts[0].at
    for fact in acts:
        taken = _owner(owner, fact)
        if taken != owner:
            yield from _without_waits(owner, (since, fact.at), log)
            owner, since = taken, fact.at
    yield from _without_waits(owner, (since, END), log)


def _owner(owner: str, fact: Fact) -> str:
    if fact.did is Did.ASSIGNED:
        return agent_holder(fact.agent_id) if fact.agent_id else QUEUE
    if fact.is_answer and owner == QUEUE and fact.agent_id:
        return agent_holder(fact.agent_id)
    return owner


def _without_waits(owner: str, span: Span, log: Log) -> Iterator[tuple[str, Span]]:
    """The owner's span, cut where somebody else was waited for, or where it was closed."""
    others = sorted([*((wait, on.value) for wait, on in log.waits), *((gap, "") for gap in log.closed)])
    begin, end = span
    for (away, back), holder in others:
        if back <= begin or away >= end:
            continue
        yield owner, (begin, max(begin, away))
        if holder:
            yield holder, (max(begin, away), min(back, end))
        begin = min(back, end)
    yield owner, (begin, end)


def seconds_by_holder(log: Log, until: datetime) -> dict[str, timedelta]:
    """Who had it for how long, the first first."""
    found: dict[str, timedelta] = {}
    for holder, (begin, end) in log.held:
        if begin < until:
            found[holder] = found.get(holder, timedelta()) + min(end, until) - begin
    return found
