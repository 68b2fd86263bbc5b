"""`docs/reference/kpis.md`, printed from the catalogue: every measure and figure with its one definition."""

from collections.abc import Iterable
from datetime import timedelta

from services.kpi.kpis import FIGURES, MEASURES, Kept, Kpi, Measure

INTRODUCTION = """\
Each figure has one definition id, a formula and a stated basis; where the trade uses several, all are kept as variants.
Every measure is a figure too: `GET /v1/kpis/gmv`. Ratios are kept as numerator and denominator and rounded half up when
shown; where the denominator is empty the value is null. Distinct measures are exact and never summed: the visitors of a
week are counted as such. Buckets are the store's own hours, days, ISO weeks and months, by the time of the event.

A bucket is complete when the watermarks of all topics that the figure reads have passed its end by 5 minutes. An order
split by channel, source or campaign reads `traffic` too, since an order that names none belongs to its visitor's last
touch that was not direct, within 7 days."""


def page() -> str:
    """The page without its heading."""
    return "\n\n".join(
        [
            INTRODUCTION,
            "## Figures",
            _table(("id", "what", "含义", "formula", "unit", "topics", "kept by", "rule"), map(_figure, FIGURES)),
            "## Measures",
            _table(("id", "what", "含义", "unit", "topics", "kept by"), map(_measure, MEASURES)),
        ]
    )


def _figure(kpi: Kpi) -> list[str]:
    notes = [kpi.note, _maturity(kpi.matures), f"version {kpi.version}" if kpi.version > 1 else ""]
    what = "; ".join([kpi.en, *(note for note in notes if note)])
    kept = _kept(kpi.kept(), kpi.kept(hourly=True))
    return [f"`{kpi.id}`", what, kpi.zh, f"`{kpi.formula}`", kpi.unit.value, ", ".join(kpi.topics()), kept, kpi.rule]


def _measure(measure: Measure) -> list[str]:
    what = f"{measure.en} (distinct)" if measure.distinct and "distinct" not in measure.en else measure.en
    kept = _kept(measure.kept, measure.kept_hourly)
    return [f"`{measure.name}`", what, measure.zh, measure.unit.value, ", ".join(measure.topics), kept]


def _maturity(matures: timedelta) -> str:
    return f"immature until {matures.days} d after the bucket's end" if matures else ""


def _kept(daily: Kept, hourly: Kept) -> str:
    """Combinations of dimensions; those that are kept from the day up only are marked."""
    names = sorted(daily - {()}, key=lambda combination: (len(combination), combination))
    return ", ".join("+".join(name) + ("" if name in hourly else " (from the day up)") for name in names)


def _table(header: tuple[str, ...], rows: Iterable[list[str]]) -> str:
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
