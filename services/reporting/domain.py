"""What a report says: pure functions from measures to content, and from two contents to what changed between them.

Content is neutral: numbers, codes and ids. Words and number formats come from `texts.py` when it is shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from services.reporting import exact
from services.reporting.reports import CHANNELS, CONVERSION, Figure, Report, Section, Shown

Measures = Mapping[str, int]
Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Day:
    """What is known of one store's day: its measures in total and by channel, and how complete they are."""

    day: date
    total: Measures | None
    channels: Mapping[str, Measures] = field(default_factory=dict)
    complete: bool = False
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A store-wide target that is in force on the day (KPI-9)."""

    metric: str
    value: Decimal


def daily_report(report: Report, today: Day, before: Day | None, targets: Sequence[Target]) -> Content:
    """The content of template 3 for one day, with the figures behind it, their targets and the day before (RPT-1)."""
    aims = {target.metric: target.value for target in targets}
    return {
        "report": report.id,
        "period": today.day.isoformat(),
        "complete": today.complete,
        "missing": list(today.missing),
        "rows": [_row(today, aims)],
        "sections": [_section(section, today, before, aims) for section in report.sections],
    }


def _row(today: Day, aims: Mapping[str, Decimal]) -> Content:
    total = today.total
    if total is None:
        empty = dict.fromkeys(("uv", "pv", "orders", "conversion", "aov_cents", "main_source", "main_source_share"))
        return {"date": today.day.isoformat(), **empty, "exact": {}, "notes": []}
    source, share = main_source(today.channels, total.get("uv", 0))
    return {
        "date": today.day.isoformat(),
        "uv": total.get("uv", 0),
        "pv": total.get("pv", 0),
        "orders": total.get("orders_placed", 0),
        "conversion": figure_value(CONVERSION, total),
        "aov_cents": exact.cents(total.get("paid_amount", 0), total.get("orders_paid", 0)),
        "main_source": source,
        "main_source_share": share,
        "exact": {
            "conversion": list(_fraction(CONVERSION, total)),
            "main_source_share": [today.channels[source].get("uv", 0), total.get("uv", 0)] if source else [0, 0],
        },
        "notes": _notes(total, aims),
    }


def main_source(channels: Mapping[str, Measures], uv: int) -> tuple[str | None, float | None]:
    """The channel with the most visitors and its share; ties go by the order of the channel list (D39)."""
    known = [channel for channel in CHANNELS if channels.get(channel, {}).get("uv", 0) > 0]
    if not known or not uv:
        return None, None
    main = max(known, key=lambda channel: channels[channel]["uv"])
    return main, exact.ratio(channels[main]["uv"], uv)


def _notes(total: Measures, aims: Mapping[str, Decimal]) -> list[Content]:
    aim = aims.get(CONVERSION.kpi)
    if aim is None:
        return []
    gap = exact.points(*_fraction(CONVERSION, total), aim)
    if gap is None or gap >= 0:
        return []
    return [{"code": "conversion_below_target", "points": str(-gap)}]


def _section(section: Section, today: Day, before: Day | None, aims: Mapping[str, Decimal]) -> Content:
    return {
        "id": section.id,
        "figures": [_line(figure, today.total, before.total if before else None, aims) for figure in section.figures],
    }


def _line(figure: Figure, now: Measures | None, before: Measures | None, aims: Mapping[str, Decimal]) -> Content:
    value = None if now is None else figure_value(figure, now)
    previous = None if before is None else figure_value(figure, before)
    return {
        "kpi": figure.kpi,
        "value": value,
        "target": float(aims[figure.kpi]) if figure.kpi in aims else None,
        "previous": previous,
        "change": _change(value, previous),
    }


def figure_value(figure: Figure, measures: Measures) -> int | float | None:
    """A figure of these measures: a whole number (amounts in minor units), or a ratio with six decimals."""
    top, bottom = _fraction(figure, measures)
    if figure.denominator is None:
        return top
    return exact.cents(top, bottom) if figure.shown is Shown.AVERAGE else exact.ratio(top, bottom)


def _fraction(figure: Figure, measures: Measures) -> tuple[int, int]:
    top = sum(measures.get(name, 0) for name in figure.numerator) - sum(measures.get(name, 0) for name in figure.minus)
    return top, measures.get(figure.denominator, 0) if figure.denominator else 1


def _change(value: float | None, previous: float | None) -> float | None:
    """Relative change against the period before; None where there is nothing to compare with."""
    if value is None or not previous:
        return None
    now, then = Decimal(str(value)), Decimal(str(previous))
    return float(round((now - then) / abs(then), exact.RATIO_DECIMALS))


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a report that two editions say differently."""

    path: str
    before: Any
    after: Any


def changed_cells(before: Content, after: Content) -> list[Cell]:
    """Every cell that differs, in the order of the report; what only dates an edition is no cell."""
    old, new = dict(cells(before)), dict(cells(after))
    paths = dict.fromkeys([*old, *new])
    return [Cell(path, old.get(path), new.get(path)) for path in paths if old.get(path) != new.get(path)]


def cells(content: Content) -> Iterable[tuple[str, Any]]:
    """(path, value) of every cell: those of the rows, and the values of the sections by KPI id."""
    for n, row in enumerate(content["rows"]):
        for name, value in row.items():
            if name not in ("exact", "text"):
                yield f"rows/{n}/{name}", value
    for section in content["sections"]:
        for figure in section["figures"]:
            for name in ("value", "target", "previous"):
                yield f"sections/{section['id']}/{figure['kpi']}/{name}", figure[name]


MEASURES_OF_CELL: Mapping[str, tuple[str, ...]] = {
    "uv": ("uv",),
    "pv": ("pv",),
    "orders": ("orders_placed",),
    "conversion": ("orders_placed_here", "uv"),
    "aov_cents": ("paid_amount", "orders_paid"),
    "main_source": ("uv",),
    "main_source_share": ("uv",),
    "notes": ("orders_placed_here", "uv"),
}


def measures_behind(report: Report, path: str) -> frozenset[str]:
    """The measures that a cell is made of, to find the corrections that changed it."""
    parts = path.split("/")
    if parts[0] == "rows":
        return frozenset(MEASURES_OF_CELL.get(parts[2], ()))
    figures = {f.kpi: f for section in report.sections for f in section.figures}
    figure = figures.get(parts[2])
    if figure is None:
        return frozenset()
    return frozenset((*figure.numerator, *figure.minus, *([figure.denominator] if figure.denominator else [])))
