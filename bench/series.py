"""Samples of one contender, and what may be said of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf
from statistics import median


@dataclass(frozen=True, slots=True)
class Series:
    """One figure of one contender, once a round."""

    name: str
    samples: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.samples:
            raise ValueError(f"{self.name} has no samples")

    @property
    def median(self) -> float:
        return median(self.samples)

    @property
    def low(self) -> float:
        return min(self.samples)

    @property
    def high(self) -> float:
        return max(self.samples)


def ratio(ours: Series, other: Series) -> float:
    """How many times the other's figure ours is: the median over the rounds, each of which compares neighbours in time.

    Where one has more rounds than the other, the medians are compared.
    """
    if len(ours.samples) != len(other.samples):
        return _quotient(ours.median, other.median)
    return median(_quotient(a, b) for a, b in zip(ours.samples, other.samples, strict=True))


def _quotient(a: float, b: float) -> float:
    return a / b if b else inf


def quantile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank in values that are sorted already. Raises ValueError when there are none."""
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
