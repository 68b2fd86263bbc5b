"""From a question to its answer: what must be read, in one read-only transaction, and what the series shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.events.transaction import Transaction
from services.kpi import questions
from services.kpi.answers import Known, Question, Series, Value, check_points, series
from services.kpi.asking import Days
from services.kpi.calendar import Bucket, Calendar
from services.kpi.completeness import Completeness, Progress
from services.kpi.kpis import ATTRIBUTED, MEASURE, Kpi
from services.kpi.on_demand import Place, count_on_demand, refuse_past
from services.kpi.questions import Span
from services.kpi.store import Wanted, read_figures

EXCLUDED = ("excluded_bots", "excluded_staff")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with everything it needs read from the query."""

    kpi: Kpi
    store: str
    calendar: Calendar
    days: Days
    grain: str
    by: tuple[str, ...]
    currency: str
    buckets: Sequence[Bucket]
    as_of: datetime | None = None
    home: str = ""
    """the store's own currency"""

    @property
    def span(self) -> Span:
        """The buckets in seconds."""
        return Span(self.store, self.grain, self.buckets[0].second, self.buckets[-1].second)

    def wanted(self, measures: Sequence[str], by: tuple[str, ...]) -> Wanted:
        """These measures over the question's buckets."""
        return Wanted(self.store, self.buckets, measures, by, self.as_of)


@dataclass(frozen=True, slots=True)
class Answered:
    """A question's series with what is known about it."""

    series: Series
    excluded: dict[str, int]
    completeness: Completeness

    @property
    def complete(self) -> bool:
        """Whether every bucket shown is complete."""
        return all(point.complete for point in self.series.points)


async def answer(asked: Asked, progress: Progress, tx: Transaction) -> Answered:
    """Read what the question needs and put the series together."""
    topics = asked.kpi.topics(asked.by)
    state = await progress.load(asked.store, topics, tx.session, before=asked.as_of)
    if asked.as_of is not None:
        state = state.at(asked.as_of)
    question = Question(asked.kpi, asked.buckets, asked.by, asked.currency, asked.home)
    if not asked.buckets:
        return Answered(Series([], []), {"bots": 0, "staff": 0}, state)
    check_points(len(asked.buckets), await _combinations(asked, tx))
    known = await _known(asked, state, tx)
    return Answered(series(question, known), await _excluded(asked, tx), state)


async def _combinations(asked: Asked, tx: Transaction) -> int:
    return await questions.count_values(asked.span, asked.by, tx.session) if asked.by else 1


async def _known(asked: Asked, state: Completeness, tx: Transaction) -> Known:
    kpi = asked.kpi
    values = [*await _kept(asked, tx), *await _attributed(asked, tx), *await _counted(asked, state, tx)]
    wholes: list[Value] = []
    if kpi.total_over and kpi.denominator is not None:
        rest = tuple(name for name in asked.by if name not in kpi.total_over)
        wholes = await read_figures(tx.session, asked.wanted(kpi.denominator.measures, rest))
    return Known(values, wholes, state.until(), await _unfinished(asked, tx))


async def _kept(asked: Asked, tx: Transaction) -> list[Value]:
    """What lies in the buckets."""
    names = [name for name in asked.kpi.measures if not (MEASURE[name].of or MEASURE[name].counted_when_asked)]
    return await read_figures(tx.session, asked.wanted(names, asked.by)) if names else []


async def _attributed(asked: Asked, tx: Transaction) -> list[Value]:
    """Orders of the channels that are named; where none is, of those that have ad spend in the range (D69)."""
    names = {MEASURE[name].of: name for name in asked.kpi.measures if MEASURE[name].of}
    if not names:
        return []
    if ATTRIBUTED & set(asked.by):
        values = await read_figures(tx.session, asked.wanted(list(names), asked.by))
        return [value._replace(measure=names[value.measure]) for value in values]
    spends = await read_figures(tx.session, asked.wanted(["ad_spend"], ("channel",)))
    paid_for = {value.dimensions[0] for value in spends if value.value}
    values = await read_figures(tx.session, asked.wanted(list(names), (*asked.by, "channel")))
    return [
        value._replace(measure=names[value.measure], dimensions=value.dimensions[:-1])
        for value in values
        if value.dimensions[-1] in paid_for
    ]


async def _counted(asked: Asked, state: Completeness, tx: Transaction) -> list[Value]:
    """What is worked out now."""
    names = [name for name in asked.kpi.measures if MEASURE[name].counted_when_asked]
    if not names:
        return []
    refuse_past(names, asked.as_of)
    place = Place(asked.calendar, asked.home or asked.currency, asked.buckets, asked.by, state.now)
    return await count_on_demand(names, place, tx)


async def _unfinished(asked: Asked, tx: Transaction) -> set[int]:
    """Starts of buckets that an import still fills; for the past, of those that had not been measured by then."""
    if asked.as_of is None:
        return await questions.filling(asked.span, tx.session)
    measured = await questions.measured_by(asked.span, asked.as_of, tx.session)
    return {bucket.second for bucket in asked.buckets} - measured


async def _excluded(asked: Asked, tx: Transaction) -> dict[str, int]:
    """Events of bots and of staff that were left out of the range."""
    values = await read_figures(tx.session, asked.wanted(EXCLUDED, ()))
    bots, staff = (sum(value.value for value in values if value.measure == name) for name in EXCLUDED)
    return {"bots": bots, "staff": staff}
