"""Editions: made when a period is measured, when it has changed since, or at the deadline with what there is (D44)."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta

from libs.events.contracts import ChangedCell, ReportPublished
from libs.events.transaction import Transaction, Transactions
from libs.service.stores import StoreInfo, Stores
from services.reporting import store, texts
from services.reporting.domain import Cell, Content, changed_cells, daily_report
from services.reporting.periods import Period, parse_period, period_of
from services.reporting.render import SHAPES
from services.reporting.reports import DAILY, REPORT, Report
from services.reporting.store import DuePeriod, Edition

CONSUMER = "reporting"
DEADLINE = time(9, 0)
"""Store time by which yesterday's report is out, complete or not (RPT-1)."""
BATCH = 20
EVENT_CELLS = 100
"""Changed cells that the event names; the rest is in the edition itself."""
MISSING = ("traffic", "orders")


async def publish_due(transactions: Transactions, stores: Stores) -> None:
    """Make every edition that is due, each batch in one transaction."""
    more = True
    while more:
        async with transactions.begin() as tx:
            due = await store.take_due(BATCH, tx)
            for one in due:
                await publish(one, await stores.get(one.store), tx)
        more = len(due) == BATCH


async def publish_at_deadline(transactions: Transactions, stores: Stores) -> None:
    """At the deadline, publish yesterday's report incomplete where its figures are not all in."""
    for info in await stores.every():
        async with transactions.begin() as tx:
            yesterday = _overdue(info, tx.now)
            first = await store.load_first_day(info.store, tx) if yesterday else None
            if yesterday is None or first is None or first > yesterday.starts_at(info.zone):
                continue
            due = await store.lock_period(info.store, DAILY.id, yesterday.name, tx)
            if due.editions == 0:
                await publish(due, info, tx, reason="deadline")


def _overdue(info: StoreInfo, now: datetime) -> Period | None:
    local = now.astimezone(info.zone)
    return period_of("day", local.date() - timedelta(days=1)) if local.time() >= DEADLINE else None


async def publish(due: DuePeriod, info: StoreInfo, tx: Transaction, *, reason: str | None = None) -> Edition | None:
    """Make the next edition of a (locked) period if it says anything new, and tell of it; None if it does not."""
    report = REPORT[due.report]
    period = parse_period(report.grain, due.period)
    last = await store.load_edition(due.store, due.report, due.period, None, tx)
    content = await compose(report, period, due.store, tx)
    changed = changed_cells(last.content, content) if last else []
    if last and not changed and last.content["complete"] == content["complete"]:
        await store.settle_period(due, due.editions, tx)
        return None
    edition = Edition(
        edition=due.editions + 1,
        published_at=tx.now,
        reason=reason or due.reason,
        changed_cells=len(changed),
        log_position=dict(await store.load_log_position(CONSUMER, tx)),
        content=stamped(content, due.store, due.editions + 1, tx.now.astimezone(info.zone)),
    )
    await store.save_edition(due, edition, _shapes(report, edition.content), tx)
    await store.settle_period(due, edition.edition, tx)
    tx.emit(_published(due, edition, changed), store=due.store)
    return edition


async def compose(report: Report, period: Period, of: str, tx: Transaction) -> Content:
    """The content of a period from what was measured of it and of the one before."""
    today, watermark = await store.load_day(of, period, MISSING, tx)
    before, _ = await store.load_day(of, period.previous(), (), tx)
    targets = await store.load_targets(of, period.first, tx)
    content = daily_report(report, today, before, targets)
    return {**content, "period": period.name, "completeness": _completeness(content, watermark)}


def _completeness(content: Content, watermark: datetime | None) -> Content:
    known = {"topic": "kpi", "watermark": watermark.isoformat() if watermark else None}
    return {"complete": content["complete"], "topics": [known, *({"topic": t} for t in content["missing"])]}


def stamped(content: Content, of: str, edition: int, published_at: datetime | None) -> Content:
    """The content as an edition: whose, which, when."""
    stamp = published_at.isoformat(timespec="seconds") if published_at else None
    return {**content, "store": of, "edition": edition, "published_at": stamp}


def _shapes(report: Report, content: Content) -> Iterator[tuple[str, str, bytes]]:
    for language in texts.LANGUAGES:
        for shape in SHAPES.values():
            yield language, shape.extension, shape.render(report, content, language)


def _published(due: DuePeriod, edition: Edition, changed: list[Cell]) -> ReportPublished:
    return ReportPublished(
        report=due.report,
        period=due.period,
        edition=edition.edition,
        complete=edition.content["complete"],
        missing=tuple(edition.content["missing"]),
        changed_cells=tuple(
            ChangedCell(path=cell.path, **{"from": cell.before}, to=cell.after) for cell in changed[:EVENT_CELLS]
        ),
        changed_cell_count=len(changed),
        log_position={topic: tuple(offsets) for topic, offsets in edition.log_position.items()},
        reason=edition.reason,
    )
