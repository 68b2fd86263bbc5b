"""Percentiles of distributions: nearest rank, exact, whatever was merged into them (D34). Pure."""

from collections.abc import Mapping


def nearest_rank(counts: Mapping[int, int], percentile: int) -> int | None:
    """The least value that at least `percentile` of a hundred do not exceed; None where there is no value."""
    whole = sum(counts.values())
    if whole <= 0:
        return None
    rank, passed = -(-percentile * whole // 100), 0
    for value in sorted(counts):
        passed += counts[value]
        if passed >= max(1, rank):
            return value
    return None
