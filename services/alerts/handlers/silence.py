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
from services.alerts.store.pulses import Last

SILENT_TOPIC: Final = "traffic"
"""The topic whose silence is judged: shops are visited all day, but may go without an order for long."""
ACTIVE: Final = timedelta(days=7)
"""A store without any event for so long is not watched."""
SUSPECT: Final = timedelta(seconds=30)
"""A topic that lags less needs no look at what the stores have set."""
SHORTEST_MINUTES: Final = 5.0
"""Nor does a silence that is shorter."""
FIGURES: Final = "kpi"
"""The topic of measured hours."""
HOUR: Final = timedelta(hours=1)
MEASURED_AFTER: Final = timedelta(minutes=10)
"""An hour is measured 5 minutes after its end (D27), and told soon after."""
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
    first = await pulses.first_hour(of, tx, topic=SILENT_TOPIC)
    if first is None:
        return None
    is_young = now - first < timedelta(days=numbers["history_days"])
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
    behind = {topic: max(began, mark) if mark else began for topic, mark in marks.items()}
    suspects = {topic: mark for topic, mark in behind.items() if tx.now - mark > SUSPECT}
    last: dict[str, dict[str, Last]] = {}
    for one in await pulses.list_last(tx.now - ACTIVE, tx):
        last.setdefault(one.store, {})[one.topic] = one
    for store, topics in last.items():
        late = await _late(store, suspects, marks, book, tx) if suspects else []
        if not late:
            late = await _unmeasured(store, began, book, tx)
        found += late
        if SILENT_TOPIC in topics and SILENT_TOPIC not in {one.topic for one in late}:
            found += await _silent(topics[SILENT_TOPIC], marks.get(SILENT_TOPIC), book, tx)
    return found


async def _late(
    of: str,
    suspects: Mapping[str, datetime],
    marks: Mapping[str, datetime | None],
    book: Rulebook,
    tx: Transaction,
) -> list[Missing]:
    """Topics that lag behind the clock: whoever feeds or reads them does not."""
    terms = await book.terms(DATA_MISSING, of, {})
    if terms is None:
        return []
    limit = timedelta(minutes=terms.numbers["lag_minutes"])
    return [
        Missing(of, topic, mark + limit, _late_figures(topic, marks[topic], tx.now - mark))
        for topic, mark in sorted(suspects.items())
        if tx.now - mark > limit
    ]


async def _unmeasured(of: str, began: datetime, book: Rulebook, tx: Transaction) -> list[Missing]:
    """All topics are there, and yet no hour is measured: whoever counts does not."""
    last = await memory.last_hour(of, tx)
    if last is None or tx.now - max(last, began - HOUR) <= HOUR + MEASURED_AFTER:
        return []
    if await book.terms(DATA_MISSING, of, {"topic": FIGURES}) is None:
        return []
    return [Missing(of, FIGURES, last + HOUR + MEASURED_AFTER, _late_figures(FIGURES, last, tx.now - last))]


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


async def _silent(one: Last, mark: datetime | None, book: Rulebook, tx: Transaction) -> list[Missing]:
    """Silence is only known as far as the topic is complete."""
    of, last = one.store, silence.last_minute({one.hour: one.minutes}, mark) if mark else None
    quiet = (mark - last).total_seconds() / 60 if mark and last else 0.0
    if mark is None or last is None or quiet <= SHORTEST_MINUTES:
        return []
    terms = await book.terms(DATA_MISSING, of, {"topic": SILENT_TOPIC})
    if terms is None or quiet <= terms.numbers["factor"] * terms.numbers["minimum_gap_minutes"]:
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
