"""Complaints until they are settled, bad reviews until they are answered: one due time each (SRV-3, SRV-8). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.alerts.desk.domain.policies import BEGINNING
from services.alerts.desk.domain.standing import NOTHING, Limited, Said, Standing


class Followed(StrEnum):
    """What is followed."""

    COMPLAINT = "complaint"
    REVIEW = "review"


class FollowState(StrEnum):
    """How it stands; `none` needs nothing (a good review, or a word that came before its beginning)."""

    NONE = "none"
    OPEN = "open"
    DONE = "done"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Word:
    """What an event says: it begins (a complaint, a bad review), it ends (settled, answered), or it only tells more."""

    at: datetime
    id: str
    begins: bool
    ends: bool
    data: Mapping[str, Any]
    settled_at: datetime
    imported: bool


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Something that has to be dealt with by a time."""

    store: str
    kind: Followed
    id: str
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    said_at: datetime | None = None
    said_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    imported: bool = False
    settled_at: datetime = BEGINNING
    known_until: datetime = BEGINNING
    due_at: datetime | None = None
    state: FollowState = FollowState.NONE
    said: Said = NOTHING
    timer_at: datetime | None = None


def merge(old: FollowUp, word: Word) -> FollowUp:
    """With one more word, in any order: the first beginning, the first end, the latest details."""
    is_latest = old.said_at is None or old.said_id is None or (word.at, word.id) > (old.said_at, old.said_id)
    return replace(
        old,
        started_at=_first(old.started_at, word.at) if word.begins else old.started_at,
        stopped_at=_first(old.stopped_at, word.at) if word.ends else old.stopped_at,
        said_at=word.at if is_latest else old.said_at,
        said_id=word.id if is_latest else old.said_id,
        data={**old.data, **word.data} if is_latest else {**word.data, **old.data},
        imported=old.imported or word.imported,
        settled_at=max(old.settled_at, word.settled_at),
    )


def _first(known: datetime | None, at: datetime) -> datetime:
    return at if known is None else min(known, at)


def limited(item: FollowUp, warn_at: datetime, due_at: datetime, known_until: datetime) -> Limited:
    """It as something that has a limit."""
    end = item.stopped_at or known_until
    return Limited(warn_at=warn_at, due_at=due_at, is_late=end > due_at, is_over=item.stopped_at is not None)


def stood(item: FollowUp, against: Limited, standing: Standing, known_until: datetime) -> FollowUp:
    """It with what was found."""
    state = FollowState.OVERDUE if against.is_late else FollowState.DONE if against.is_over else FollowState.OPEN
    return replace(
        item,
        due_at=against.due_at,
        state=state,
        said=standing.said,
        timer_at=standing.timer_at,
        known_until=known_until,
    )


def unlimited(item: FollowUp) -> FollowUp:
    """It where nothing has to be done by any time (any more)."""
    return replace(item, due_at=None, state=FollowState.NONE, timer_at=None, said=NOTHING)
