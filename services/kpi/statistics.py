"""Two proportions against each other: interval, test, and whether the split is what it should be (KPI-8). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, exp, pi, sqrt

Z95 = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""
MISMATCH = 0.001
"""A split less probable than this is no chance: sample ratio mismatch."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Visitors, and those of them who converted."""

    visitors: int
    converted: int

    @property
    def rate(self) -> float:
        return self.converted / self.visitors


def wilson(sample: Sample, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a proportion."""
    n, p = sample.visitors, sample.rate
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half


def newcombe(one: Sample, other: Sample) -> tuple[float, float]:
    """95 % interval of `other`'s rate less `one`'s: Newcombe's hybrid of two score intervals."""
    (low1, high1), (low2, high2) = wilson(one), wilson(other)
    difference = other.rate - one.rate
    low = difference - sqrt((other.rate - low2) ** 2 + (high1 - one.rate) ** 2)
    high = difference + sqrt((high2 - other.rate) ** 2 + (one.rate - low1) ** 2)
    return max(-1.0, low), min(1.0, high)


def z_test(one: Sample, other: Sample) -> float | None:
    """Two-sided p value of the pooled two-proportion z test; None where nobody or everybody converted."""
    pooled = (one.converted + other.converted) / (one.visitors + other.visitors)
    spread = pooled * (1 - pooled) * (1 / one.visitors + 1 / other.visitors)
    if spread <= 0:
        return None
    return erfc(abs(other.rate - one.rate) / sqrt(spread) / sqrt(2))


def split_test(visitors: Sequence[int]) -> float | None:
    """p value of a chi-square test that visitors are split evenly; None without visitors or with one variant."""
    whole, count = sum(visitors), len(visitors)
    if whole == 0 or count < 2:
        return None
    expected = whole / count
    return _chi_square_tail(sum((n - expected) ** 2 / expected for n in visitors), count - 1)


def _chi_square_tail(x: float, degrees: int) -> float:
    """The probability of more than x with so many degrees of freedom."""
    if degrees % 2:
        tail, term = erfc(sqrt(x / 2)), sqrt(2 * x / pi) * exp(-x / 2)
        steps = range(3, degrees + 1, 2)
    else:
        tail = term = exp(-x / 2)
        term *= x / 2
        steps = range(4, degrees + 1, 2)
    for step in steps:
        tail += term
        term *= x / step
    return min(1.0, max(0.0, tail))
