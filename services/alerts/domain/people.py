"""Who is responsible now: people, rotas, deputies, absence, and whom an incident goes up to (STF-1, ALR-12). Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
LEAD = "lead"
RIGHTS: Mapping[str, tuple[str, ...]] = {
    LEAD: ("see", "act", "set", "approve"),
    "specialist": ("see", "act", "set"),
    "service": ("see", "act"),
    "designer": ("see", "act"),
    "promotion": ("see", "act"),
    "logistics": ("see", "act"),
}
"""What a role may do: look, work on incidents, set rules and policies, approve what others set."""


def minutes_of(clock: str) -> int:
    """Minutes since midnight of a time such as 09:00; 24:00 is the day's end. Raises ValueError."""
    hours, colon, minutes = clock.partition(":")
    is_written = bool(colon) and len(hours) == len(minutes) == 2 and (hours + minutes).isdecimal() and clock.isascii()
    total = int(hours) * 60 + int(minutes) if is_written else -1
    if not 0 <= total <= DAY_MINUTES or int(minutes) > 59:
        raise ValueError("a time such as 09:00")
    return total


@dataclass(frozen=True, slots=True)
class Absence:
    """From a day or an instant to another; days are the store's, both included."""

    start: date | datetime
    end: date | datetime

    def covers(self, at: datetime, zone: ZoneInfo) -> bool:
        """Whether a person is away at this time."""
        return _begin(self.start, zone) <= at and at < _end(self.end, zone)


def _begin(edge: date | datetime, zone: ZoneInfo) -> datetime:
    return edge if isinstance(edge, datetime) else datetime.combine(edge, time(), zone)


def _end(edge: date | datetime, zone: ZoneInfo) -> datetime:
    return edge if isinstance(edge, datetime) else datetime.combine(edge + timedelta(days=1), time(), zone)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who works for a store."""

    id: str
    name: str
    role: str
    deputy: str | None = None
    absent: tuple[Absence, ...] = ()


@dataclass(frozen=True, slots=True)
class Shift:
    """A weekly time on duty, in minutes of the store's day; one that ends before it starts ends on the next day."""

    weekday: int
    start: int
    end: int
    person: str

    def covers(self, at: datetime) -> bool:
        """Whether this local time lies in the shift."""
        minute = at.hour * 60 + at.minute
        if self.start < self.end:
            return at.weekday() == self.weekday and self.start <= minute < self.end
        is_evening = at.weekday() == self.weekday and minute >= self.start
        return is_evening or (at.weekday() == (self.weekday + 1) % 7 and minute < self.end)


@dataclass(frozen=True, slots=True)
class Rota:
    """Who of a role is on duty when, and to whom an incident goes up."""

    id: str
    role: str
    shifts: tuple[Shift, ...]
    escalate_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Staff:
    """The people and rotas of a store at one time."""

    people: Mapping[str, Person]
    rotas: Sequence[Rota]
    zone: ZoneInfo

    def owner_for(self, role: str, at: datetime) -> str | None:
        """Who gets an incident of this role: on duty now, else the deputy, else the lead; None without any people."""
        for candidate in (*self._on_duty(role, at), *self._on_duty(LEAD, at)):
            if (present := self._stand_in(candidate, at)) is not None:
                return present
        anybody = sorted(self.people.values(), key=lambda person: (person.role != LEAD, person.id))
        return next((p.id for p in anybody if self._is_present(p.id, at)), anybody[0].id if anybody else None)

    def next_up(self, role: str, level: int, owner: str | None, at: datetime) -> tuple[str, int] | None:
        """To whom an incident goes up from this level, and the level it has then; None where nobody is left."""
        for number, candidate in enumerate(self._chain(role)):
            present = self._stand_in(candidate, at) if number >= level else None
            if present is not None and present != owner:
                return present, number + 1
        return None

    def _on_duty(self, role: str, at: datetime) -> Iterator[str]:
        """By rota; without one for the role, everybody of the role who is there, then those who are not."""
        rotas = [rota for rota in self.rotas if rota.role == role]
        local = at.astimezone(self.zone)
        yield from _known(self.people, (s.person for rota in rotas for s in rota.shifts if s.covers(local)))
        if not rotas:
            own = [person.id for person in self.people.values() if person.role == role]
            yield from sorted(own, key=lambda person: (not self._is_present(person, at), person))

    def _chain(self, role: str) -> list[str]:
        named = [person for rota in self.rotas if rota.role == role for person in rota.escalate_to]
        leads = sorted(person.id for person in self.people.values() if person.role == LEAD)
        return list(dict.fromkeys(_known(self.people, (*named, *leads))))

    def _stand_in(self, person: str, at: datetime) -> str | None:
        """The person, or the deputy of whoever is absent."""
        seen: set[str] = set()
        candidate: str | None = person
        while candidate is not None and candidate in self.people and candidate not in seen:
            if self._is_present(candidate, at):
                return candidate
            seen.add(candidate)
            candidate = self.people[candidate].deputy
        return None

    def _is_present(self, person: str, at: datetime) -> bool:
        return not any(absence.covers(at, self.zone) for absence in self.people[person].absent)


def _known(people: Mapping[str, Person], named: Iterable[str]) -> Iterator[str]:
    return (person for person in named if person in people)


# as they are kept


def person_of(key: str, value: Mapping[str, Any]) -> Person:
    """A person from the document."""
    absent = tuple(Absence(_edge(a["from"]), _edge(a["to"])) for a in value.get("absent", ()))
    return Person(key, value["name"], value["role"], value.get("deputy"), absent)


def _edge(written: str) -> date | datetime:
    return date.fromisoformat(written) if len(written) == 10 else datetime.fromisoformat(written)


def rota_of(key: str, value: Mapping[str, Any]) -> Rota:
    """A rota from the document."""
    shifts = tuple(
        Shift(WEEKDAYS.index(s["weekday"]), minutes_of(s["from"]), minutes_of(s["to"]), s["person"])
        for s in value["shifts"]
    )
    return Rota(key, value["role"], shifts, tuple(value.get("escalate_to", ())))
