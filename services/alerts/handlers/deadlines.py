"""Deadlines: started and stopped by events or by the day, and fired when their time has passed for sure (D40)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final

from libs.events.codec import Envelope
from libs.events.consumer import on, on_batch
from libs.events.contracts import PolicyChanged, ReportPublished, StockCounted
from libs.events.transaction import Transaction, Transactions
from libs.service.stores import Stores
from libs.service.storetime import at_time, day_bounds, day_of
from services.alerts.domain.incidents import Finding
from services.alerts.handlers.campaigns import lock_figures
from services.alerts.handlers.finding import found
from services.alerts.handlers.moves import Moves
from services.alerts.handlers.raising import Ended, end_absent, end_all, name_of, raise_once
from services.alerts.handlers.silence import Watch
from services.alerts.rulebook import POLICY_NUMBERS, Rulebook
from services.alerts.rules import RULE, RULES, About, Deadline, Rule
from services.alerts.rules.running import REPORT_LATE, REVIEW_LATE
from services.alerts.rules.stock import COUNT_MISSING, LOCK_INCOMPLETE, REORDER_DUE, SLOW_MOVER
from services.alerts.store import memory, pulses, tallies, timers
from services.alerts.store.memory import Sku
from services.alerts.store.tallies import Change
from services.alerts.store.timers import Timer

AT_ONCE: Final = 100
DAILY: Final = tuple(rule for rule in RULES if isinstance(rule, Deadline) and rule.daily)
DAY: Final = timedelta(days=1)


# firing


class Clockwork:
    """Fires deadlines whose topic is complete beyond them, and sets those of every day."""

    def __init__(self, transactions: Transactions, stores: Stores, watch: Watch) -> None:
        self._transactions = transactions
        self._stores = stores
        self._watch = watch

    async def tick(self) -> int:
        """Fire what is due; how many were. A deadline and its incident are settled in one transaction."""
        fired = 0
        while True:
            async with self._transactions.begin() as tx:
                marks = await self._watch.watermarks(tx)
                due = await timers.take_due({topic: mark for topic, mark in marks.items() if mark}, AT_ONCE, tx)
                for timer in due:
                    await fire(timer, tx)
            fired += len(due)
            if len(due) < AT_ONCE:
                return fired

    async def set_days(self) -> None:
        """See that every store has its deadlines of the day."""
        infos = await self._stores.every()
        async with self._transactions.begin() as tx:
            known = {(t.store, t.rule) for t in await timers.list_timers([rule.id for rule in DAILY], tx)}
            missing = [(i.store, rule) for i in infos for rule in DAILY if (i.store, rule.id) not in known]
            book = Rulebook(tx)
            await timers.start_timers([await next_daily(store, rule, tx.now, book) for store, rule in missing], tx)


async def next_daily(of: str, rule: Deadline, after: datetime, book: Rulebook) -> Timer:
    """The next deadline of the day after an instant."""
    zone = await book.zone(of)
    terms = await book.terms(rule, of, {})
    hour = (terms.numbers if terms else rule.parameters)["hour"]
    day = day_of(after, zone)
    due = _at_hour(day, hour, zone)
    while due <= after:
        day += DAY
        due = _at_hour(day, hour, zone)
    return Timer(of, rule.id, "", rule.topic, due, {}, {"day": f"{day}", "deadline": f"{due.astimezone(zone):%H:%M}"})


def _at_hour(day: Any, hour: float, zone: Any) -> datetime:
    minutes = min(round(hour * 60), 24 * 60 - 1)
    return at_time(day, time(minutes // 60, minutes % 60), zone)


async def fire(timer: Timer, tx: Transaction) -> None:
    """What a deadline that has passed means."""
    rule, book = RULE[timer.rule], Rulebook(tx)
    assert isinstance(rule, Deadline), "only deadlines have timers"
    if rule.daily:
        await timers.start_timers([await next_daily(timer.store, rule, timer.due_at, book)], tx)
        await _DAILY[rule.id](timer, book, tx)
        return
    if await book.terms(rule, timer.store, timer.about) is None:
        return
    figures = await _figures(timer, tx)
    if figures is not None:
        name = await name_of(timer.store, timer.about, tx)
        await raise_once(Finding(rule, timer.about, figures, timer.due_at, name), timer.store, tx)


async def _figures(timer: Timer, tx: Transaction) -> Mapping[str, Any] | None:
    """The figures of a breach; None where it turns out to be none."""
    if timer.rule == LOCK_INCOMPLETE.id:
        return await lock_figures(timer.store, timer.key, tx)
    return timer.figures


# every day

DailyCheck = Callable[[Timer, Rulebook, Transaction], Awaitable[None]]


async def _check_count(timer: Timer, book: Rulebook, tx: Transaction) -> None:
    """INV-2: no count of today, full or of changes, from the ERP or the warehouse."""
    zone = await book.zone(timer.store)
    start, end = day_bounds(day_of(timer.due_at, zone), zone)
    if await book.terms(COUNT_MISSING, timer.store, {}) is None or not await memory.has_stock(timer.store, tx):
        return
    if not await tallies.list_changes(timer.store, start, end, tx, kinds=["count"]):
        await found(Finding(COUNT_MISSING, {}, timer.figures, timer.due_at), timer.store, tx)


async def _check_report(timer: Timer, book: Rulebook, tx: Transaction) -> None:
    """RPT-1: no complete edition of yesterday's report."""
    zone = await book.zone(timer.store)
    yesterday = day_of(timer.due_at, zone) - DAY
    start, end = day_bounds(yesterday, zone)
    first = await pulses.first_hour(timer.store, tx)
    if await book.terms(REPORT_LATE, timer.store, {}) is None or first is None or first >= end:
        return
    editions = await tallies.list_changes(
        timer.store, start, tx.now + DAY, tx, kinds=["report"], subjects=[f"daily:{yesterday}"]
    )
    if not any(edition.data["complete"] and edition.at <= timer.due_at for edition in editions):
        figures = {**timer.figures, "day": f"{yesterday}"}
        await found(Finding(REPORT_LATE, {}, figures, timer.due_at), timer.store, tx)


async def _check_covers(timer: Timer, book: Rulebook, tx: Transaction) -> None:
    """INV-8: stock that will not last until a delivery can come."""
    since = timer.due_at - timedelta(days=_number(REORDER_DUE, "sales_days"))
    skus = await memory.list_stocked(timer.store, tx)
    units = await tallies.load_counts(timer.store, ["units"], since, timer.due_at, tx)
    present: list[About] = []
    for sku in skus:
        about = {"sku": sku.sku}
        terms = await book.terms(REORDER_DUE, timer.store, about, category=sku.category)
        sold = units.get(("units", sku.sku))
        figures = cover_figures(sku, sold.n if sold else 0, terms.numbers) if terms else None
        if figures:
            present.append(about)
            await raise_once(Finding(REORDER_DUE, about, figures, timer.due_at, sku.title), timer.store, tx)
    await end_absent(timer.store, REORDER_DUE, present, timer.due_at, tx)


def _number(rule: Rule, name: str) -> float:
    return rule.parameters[name]


def cover_figures(sku: Sku, units: int, numbers: Mapping[str, float]) -> dict[str, Any] | None:
    """Days of cover and what to reorder; None where it lasts, or nothing is sold."""
    days = numbers["sales_days"]
    lead = sku.lead_days if sku.lead_days is not None else numbers["lead_days"]
    if units <= 0 or sku.available * days >= units * lead:
        return None
    needed = int(-(-units * lead // days)) + sku.safety - sku.available
    cover = round(sku.available * days / units, 1)
    return {
        "available": sku.available,
        "units": units,
        "cover_days": cover,
        "lead_days": lead,
        "quantity": max(1, needed),
    }


async def _check_movers(timer: Timer, book: Rulebook, tx: Transaction) -> None:
    """INV-9: on hand, and not sold for long."""
    present: list[About] = []
    for sku in await memory.list_stocked(timer.store, tx):
        about = {"sku": sku.sku}
        terms = await book.terms(SLOW_MOVER, timer.store, about, category=sku.category)
        last = max(at for at in (sku.sold_at, sku.stocked_at) if at) if sku.stocked_at else None
        if terms is None or last is None or not sku.on_hand or sku.kind == "service":
            continue
        days = (timer.due_at - last).days
        if days >= terms.numbers["days"]:
            present.append(about)
            figures = {"days": days, "on_hand": sku.on_hand, "sold_at": sku.sold_at and sku.sold_at.isoformat()}
            await raise_once(Finding(SLOW_MOVER, about, figures, timer.due_at, sku.title), timer.store, tx)
    await end_absent(timer.store, SLOW_MOVER, present, timer.due_at, tx)


_DAILY: Final[Mapping[str, DailyCheck]] = {
    COUNT_MISSING.id: _check_count,
    REPORT_LATE.id: _check_report,
    REORDER_DUE.id: _check_covers,
    SLOW_MOVER.id: _check_movers,
}


# events that meet, move or start them


async def take_counts(events: Sequence[Envelope[StockCounted]], tx: Transaction) -> None:
    """A count came in from the ERP or the warehouse: today's stock data is there (INV-2)."""
    brought = [event for event in events if event.data.source == "erp"]
    await tallies.add_changes([Change(e.store, e.time, "count", e.data.warehouse) for e in brought], tx)
    await end_all([Ended(event.store, COUNT_MISSING, {}, event.time) for event in brought], tx)


async def take_report(event: Envelope[ReportPublished], tx: Transaction) -> None:
    """An edition is out: a report is no longer late (RPT-1), a campaign is reviewed (RPT-4)."""
    data = event.data
    note = Change(event.store, event.time, "report", data.report_id, {"complete": data.complete})
    await tallies.add_changes([note], tx)
    if data.report == "daily" and data.complete:
        await end_all([Ended(event.store, REPORT_LATE, {}, event.time)], tx)
    if "review" in data.report:
        moves = Moves(tx)
        moves.stop(event, REVIEW_LATE, {"campaign": data.period})
        await moves.save()


async def move_days(event: Envelope[PolicyChanged], tx: Transaction) -> None:
    """Another hour for what is looked at every day holds from the next time on (D43)."""
    kinds = {rule.id: POLICY_NUMBERS.get(rule.id, ("", ""))[1] for rule in DAILY}
    wanted = [r for r in DAILY if event.data.kind == kinds[r.id] or event.data.policy_id.startswith(f"rule:{r.id}")]
    if wanted:
        book = Rulebook(tx, at=max(tx.now, event.data.valid_from))
        await timers.start_timers([await next_daily(event.store, rule, tx.now, book) for rule in wanted], tx)


REACTIONS = (
    on_batch((StockCounted,), take_counts),
    on(ReportPublished, take_report),
    on(PolicyChanged, move_days),
)
