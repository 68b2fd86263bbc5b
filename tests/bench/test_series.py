"""Medians, ratios and ranks."""

import pytest

from bench.series import Series, quantile, ratio


def test_the_median_of_the_rounds_is_what_is_quoted() -> None:
    series = Series("ours", (5.0, 1.0, 3.0, 100.0, 4.0))
    assert (series.median, series.low, series.high) == (4.0, 1.0, 100.0)


def test_a_series_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="ours has no samples"):
        Series("ours", ())


def test_a_ratio_compares_rounds_that_were_neighbours_in_time() -> None:
    """The machine slowed down by ten in the second half: the ratio does not move, a quotient of sums would."""
    ours = Series("ours", (200.0, 200.0, 20.0, 20.0, 20.0))
    theirs = Series("theirs", (100.0, 100.0, 10.0, 10.0, 10.0))
    assert ratio(ours, theirs) == 2.0


def test_a_ratio_of_unequal_rounds_is_that_of_the_medians() -> None:
    assert ratio(Series("ours", (4.0, 6.0, 8.0)), Series("theirs", (2.0, 4.0))) == 2.0


def test_a_ratio_to_nothing_is_endless() -> None:
    assert ratio(Series("ours", (1.0,)), Series("theirs", (0.0,))) == float("inf")


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)])
def test_quantiles_are_of_the_nearest_rank(share: float, expected: float) -> None:
    assert quantile([float(n) for n in range(1, 101)], share) == expected


def test_there_is_no_quantile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)
