"""A conversation of the customer service: when it was opened, how fast it was answered and solved, how it was rated.

Response times are those of the clocks that alerts publishes under policy `default`; the higher version of a clock
replaces the lower (D37). All of it is booked at the moment the customer asked: the conversation's opening, the clock's
start; a rating at the moment it was given.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from libs.events.contracts import (
    ClockMeasured,
    ConversationAssigned,
    ConversationClassed,
    ConversationOpened,
    ConversationReopened,
    ConversationResolved,
    MessageReplied,
    RatingGiven,
)
from services.kpi.calendar import microseconds
from services.kpi.entities.customer import Ask
from services.kpi.entities.fact import Fact, Stamp
from services.kpi.entities.leaf import Ground, Leaf, copy_of, earliest, latest
from services.kpi.figures import EVERY_GRAIN, NUMBERS, Contribution, Place, Vector, add, sample_number

Profile = tuple[str | None, str | None, str | None]
"""Class, agent, customer tier."""
POLICY: Final = "default"
SOLUTION_US: Final = 24 * 3_600 * 1_000_000
"""In which a conversation without a solution clock is solved in time (SRV-3)."""


class Opened(msgspec.Struct, array_like=True, gc=False):
    """What the opening says."""

    customer: str
    tier: str | None
    topic_class: str


class Clock(msgspec.Struct, array_like=True, gc=False):
    """A clock as it was last measured."""

    version: int
    stamp: Stamp
    started_us: int
    stopped: bool
    seconds: int
    state: str
    topic_class: str
    agent: str | None

    @property
    def decided(self) -> bool:
        """Whether it is known to be met or breached."""
        return self.state in ("met", "breached")


class Rating(msgspec.Struct, array_like=True, gc=False):
    """1 to 5."""

    us: int
    score: int
    agent: str | None


class Conversation(msgspec.Struct, array_like=True):
    """The merged state; each part is empty until its event has come."""

    opened: tuple[Stamp, Opened] | None = None
    classed: tuple[Stamp, str] | None = None
    assigned: tuple[Stamp, str | None] | None = None
    replied: tuple[Stamp, str | None] | None = None
    """the first reply of a person"""
    settled: tuple[Stamp, bool] | None = None
    """the last of solved (True) and reopened (False)"""
    clocks: dict[str, Clock] = {}
    ratings: dict[str, Rating] = {}

    @property
    def topic_class(self) -> str | None:
        """The class it was given last; before its opening is known, that of its clocks."""
        if self.classed is not None:
            return self.classed[1]
        if self.opened is not None:
            return self.opened[1].topic_class
        return next((self.clocks[kind].topic_class for kind in sorted(self.clocks)), None)

    @property
    def agent(self) -> str | None:
        """Who it was given to last, else who answered first."""
        assigned = self.assigned[1] if self.assigned else None
        return assigned or (self.replied[1] if self.replied else None)

    @property
    def tier(self) -> str | None:
        return self.opened[1].tier if self.opened else None

    @property
    def resolved_us(self) -> int | None:
        """When it was solved, unless it was reopened since."""
        return self.settled[0][0] if self.settled and self.settled[1] else None


def ask_of(conversation: Conversation | None, key: str) -> tuple[str, Ask] | None:
    """(customer, what he asked); None before the opening is known."""
    if conversation is None or conversation.opened is None:
        return None
    stamp, opened = conversation.opened
    topic_class = conversation.topic_class or opened.topic_class
    return opened.customer, Ask(stamp[0], key, topic_class, conversation.agent)


# merge


def key(
    event: ConversationOpened | ConversationClassed | ClockMeasured | RatingGiven | MessageReplied,
) -> str | None:
    """Its own id; a rating of an order alone is kept under the order's."""
    if isinstance(event, ClockMeasured):
        return event.conversation_id if event.policy == POLICY else None
    if isinstance(event, MessageReplied):
        return None if event.is_automatic else event.conversation_id
    if isinstance(event, RatingGiven) and event.conversation_id is None:
        return f"order/{event.order_id}"
    return event.conversation_id


def merge(old: Conversation | None, facts: Sequence[Fact]) -> Conversation:
    """The conversation with these events in it."""
    state = copy_of(old, Conversation, clocks=dict, ratings=dict)
    for fact in facts:
        _take(state, fact)
    return state


def _take(state: Conversation, fact: Fact) -> None:
    event, stamp = fact.event, fact.stamp
    if isinstance(event, ConversationOpened):
        opened = Opened(event.customer_id, event.customer_tier, event.topic_class)
        state.opened = earliest(state.opened, stamp, opened)
    elif isinstance(event, ConversationClassed):
        state.classed = latest(state.classed, stamp, str(event.topic_class))
    elif isinstance(event, ConversationAssigned):
        state.assigned = latest(state.assigned, stamp, event.agent_id)
    elif isinstance(event, MessageReplied):
        state.replied = earliest(state.replied, stamp, event.agent_id)
    elif isinstance(event, ConversationResolved | ConversationReopened):
        state.settled = latest(state.settled, stamp, isinstance(event, ConversationResolved))
    elif isinstance(event, ClockMeasured):
        clock = _clock(event, stamp)
        known = state.clocks.get(event.kind)
        newer = known is None or (clock.version, clock.stamp) > (known.version, known.stamp)
        state.clocks[event.kind] = clock if newer or known is None else known
    elif isinstance(event, RatingGiven):
        state.ratings[fact.id] = Rating(fact.us, event.score, event.agent_id)


def _clock(event: ClockMeasured, stamp: Stamp) -> Clock:
    return Clock(
        event.version,
        stamp,
        microseconds(event.started_at),
        event.stopped_at is not None,
        int(event.elapsed_seconds),
        event.state,
        event.topic_class,
        event.agent_id,
    )


# contribution


def contribution(state: Conversation, ground: Ground) -> Contribution:
    """What it adds to every figure."""
    made: Contribution = {}
    own: Profile = (state.topic_class, state.agent, state.tier)
    if state.opened is not None:
        _book(made, ground, state.opened[0][0], own, _handled(state, state.opened[0][0]))
    clock = state.clocks.get("first_response")
    if clock is not None:
        profile: Profile = (clock.topic_class, clock.agent or state.agent, state.tier)
        _book(made, ground, clock.started_us, profile, _answered(clock))
    for rating in state.ratings.values():
        rated: Profile = (state.topic_class, rating.agent or state.agent, state.tier)
        _book(made, ground, rating.us, rated, _rated(rating))
    return made


def _book(made: Contribution, ground: Ground, us: int, profile: Profile, vector: Vector) -> None:
    second = ground.calendar.second("hour", us)
    add(made, Place(ground.store, EVERY_GRAIN, second, ("service", *profile)), vector)


def _handled(state: Conversation, opened_us: int) -> Vector:
    vector = {_CONVERSATIONS: 1}
    resolved_us, clock = state.resolved_us, state.clocks.get("solution")
    if resolved_us is None:
        return vector
    took_us = max(0, resolved_us - opened_us)
    measured = clock is not None and clock.decided and clock.stopped
    vector[_RESOLVED] = 1
    vector[_RESOLUTION_SECONDS] = clock.seconds if clock is not None and measured else took_us // 1_000_000
    in_time = clock.state == "met" if clock is not None and measured else took_us <= SOLUTION_US
    return {**vector, _RESOLVED_IN_TIME: 1} if in_time else vector


def _answered(clock: Clock) -> Vector:
    vector: Vector = {}
    if clock.decided:
        vector[_DUE] = 1
    if clock.stopped and clock.decided:
        vector |= {_RESPONSES: 1, _RESPONSE_SECONDS: clock.seconds, sample_number(TIMES, clock.seconds): 1}
        if clock.state == "met":
            vector[_IN_TIME] = 1
    return vector


def _rated(rating: Rating) -> Vector:
    vector = {_RATINGS: 1, _RATING_SUM: rating.score}
    return {**vector, _RATINGS_GOOD: 1} if rating.score >= 4 else vector


TIMES: Final = "first_response_times"
_CONVERSATIONS, _RESOLVED = NUMBERS["conversations"], NUMBERS["resolved"]
_RESOLUTION_SECONDS, _RESOLVED_IN_TIME = NUMBERS["resolution_seconds"], NUMBERS["resolved_in_time"]
_DUE, _RESPONSES = NUMBERS["first_responses_due"], NUMBERS["first_responses"]
_RESPONSE_SECONDS, _IN_TIME = NUMBERS["first_response_seconds"], NUMBERS["first_responses_in_time"]
_RATINGS, _RATING_SUM, _RATINGS_GOOD = NUMBERS["ratings"], NUMBERS["rating_sum"], NUMBERS["ratings_good"]

LEAF: Final = Leaf(
    "conversation",
    (
        ConversationOpened,
        ConversationClassed,
        ConversationAssigned,
        ConversationResolved,
        ConversationReopened,
        MessageReplied,
        RatingGiven,
        ClockMeasured,
    ),
    key,
    Conversation,
    merge,
    contribution,
)
