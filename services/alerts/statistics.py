"""The arithmetic of alarms: nobody trusts one that fires on four visitors."""

import math


def poisson_at_most(count: int, expected: float) -> float:
    """The probability of `count` or fewer where `expected` would be usual."""
    if expected <= 0:
        return 1.0
    term = log_sum = -expected
    for n in range(1, count + 1):
        term += math.log(expected / n)
        log_sum = _log_add(log_sum, term)
    return min(1.0, math.exp(log_sum))


def _log_add(a: float, b: float) -> float:
    high, low = max(a, b), min(a, b)
    return high + math.log1p(math.exp(low - high))
