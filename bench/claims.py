"""What a measurement claims: our figure, the figures beside it, and the goals it is held against."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.goals import Goal, goal
from bench.series import Series, ratio


@dataclass(frozen=True, slots=True)
class Claim:
    """One line of the results: `ours` against peers and limits, in `unit`."""

    name: str
    unit: str
    ours: Series
    beside: tuple[Series, ...] = ()
    goals: tuple[str, ...] = ()
    note: str = ""

    def ratio_to(self, name: str) -> float:
        """Our figure as a multiple of another's. Raises KeyError for one who is not beside us."""
        return ratio(self.ours, self._find(name))

    def verdicts(self) -> "list[Verdict]":
        """What became of each goal."""
        return [self._verdict(goal(wanted)) for wanted in self.goals]

    def _verdict(self, wanted: Goal) -> "Verdict":
        figure = self.ours.median if wanted.against is None else self.ratio_to(wanted.against)
        return Verdict(wanted, figure, wanted.is_met_by(figure))

    def _find(self, name: str) -> Series:
        for series in self.beside:
            if series.name == name:
                return series
        raise KeyError(f"{self.name}: {name} was not measured")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal, the figure that was measured, and whether it is met."""

    goal: Goal
    figure: float
    met: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one measurement found. `missing`: peers that could not run, and why."""

    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def claim_of(
    name: str,
    unit: str,
    figure: str,
    rounds: Mapping[str, Sequence[Mapping[str, float]]],
    *,
    goals: Iterable[str] = (),
    note: str = "",
) -> Claim:
    """The claim about one `figure` of interleaved rounds; the first contender is ours. Those without it stay out."""
    series = [
        Series(contender, tuple(sample[figure] for sample in samples))
        for contender, samples in rounds.items()
        if samples and all(figure in sample for sample in samples)
    ]
    return Claim(name, unit, series[0], tuple(series[1:]), tuple(goals), note)


def to_json(claim: Claim) -> dict[str, Any]:
    """The claim as it is kept, verdicts with it."""
    return {
        "name": claim.name,
        "unit": claim.unit,
        "ours": _series_json(claim.ours),
        "beside": [
            {**_series_json(series), "ratio": round(claim.ratio_to(series.name), 4)} for series in claim.beside
        ],
        "goals": [
            {"id": v.goal.id, "figure": round(v.figure, 4), "met": v.met} for v in claim.verdicts()
        ],
        "note": claim.note,
    }  # fmt: skip


def _series_json(series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "median": round(series.median, 4),
        "samples": [round(sample, 4) for sample in series.samples],
    }


def from_json(kept: Mapping[str, Any]) -> Claim:
    """The claim that was kept; its verdicts are found anew, so a changed goal shows at once."""
    return Claim(
        kept["name"],
        kept["unit"],
        _series(kept["ours"]),
        tuple(_series(series) for series in kept["beside"]),
        tuple(verdict["id"] for verdict in kept["goals"]),
        kept["note"],
    )


def _series(kept: Mapping[str, Any]) -> Series:
    return Series(kept["name"], tuple(kept["samples"]))
