"""The arithmetic of alarms: nobody trusts one that fires on four visitors."""

import math
from collections.abc import Sequence


def poisson_at_most(count: int, expected: float) -> float:
    """The probability of `count` or fewer where `expected` would be usual."""
    if expected <= 0:
        return 1.0
    term = log_sum = -expected
    for n in range(1, count + 1):
        term += math.log(expected / n)
        log_sum = _log_add(log_sum, term)
    return min(1.0, math.exp(log_sum))


def poisson_at_least(count: int, expected: float) -> float:
    """The probability of `count` or more where `expected` would be usual."""
    if count <= 0:
        return 1.0
    if expected <= 0:
        return 0.0
    term = log_sum = count * math.log(expected) - expected - math.lgamma(count + 1)
    n = count
    while term > log_sum - _NEGLIGIBLE or n < expected:
        n += 1
        term += math.log(expected / n)
        log_sum = _log_add(log_sum, term)
    return min(1.0, math.exp(log_sum))


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle. Raises IndexError for none."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


_NEGLIGIBLE = 40.0
"""A term this much (in logarithms) below the sum adds nothing that a float could hold."""


def _log_add(a: float, b: float) -> float:
    high, low = max(a, b), min(a, b)
    return high + math.log1p(math.exp(low - high))
