"""Answers to questions about figures, assembled from stored integers: pure, exact, nothing is read or timed here.

Every bucket that was asked for is listed, zeros and nulls included (D32); ratios are rounded half up from the exact
fraction (D34); sums never mix currencies; distinct counts are taken as stored and never added up.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from libs.service.errors import TooManyPoints, Validation, fault
from services.kpi.calendar import Bucket
from services.kpi.figures import ABROAD
from services.kpi.kpis import CHANNELS, MEASURE, Kpi, Sum, Unit
from services.kpi.sampling import nearest_rank

MOST_POINTS = 50_000
"""More points than this are not answered in one call (D32)."""
SETTLED = timedelta(minutes=5)
"""How far a watermark must have passed a bucket's end before the bucket counts as complete (D27)."""

Dimensions = tuple[str, ...]
"""Values in the order of the question's `by`."""


class Value(NamedTuple):
    """One stored figure: the bucket that starts at this second, dimension values, measure, currency ('' for counts)."""

    start: int
    dimensions: Dimensions
    measure: str
    currency: str
    value: int


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked: one figure, over these buckets, split by these dimensions, in one currency."""

    kpi: Kpi
    buckets: Sequence[Bucket]
    by: tuple[str, ...] = ()
    currency: str = "CNY"
    home: str = ""
    """the store's own currency; '' when it is the one asked for"""


@dataclass(frozen=True, slots=True)
class Known:
    """What the platform knows at the moment of the answer.

    `values` are split by the question's dimensions; `wholes` are the same measures split without the figure's
    `total_over`. `until` is the time up to which everything the figure reads is in; `unfinished` are the starts of
    buckets that an open import still fills.
    """

    values: Iterable[Value]
    wholes: Iterable[Value] = ()
    until: datetime | None = None
    unfinished: Collection[int] = field(default_factory=frozenset)


class Point(NamedTuple):
    """One bucket and one combination of dimension values."""

    bucket: Bucket
    dimensions: Dimensions
    numerator: int
    denominator: int | None
    value: int | float | None
    complete: bool
    mature: bool
    covered: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """All points, bucket by bucket, and the currencies that were left out."""

    points: list[Point]
    other_currencies: list[str]


def half_up(numerator: int, denominator: int, decimals: int = 6) -> float | None:
    """The fraction rounded half away from zero from its exact value; None where the denominator is empty."""
    if denominator == 0:
        return None
    negative = (numerator < 0) != (denominator < 0)
    scale: int = 10**decimals
    scaled = (2 * abs(numerator) * scale + abs(denominator)) // (2 * abs(denominator))
    return (-scaled if negative else scaled) / scale


def percent(numerator: int, denominator: int, decimals: int = 2) -> str:
    """A rate as shown to people, such as `2.47%`; `-` where the denominator is empty."""
    rounded = half_up(100 * numerator, denominator, decimals)
    return "-" if rounded is None else f"{rounded:.{decimals}f}%"


def complete(bucket: Bucket, until: datetime | None, unfinished: Collection[int] = frozenset()) -> bool:
    """Whether everything of the bucket is in: the watermark is 5 min past its end and no import still fills it."""
    return until is not None and until >= bucket.end + SETTLED and bucket.second not in unfinished


def check_points(buckets: int, combinations: int) -> None:
    """Refuses an answer of more than 50,000 points."""
    points = buckets * max(1, combinations)
    if points > MOST_POINTS:
        raise TooManyPoints(f"{points} points, at most {MOST_POINTS}: take a shorter range or a coarser grain")


def check_dimensions(kpi: Kpi, by: Sequence[str], hourly: bool) -> tuple[str, ...]:
    """The dimensions to split by, the figure's own added; raises Validation naming what is kept."""
    asked = tuple(dict.fromkeys((*by, *(name for name in kpi.total_over if name not in by))))
    kept = kpi.kept(hourly)
    if tuple(sorted(asked)) not in kept:
        listed = ", ".join(sorted("+".join(names) for names in kept if names)) or "none"
        detail = f"{kpi.id} is not kept by {'+'.join(asked)}{' and hour' if hourly else ''}; kept: {listed}"
        raise Validation(detail, errors=[fault("/by", "not_kept", detail)])
    return asked


def series(question: Question, known: Known) -> Series:
    """Every bucket asked for, with every combination of dimension values seen in the range (D32)."""
    if question.kpi.percentile is not None:
        return _percentiles(question, known)
    cells, others = _cells(known.values, question)
    wholes, _ = _cells(known.wholes, question)
    combinations = _combinations(cells, question)
    check_points(len(question.buckets), len(combinations))
    points: list[Point] = []
    for bucket in question.buckets:
        done = complete(bucket, known.until, known.unfinished)
        mature = done and known.until is not None and known.until >= bucket.end + question.kpi.matures
        start = bucket.second
        points += [_point(question, (bucket, start), each, cells, wholes, (done, mature)) for each in combinations]
    return Series(points, others)


def _percentiles(question: Question, known: Known) -> Series:
    samples = _samples(known.values)
    seen = {dimensions for (_, dimensions), counts in samples.items() if any(counts.values())} if question.by else {()}
    combinations = sorted(seen, key=lambda dimensions: tuple(map(_rank, question.by, dimensions)))
    check_points(len(question.buckets), len(combinations))
    points = [
        _percentile(question, bucket, dimensions, samples.get((bucket.second, dimensions), {}), known)
        for bucket in question.buckets
        for dimensions in combinations
    ]
    return Series(points, [])


def _percentile(
    question: Question, bucket: Bucket, dimensions: Dimensions, counts: Mapping[int, int], known: Known
) -> Point:
    """The numerator is the value, the denominator how many were met (D34)."""
    value = nearest_rank(counts, question.kpi.percentile or 0)
    done = complete(bucket, known.until, known.unfinished)
    return Point(bucket, dimensions, value or 0, sum(counts.values()), value, done, done)


Cells = Mapping[tuple[int, Dimensions], Mapping[str, int]]
Samples = Mapping[tuple[int, Dimensions], Mapping[int, int]]


def _cells(values: Iterable[Value], question: Question) -> tuple[Cells, list[str]]:
    """Values by bucket and dimensions, in the question's currency; and the other currencies that were met."""
    cells: dict[tuple[int, Dimensions], dict[str, int]] = {}
    others: set[str] = set()
    money = question.kpi.money
    for value in values:
        share = _share(value, question) if money else int(not value.currency)
        if money and value.currency not in ("", question.currency, ABROAD):
            others.add(value.currency)
        if share:
            cell = cells.setdefault((value.start, value.dimensions), {})
            cell[value.measure] = cell.get(value.measure, 0) + share * value.value
    return cells, sorted(others)


def _share(value: Value, question: Question) -> int:
    """How a value counts: 1, not at all, or -1 where a count is of a foreign currency's amounts alone.

    Counts are kept over all currencies, and once more under each foreign one: those of the store's own are the rest.
    """
    measure = MEASURE[value.measure]
    if measure.unit is Unit.CENTS:
        return int(value.currency in ("", question.currency))
    if measure.distinct and value.currency not in ("", question.currency):
        return -1 if value.currency == ABROAD and question.home in ("", question.currency) else 0
    if question.home in ("", question.currency):
        return -1 if value.currency else 1
    return int(value.currency == question.currency)


def _samples(values: Iterable[Value]) -> Samples:
    """Distributions by bucket and dimensions: value -> how often it was met."""
    found: dict[tuple[int, Dimensions], dict[int, int]] = {}
    for value in values:
        counts = found.setdefault((value.start, value.dimensions), {})
        met = int(value.currency)
        counts[met] = counts.get(met, 0) + value.value
    return found


def _combinations(cells: Cells, question: Question) -> list[Dimensions]:
    """Dimension values seen in the range, channels in their own order; the total alone when nothing is split."""
    if not question.by:
        return [()]
    starts = {bucket.second for bucket in question.buckets}
    seen = {dimensions for (start, dimensions), cell in cells.items() if start in starts and any(cell.values())}
    return sorted(seen, key=lambda dimensions: tuple(map(_rank, question.by, dimensions)))


def _rank(name: str, value: str) -> tuple[int, str]:
    known = name == "channel" and value in CHANNELS
    return (CHANNELS.index(value) if known else len(CHANNELS), value)


def _point(
    question: Question,
    at: tuple[Bucket, int],
    dimensions: Dimensions,
    cells: Cells,
    wholes: Cells,
    settled: tuple[bool, bool],
) -> Point:
    """`at`: the bucket and its start; `settled`: whether it is complete, and mature."""
    (bucket, start), kpi = at, question.kpi
    values = cells.get((start, dimensions), _NOTHING)
    below = values
    if kpi.total_over:
        rest = tuple(v for name, v in zip(question.by, dimensions, strict=True) if name not in kpi.total_over)
        below = wholes.get((start, rest), _NOTHING)
    numerator = kpi.numerator.of(values)
    denominator = None if kpi.denominator is None else kpi.denominator.of(below)
    return Point(
        bucket,
        dimensions,
        numerator,
        denominator,
        numerator if denominator is None else half_up(numerator, denominator),
        *settled,
        _covered(kpi.coverage, values),
    )


_NOTHING: Final[Mapping[str, int]] = {}


def _covered(coverage: tuple[Sum, Sum] | None, values: Mapping[str, int]) -> float | None:
    return half_up(coverage[0].of(values), coverage[1].of(values)) if coverage else None


def points_json(points: Iterable[Point], by: Sequence[str], covered: bool) -> list[dict[str, object]]:
    """Points as answered, those of a bucket together; instants in the store's offset."""
    shown: list[dict[str, object]] = []
    last: Bucket | None = None
    key = start = end = ""
    for bucket, dimensions, numerator, denominator, value, done, mature, share in points:
        if bucket is not last:
            last, key, start, end = bucket, bucket.key, bucket.start.isoformat(), bucket.end.isoformat()
        point: dict[str, object] = {
            "bucket": key,
            "start": start,
            "end": end,
            "dimensions": dict(zip(by, dimensions, strict=True)),
            "numerator": numerator,
            "denominator": denominator,
            "value": value,
            "complete": done,
            "mature": mature,
        }
        if covered:
            point["covered"] = share
        shown.append(point)
    return shown


def kpi_json(kpi: Kpi) -> dict[str, object]:
    """An entry of the catalogue as answered by `GET /v1/kpis`."""
    return {
        "id": kpi.id,
        "version": kpi.version,
        "name": {"zh": kpi.zh, "en": kpi.en},
        "formula": kpi.formula,
        "unit": kpi.unit.value,
        "dimensions": [list(names) for names in sorted(kpi.kept(), key=lambda names: (len(names), names)) if names],
        "dimensions_hourly": [
            list(names) for names in sorted(kpi.kept(hourly=True), key=lambda names: (len(names), names)) if names
        ],
        "variants": list(kpi.variants),
        "topics": list(kpi.topics()),
        "since": kpi.since or None,
        "matures_after_seconds": int(kpi.matures.total_seconds()),
        "note": kpi.note,
        "rule": kpi.rule,
    }
