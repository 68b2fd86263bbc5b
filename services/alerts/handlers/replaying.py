"""A rule, or a changed one, over history: when it would have fired, before the change takes effect.

The journal is told once more to the very handlers that judge live events, as a store of its own and with the events'
time as the clock, in one transaction that is always rolled back: it changes nothing.
"""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from math import ceil
from typing import Any, Final

from libs.events.bus import Message
from libs.events.codec import Envelope
from libs.events.consumer import Reactions
from libs.events.contracts import AlertFired, KpiMeasured, StockBackIn, StockLevel, StockRanLow
from libs.events.ids import uuid7
from libs.events.transaction import Transaction, Transactions
from libs.service.errors import Validation, fault
from libs.service.storetime import range_bounds
from services.alerts.domain.documents import Document
from services.alerts.handlers import (
    campaigns,
    deadlines,
    following,
    judging,
    measuring,
    rates,
    remembering,
    spending,
    wording,
)
from services.alerts.rulebook import KINDS, SCRATCH, Rulebook
from services.alerts.rules import LOW_STOCK, RULES, Comparison, Deadline, PlanCheck, Rule, WindowRatio
from services.alerts.store import documents, history, standing, timers
from services.alerts.store.standing import Known

MOST_DAYS: Final = 92
MOST_EVENTS: Final = 300_000
MOST_FIRED: Final = 1_000
FAR: Final = timedelta(days=36)
"""What is usual is known from so long before."""
SHORT: Final = timedelta(days=3)
"""What runs into the time is judged from so long before, and not counted."""
TOLD_AFTER: Final = timedelta(minutes=6)
"""A window is measured so long after its end."""
NEAR: Final = timedelta(hours=2)
"""A firing and an incident about the same thing within this time are the same."""
FALSE_ALARM: Final = "false_alarm"

REACTIONS: Final = Reactions(
    *judging.REACTIONS,
    *remembering.REACTIONS,
    *measuring.REACTIONS,
    *following.REACTIONS,
    *rates.REACTIONS,
    *deadlines.REACTIONS,
    *campaigns.REACTIONS,
    *spending.REACTIONS,
    *wording.REACTIONS,
)
_TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "INV": ("catalog", "inventory", "marketing", "orders"),
    "ORD": ("catalog", "orders"),
    "RPT": ("marketing", "orders", "reports"),
    "ALR": ("catalog", "kpi", "marketing", "orders", "service"),
}
"""Family of operating rules -> topics that its rules read."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which rule of which store, on which days (both included), with which numbers."""

    rule: Rule
    store: str
    first: date
    last: date
    parameters: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Fired:
    """The rule would have fired."""

    at: datetime
    about: Mapping[str, str]
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Replay:
    """When it would have fired, and how that agrees with what became of the incidents (fix records)."""

    fired: Sequence[Fired]
    per_day: float
    matched_incidents: int
    false_alarms: int
    missed_incidents: int


def check_replayable(rule: Rule) -> None:
    """Raises Validation for a rule that does not follow from journaled events alone."""
    is_edge = not isinstance(rule, Deadline | Comparison | PlanCheck | WindowRatio)
    is_service = rule.source.startswith("SRV") or rule.source in ("ALR-12", "ALR-15", "ALR-16")
    if is_service or (is_edge and rule.source.startswith("ALR")):
        message = f"{rule.id} does not follow from the journal alone and cannot be replayed"
        raise Validation(message, errors=[fault("/rule", "not_replayable", message)])


class _Undo(Exception):
    """Leaves the transaction without a trace."""


async def replay(question: Question, worker: Transactions) -> Replay:
    """Answer the question. Raises Validation where it asks for too much."""
    check_replayable(question.rule)
    try:
        async with worker.begin() as tx:
            answer = await _answer(question, tx)
            raise _Undo
    except _Undo:
        return answer


async def _answer(question: Question, tx: Transaction) -> Replay:
    start, end = range_bounds(question.first, question.last, await Rulebook(tx).zone(question.store))
    end = min(end, tx.now)
    events = await _events(question, start - FAR, end, tx)
    scratch = f"{question.store}{SCRATCH}{uuid7(tx.now)}"
    fired = await _tell(question, scratch, events, start, end, tx)
    incidents = await standing.list_known(question.store, question.rule.id, start, end, tx)
    days = (question.last - question.first).days + 1
    return compare(fired, incidents, days)


# what happened


async def _events(question: Question, since: datetime, until: datetime, tx: Transaction) -> list[Envelope[Any]]:
    """The store's events of the topics that the rule reads, in the order of their time."""
    events = [envelope async for envelope in _journaled(question, since, tx) if since <= _moment(envelope) < until]
    if question.rule is LOW_STOCK and "safety" in question.parameters:
        events = list(edges_at(events, int(question.parameters["safety"])))
    return sorted(events, key=lambda envelope: (_moment(envelope), envelope.recorded_time, envelope.id))


async def _journaled(question: Question, since: datetime, tx: Transaction) -> AsyncIterator[Envelope[Any]]:
    topics = _TOPICS[question.rule.source.partition("-")[0]]
    count = 0
    async for envelope in history.read_history(question.store, topics, REACTIONS.events, since, tx):
        count += 1
        if count > MOST_EVENTS:
            message = f"more than {MOST_EVENTS} events; ask for fewer days"
            raise Validation(message, errors=[fault("/from", "too_many", message)])
        yield envelope


def _moment(envelope: Envelope[Any]) -> datetime:
    """When it would have been heard of: a window after its end, whenever it was measured."""
    if isinstance(envelope.data, KpiMeasured):
        end: datetime = envelope.data.end
        return end + TOLD_AFTER
    return envelope.time


def edges_at(events: Iterable[Envelope[Any]], safety: int) -> Iterator[Envelope[Any]]:
    """The same with the low-stock edges as another safety level would have made them (D23)."""
    low: defaultdict[str, bool] = defaultdict(bool)
    rearm = safety + max(1, ceil(safety / 10))
    for event in sorted(events, key=lambda e: (e.time, e.recorded_time, e.id)):
        if isinstance(event.data, StockRanLow | StockBackIn):
            continue
        yield event
        if not isinstance(event.data, StockLevel):
            continue
        sku, available = event.data.sku, event.data.available
        if low[sku] and available >= rearm:
            low[sku] = False
            yield replace(event, data=StockBackIn(sku=sku, available=available, safety=safety))
        elif not low[sku] and 0 < available < safety:
            low[sku] = True
            yield replace(event, data=StockRanLow(sku=sku, available=available, safety=safety))


# telling it once more


async def _tell(
    question: Question, scratch: str, events: Sequence[Envelope[Any]], start: datetime, end: datetime, tx: Transaction
) -> list[Fired]:
    """Tell the scratch store what happened, silently first, then judged; what fired from `start` on."""
    fired: list[Fired] = []
    rule, judged_from = question.rule, start - SHORT
    await _settings(question, scratch, tx, is_on=False)
    is_on = False
    for moment, batch in _batches(rule, scratch, events):
        if not is_on and moment >= judged_from:
            await _begin(question, scratch, judged_from, tx)
            is_on = True
        if is_on:
            fired += await _fire_due(rule, scratch, moment, tx)
        tx.now = _moment(batch[-1])
        await REACTIONS.handle(batch, tx)
        fired += _take_fired(rule, tx)
    if not is_on:
        await _begin(question, scratch, judged_from, tx)
    fired += await _fire_due(rule, scratch, end, tx)
    return [one for one in fired if start <= one.at < end]


def _batches(
    rule: Rule, scratch: str, events: Sequence[Envelope[Any]]
) -> Iterator[tuple[datetime, list[Envelope[Any]]]]:
    """Events that are heard of together; where deadlines run, by the minute."""
    minutes = 1 if isinstance(rule, Deadline) else 60

    def slice_of(envelope: Envelope[Any]) -> datetime:
        at = _moment(envelope)
        return at.replace(minute=at.minute - at.minute % minutes, second=0, microsecond=0)

    for moment, group in groupby(events, key=slice_of):
        yield moment, [replace(envelope, store=scratch, import_id=None) for envelope in group]


async def _begin(question: Question, scratch: str, at: datetime, tx: Transaction) -> None:
    """From now on the rule is judged."""
    await _settings(question, scratch, tx, is_on=True)
    rule = question.rule
    if isinstance(rule, Deadline) and rule.daily:
        await timers.start_timers([await deadlines.next_daily(scratch, rule, at, Rulebook(tx))], tx)


async def _fire_due(rule: Rule, scratch: str, until: datetime, tx: Transaction) -> list[Fired]:
    """Deadlines that have passed by then, one after the other."""
    fired: list[Fired] = []
    if not isinstance(rule, Deadline):
        return fired
    while due := await timers.take_due({rule.topic: until}, 1, tx, store=scratch):
        tx.now = due[0].due_at
        await deadlines.fire(due[0], tx)
        fired += _take_fired(rule, tx)
    return fired


async def _settings(question: Question, scratch: str, tx: Transaction, *, is_on: bool) -> None:
    """What the store has set, every version, with the numbers asked about; all other rules are switched off."""
    if not is_on:
        for rule in RULES:
            await documents.add_document(_document(scratch, rule.id, {"enabled": False}, tx, version=1), tx)
        return
    value = {"enabled": True, "parameters": dict(question.parameters)}
    await documents.add_document(_document(scratch, question.rule.id, value, tx, version=2), tx)
    kept = [document for kind in KINDS for document in await documents.list_versions(question.store, kind, tx)]
    for number, document in enumerate(kept, 3):
        if document.kind != "rule" or (document.key == question.rule.id and not _is_replaced(document, question)):
            await documents.add_document(replace(document, store=scratch, version=number), tx)


def _is_replaced(document: Document, question: Question) -> bool:
    """Numbers that are asked about stand in for what the store has set for all of it."""
    return bool(question.parameters) and not document.scope


def _document(scratch: str, key: str, value: Mapping[str, Any], tx: Transaction, *, version: int) -> Document:
    ever = datetime.fromisoformat("1970-01-01T00:00:00+00:00") + timedelta(seconds=version)
    return Document(scratch, "rule", key, "", version, ever, value, ever, ever, uuid7(tx.now), "replay")


def _take_fired(rule: Rule, tx: Transaction) -> list[Fired]:
    """What was to be published of the rule, which nobody will hear of."""
    fired = [_fired(message) for message in tx.pending if _is_fired(message)]
    tx.pending.clear()
    return [one for name, one in fired if name == rule.id]


def _is_fired(message: Message) -> bool:
    return ("ce_type", AlertFired.TYPE.encode()) in message.headers


def _fired(message: Message) -> tuple[str, Fired]:
    data = json.loads(message.value)
    return data["rule"], Fired(datetime.fromisoformat(data["fired_at"]), data["about"], data["figures"])


# against what became of it


def compare(fired: Sequence[Fired], incidents: Sequence[Known], days: int) -> Replay:
    """How the firings agree with incidents: real ones found, false alarms raised again, real ones missed."""
    matched = [incident for incident in incidents if any(_same(one, incident) for one in fired)]
    return Replay(
        fired[:MOST_FIRED],
        round(len(fired) / days, 2),
        sum(incident.cause_code != FALSE_ALARM for incident in matched),
        sum(incident.cause_code == FALSE_ALARM for incident in matched),
        sum(incident.cause_code != FALSE_ALARM for incident in incidents if incident not in matched),
    )


def _same(one: Fired, incident: Known) -> bool:
    return one.about == incident.about and any(abs(one.at - at) <= NEAR for at in incident.fired_at)
