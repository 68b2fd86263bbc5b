"""Missing data is an alert of its own: a silent or a late topic never looks like a fallen figure (D27, D38, D40)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from libs.events.consumer import Consumer
from libs.events.transaction import Transaction, Transactions
from services.alerts.domain import silence
from services.alerts.domain.incidents import Finding, matter_key
from services.alerts.handlers.finding import recovered
from services.alerts.handlers.raising import raise_once
from services.alerts.rulebook import Rulebook, Terms
from services.alerts.rules.running import DATA_MISSING
from services.alerts.store import memory, pulses, standing

SILENT_TOPIC: Final = "traffic"
"""The topic whose silence is judged: shops are visited all day, but may go without an order for long."""
ACTIVE: Final = timedelta(days=7)
"""A store without any event for so long is not watched."""
TARGETED: Final = ("conversion.order_uv", "uv", "gmv", "orders_placed", "paid_amount")
"""A target for one of these has a store judged in its first days too (D38)."""


async def was_silent(of: str, start: datetime, end: datetime, book: Rulebook, tx: Transaction) -> bool:
    """Whether traffic fell silent for longer than usual in [start, end): its figures then say nothing."""
    terms = await book.terms(DATA_MISSING, of, {"topic": SILENT_TOPIC})
    if terms is None or not (allowed := await _allowed(of, end, terms, tx)):
        return False
    first = silence.hour_of(start) - timedelta(hours=silence.REACH)
    hours = [first + timedelta(hours=n) for n in range(int((end - first).total_seconds() // 3600) + 1)]
    minutes = await pulses.load_pulses(of, SILENT_TOPIC, hours, tx)
    return silence.longest_gap(minutes, start, end) > allowed


async def _allowed(of: str, now: datetime, terms: Terms, tx: Transaction) -> float | None:
    """Minutes of silence that are still nothing to worry about; None where that is not known yet."""
    numbers = terms.numbers
    known = [end for end in await pulses.list_ends(tx, of) if end[1] == SILENT_TOPIC]
    if not known:
        return None
    is_young = now - known[0][2] < timedelta(days=numbers["history_days"])
    if is_young and not await _has_target(of, now, tx):
        return None
    minutes = await pulses.load_pulses(of, SILENT_TOPIC, silence.compared_hours(now), tx)
    return numbers["factor"] * silence.usual_gap(minutes, now, numbers["minimum_gap_minutes"])


async def _has_target(of: str, now: datetime, tx: Transaction) -> bool:
    targets = await memory.load_targets([of], TARGETED, tx)
    return any(targets.in_force(of, metric, {}, now.date()) is not None for metric in TARGETED)


@dataclass(frozen=True, slots=True)
class Missing:
    """A topic of a store that is silent or late."""

    store: str
    topic: str
    since: datetime
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def about(self) -> dict[str, str]:
        """The topic."""
        return {"topic": self.topic}


class Watch:
    """Looks again and again whether data is missing."""

    def __init__(self, transactions: Transactions, consumers: Sequence[Consumer]) -> None:
        self._transactions = transactions
        self._consumers = consumers
        self._began = transactions.clock()

    async def look(self) -> int:
        """Raise what is missing, end what is there again; how many topics of stores are missing."""
        async with self._transactions.begin() as tx:
            marks = await self.watermarks(tx)
            found = await find_missing(marks, self._began, tx)
            for one in found:
                await raise_once(Finding(DATA_MISSING, one.about, one.figures, one.since), one.store, tx)
            await _end_others({(one.store, matter_key(DATA_MISSING, one.about)) for one in found}, tx)
        return len(found)

    async def watermarks(self, tx: Transaction) -> dict[str, datetime | None]:
        """topic -> complete up to, of every topic that is read here; None before the first proven beat."""
        marks: dict[str, datetime | None] = {}
        for consumer in self._consumers:
            known = await consumer.watermarks(tx)
            marks.update({topic: known.get(topic) for topic in consumer.reactions.topics})
        return marks


async def find_missing(marks: Mapping[str, datetime | None], began: datetime, tx: Transaction) -> list[Missing]:
    """What is missing now. `marks`: how far each topic is complete; `began`: since when it can be known."""
    book, found = Rulebook(tx), []
    ends: dict[str, dict[str, datetime]] = {}
    for store, topic, _, last in await pulses.list_ends(tx):
        ends.setdefault(store, {})[topic] = last
    for store, known in sorted(ends.items()):
        if tx.now - max(known.values()) > ACTIVE:
            continue
        late = await _late(store, marks, began, book, tx)
        found += late
        if SILENT_TOPIC in known and SILENT_TOPIC not in {one.topic for one in late}:
            found += await _silent(store, known[SILENT_TOPIC], marks.get(SILENT_TOPIC), book, tx)
    return found


async def _late(
    of: str, marks: Mapping[str, datetime | None], began: datetime, book: Rulebook, tx: Transaction
) -> list[Missing]:
    terms = await book.terms(DATA_MISSING, of, {})
    if terms is None:
        return []
    limit = timedelta(minutes=terms.numbers["lag_minutes"])
    behind = {topic: max(began, mark) if mark else began for topic, mark in marks.items()}
    return [
        Missing(of, topic, mark + limit, _late_figures(topic, marks[topic], tx.now - mark))
        for topic, mark in sorted(behind.items())
        if tx.now - mark > limit
    ]


def _late_figures(topic: str, mark: datetime | None, lag: timedelta) -> dict[str, Any]:
    minutes = int(lag.total_seconds() // 60)
    return {
        "topic": topic,
        "what": "late",
        "complete_until": mark.isoformat() if mark else None,
        "minutes": minutes,
        "what_zh": f"已延迟 {minutes} 分钟, 数据管道异常",
        "what_en": f"is {minutes} min late, our own pipeline is broken",
    }


async def _silent(
    of: str, last_hour: datetime, mark: datetime | None, book: Rulebook, tx: Transaction
) -> list[Missing]:
    """Silence is only known as far as the topic is complete."""
    terms = await book.terms(DATA_MISSING, of, {"topic": SILENT_TOPIC})
    if terms is None or mark is None:
        return []
    minutes = await pulses.load_pulses(of, SILENT_TOPIC, [last_hour], tx)
    last = silence.last_minute(minutes, mark)
    quiet = (mark - last).total_seconds() / 60 if last else 0.0
    if last is None or quiet <= terms.numbers["factor"] * terms.numbers["minimum_gap_minutes"]:
        return []
    allowed = await _allowed(of, mark, terms, tx)
    if allowed is None or quiet <= allowed:
        return []
    since = last + timedelta(minutes=allowed)
    return [Missing(of, SILENT_TOPIC, since, _silent_figures(last, int(quiet), allowed))]


def _silent_figures(last: datetime, quiet: int, allowed: float) -> dict[str, Any]:
    return {
        "topic": SILENT_TOPIC,
        "what": "silent",
        "last_event_at": last.isoformat(),
        "minutes": quiet,
        "usual_minutes": int(allowed),
        "what_zh": f"已 {quiet} 分钟没有事件 (平时最多 {int(allowed)} 分钟), 店铺前端没有上报",
        "what_en": f"has had no event for {quiet} min (usually at most {int(allowed)}), the storefront is silent",
    }


async def _end_others(missing: set[tuple[str, str]], tx: Transaction) -> None:
    for one in await standing.list_standing([DATA_MISSING.id], tx):
        if (one.store, one.key) not in missing:
            await recovered(one.store, one.key, [DATA_MISSING.id], tx.now, tx)
