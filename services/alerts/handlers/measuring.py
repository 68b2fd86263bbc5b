"""Measured windows are judged: against targets, against what is usual, against each other (ALR-1, 2, 5, 7, 17)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from libs.events.codec import Envelope
from libs.events.consumer import on_batch
from libs.events.contracts import KpiMeasured
from libs.events.transaction import Transaction
from services.alerts import texts, windows
from services.alerts.domain.incidents import Finding, matter_key
from services.alerts.evidence import Case, Item
from services.alerts.handlers.campaigns import judge_campaigns
from services.alerts.handlers.investigating import Window, investigate
from services.alerts.handlers.raising import Ended, end_all, name_of, raise_once
from services.alerts.handlers.silence import was_silent
from services.alerts.handlers.spending import judge_spend
from services.alerts.rulebook import Rulebook
from services.alerts.rules import WINDOWS, Rule, Seen, Verdict, WindowRatio
from services.alerts.rules.figures import MARGIN_WITHOUT_CONVERSION, PAYMENT_STEP_SUSPECTED
from services.alerts.store import incidents, memory
from services.alerts.store.memory import Bucket, Targets
from services.alerts.windows import Known, Spoken, about_key

DIMENSIONS: Final = ("channel", "campaign", "sku")
PARTS: Final = ("device", "source")
"""Kept for evidence, and not judged."""
METRICS: Final = tuple(sorted({rule.metric for rule in WINDOWS}))
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Place:
    """Windows of one thing that end at one hour."""

    store: str
    about: tuple[tuple[str, str], ...]
    end: datetime

    @property
    def dimensions(self) -> dict[str, str]:
        """As alerts are about it."""
        return dict(self.about)

    @property
    def by(self) -> str:
        """The dimension; '' for the store."""
        return self.about[0][0] if self.about else ""


@dataclass(frozen=True, slots=True)
class Bench:
    """What one place is judged with."""

    place: Place
    grains: frozenset[str]
    """the windows that have just been measured"""
    known: Known
    store_known: Known
    zone: tzinfo
    targets: Targets
    book: Rulebook

    def targets_of(self, rule: WindowRatio) -> dict[str, float | None]:
        """Grain -> target; one for a count is of a day, so only 24 hours can be compared with it."""
        start = (self.place.end - HOUR).astimezone(self.zone).date()
        target = self.targets.in_force(self.place.store, rule.metric, self.place.dimensions, start)
        return {grain: target for grain in windows.GRAINS if rule.denominator or grain == "w24"}


async def judge_measured(events: Sequence[Envelope[KpiMeasured]], tx: Transaction) -> None:
    """Keep what was measured, then judge each place whose windows came, in the order of time."""
    told = [event for event in events if _is_read(event.data)]
    await memory.save_measured([_bucket(event) for event in told], tx)
    book = Rulebook(tx)
    targets = await memory.load_targets({event.store for event in told}, METRICS, tx)
    for place, group in _places(told).items():
        tx.cause = group[-1]
        await _judge_place(place, group, targets, book, tx)
    await judge_campaigns(
        [event for event in told if event.data.grain == "w24" and not event.data.dimensions], book, tx
    )
    await judge_spend(_days(told), book, tx)
    tx.cause = None


def _is_read(data: KpiMeasured) -> bool:
    is_window = windows.hours_of(data.grain) is not None or data.grain == "day"
    return is_window and len(data.dimensions) <= 1 and set(data.dimensions) <= {*DIMENSIONS, *PARTS}


def _bucket(event: Envelope[KpiMeasured]) -> Bucket:
    data = event.data
    return Bucket(event.store, about_key(data.dimensions), data.grain, data.end, windows.kept(data.measures))


def _places(told: Iterable[Envelope[KpiMeasured]]) -> dict[Place, list[Envelope[KpiMeasured]]]:
    groups: dict[Place, list[Envelope[KpiMeasured]]] = {}
    for event in told:
        if event.data.grain != "day" and not set(event.data.dimensions) & set(PARTS):
            place = Place(event.store, tuple(event.data.dimensions.items()), event.data.end)
            groups.setdefault(place, []).append(event)
    return dict(sorted(groups.items(), key=lambda item: (item[0].end, item[0].store, item[0].about)))


def _days(told: Iterable[Envelope[KpiMeasured]]) -> set[tuple[str, datetime]]:
    """(store, end) of days of which something was measured just now; a day's campaigns come as its 24 hours."""
    return {(e.store, e.data.end) for e in told if e.data.grain == "day" or "campaign" in e.data.dimensions}


async def _judge_place(
    place: Place, group: Sequence[Envelope[KpiMeasured]], targets: Targets, book: Rulebook, tx: Transaction
) -> None:
    zone = await book.zone(place.store)
    ends = {at for end in (place.end, place.end - HOUR) for at in (end, *_compared(end, zone))}
    about = about_key(place.dimensions)
    rows = await memory.load_measured(place.store, {about, ""}, ends, tx)
    bench = Bench(
        place,
        frozenset(event.data.grain for event in group),
        _of(rows, about),
        _of(rows, ""),
        zone,
        targets,
        book,
    )
    for rule in WINDOWS:
        if place.by in rule.by:
            await _judge_ratio(rule, bench, tx)
    if place.by in ("", "channel", "campaign"):
        await _judge_payments(bench, tx)
    if place.by == "sku":
        await _judge_margin(bench, tx)


def _compared(end: datetime, zone: tzinfo) -> list[datetime]:
    return [*windows.weeks_before(end, zone), *windows.days_before(end, zone)]


def _of(rows: Mapping[tuple[str, str, datetime], Mapping[str, int]], about: str) -> Known:
    return {(grain, end): measures for (name, grain, end), measures in rows.items() if name == about}


# ratios


async def _judge_ratio(rule: WindowRatio, bench: Bench, tx: Transaction) -> None:
    place = bench.place
    terms = await bench.book.terms(rule, place.store, place.dimensions)
    if terms is None:
        return
    judge, targets = windows.judge_ratio(rule, terms.numbers), bench.targets_of(rule)
    spoken = windows.speak(bench.known, place.end, bench.zone, targets, judge)
    if spoken is None or spoken.grain not in bench.grains:
        return
    before = windows.speak(bench.known, place.end - HOUR, bench.zone, targets, judge)
    figures = windows.ratio_figures(rule, spoken, place.end, bench.zone)
    await _settle(rule, bench, spoken, before, figures, tx)


async def _settle(
    rule: Rule, bench: Bench, spoken: Spoken, before: Spoken | None, figures: Mapping[str, Any], tx: Transaction
) -> None:
    """Raise a breach, unless data is missing; end it after the second clear window in a row."""
    place, about = bench.place, bench.place.dimensions
    if spoken.verdict is Verdict.BREACHED:
        start = place.end - timedelta(hours=windows.hours_of(spoken.grain) or 0)
        is_known = await incidents.is_firing(place.store, matter_key(rule, about), rule.id, tx) is not None
        if is_known or await was_silent(place.store, start, place.end, bench.book, tx):
            return
        name = await name_of(place.store, about, tx)
        proof = await _evidence(rule, bench, spoken, start, tx)
        await raise_once(Finding(rule, about, figures, place.end, name, evidence=proof), place.store, tx)
    elif spoken.verdict is Verdict.CLEAR and before is not None and before.verdict is Verdict.CLEAR:
        await end_all([Ended(place.store, rule, about, place.end)], tx)


async def _evidence(rule: Rule, bench: Bench, spoken: Spoken, start: datetime, tx: Transaction) -> tuple[Item, ...]:
    """The four checks, for a conversion that fell (ALR-13)."""
    if not isinstance(rule, WindowRatio) or rule.group != "conversion":
        return ()
    place, measures = bench.place, spoken.seen.measures
    case = Case(rule.expected(measures, rule.level_of(spoken.seen) or 0.0), measures.get(rule.numerator, 0))
    compared = _compared(place.end, bench.zone)
    window = Window(place.store, place.dimensions, spoken.grain, start, place.end, compared)
    return await investigate(case, window, tx)


# payments and margins


async def _judge_payments(bench: Bench, tx: Transaction) -> None:
    rule, place = PAYMENT_STEP_SUSPECTED, bench.place
    terms = await bench.book.terms(rule, place.store, place.dimensions)
    if terms is None:
        return

    def judge(seen: Seen) -> Verdict:
        figures = windows.payment_figures(seen)
        return rule.judge(figures, terms.numbers) if figures else Verdict.TOO_LITTLE

    spoken = windows.speak(bench.known, place.end, bench.zone, {}, judge)
    if spoken is None or spoken.grain not in bench.grains:
        return
    before = windows.speak(bench.known, place.end - HOUR, bench.zone, {}, judge)
    await _settle(rule, bench, spoken, before, _payment_texts(spoken, bench), tx)


def _payment_texts(spoken: Spoken, bench: Bench) -> dict[str, Any]:
    figures = windows.payment_figures(spoken.seen) or {}
    carts, paid = figures["cart_visitors"] / figures["uv"], figures["orders_paid"] / (figures["orders_placed"] or 1)
    return {
        **{name: int(figures[name]) for name in ("uv", "cart_visitors", "orders_placed", "orders_paid")},
        "cart_rate": texts.percent(round(carts, 6)),
        "usual_carts": texts.percent(round(figures["usual_cart_rate"], 6)),
        "payment_rate": texts.percent(round(paid, 6)),
        "usual_payments": texts.percent(round(figures["usual_payment_rate"], 6)),
        "window": windows.window_text(spoken.grain, bench.place.end, bench.zone),
    }


async def _judge_margin(bench: Bench, tx: Transaction) -> None:
    rule, place = MARGIN_WITHOUT_CONVERSION, bench.place
    sku = await memory.load_sku(place.store, place.dimensions["sku"], tx)
    terms = await bench.book.terms(rule, place.store, place.dimensions, category=sku.category)
    now = _margin_figures(sku, bench, place.end)
    if terms is None or now is None or "w24" not in bench.grains:
        return
    verdict, seen = rule.judge(now, terms.numbers), Seen(bench.known["w24", place.end])
    before = _margin_figures(sku, bench, place.end - HOUR)
    earlier = Spoken(rule.judge(before, terms.numbers), "w24", seen) if before else None
    await _settle(rule, bench, Spoken(verdict, "w24", seen), earlier, _margin_texts(now), tx)


def _margin_figures(sku: memory.Sku, bench: Bench, end: datetime) -> dict[str, float] | None:
    """None where price, cost or the store's own window is not known."""
    mine, whole = bench.known.get(("w24", end)), bench.store_known.get(("w24", end))
    if mine is None or whole is None or not sku.price_cents or sku.cost_cents is None:
        return None
    return {
        "margin": (sku.price_cents - sku.cost_cents) / sku.price_cents,
        "orders": float(mine.get("orders_placed_here", 0)),
        "uv": float(mine.get("uv", 0)),
        "store_orders": float(whole.get("orders_placed_here", 0)),
        "store_uv": float(whole.get("uv", 0)),
    }


def _margin_texts(figures: Mapping[str, float]) -> dict[str, Any]:
    return {
        **{name: int(figures[name]) for name in ("orders", "uv", "store_orders", "store_uv")},
        "margin": round(figures["margin"], 6),
        "margin_text": texts.percent(round(figures["margin"], 6)),
        "ratio": texts.percent(round(figures["orders"] / (figures["uv"] or 1), 6)),
        "store_ratio": texts.percent(round(figures["store_orders"] / (figures["store_uv"] or 1), 6)),
    }


REACTIONS = (on_batch((KpiMeasured,), judge_measured),)
