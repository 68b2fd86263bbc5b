"""Intervals and tests against published and independently computed values."""

from math import exp

import pytest

from services.kpi.sampling import nearest_rank
from services.kpi.statistics import Sample, newcombe, split_test, wilson, z_test

FIVE, NINE = [15, 20, 35, 40, 50], [1, 1, 1, 9]
TREATED, CONTROL = Sample(70, 56), Sample(80, 48)


def test_newcombes_own_example() -> None:
    """56/70 less 48/80, method 10 of Newcombe 1998: 0.0524 to 0.3339."""
    low, high = newcombe(CONTROL, TREATED)
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


def test_wilsons_interval_of_81_in_263() -> None:
    low, high = wilson(Sample(263, 81))
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_the_z_test_is_two_sided_and_pooled() -> None:
    assert z_test(CONTROL, TREATED) == pytest.approx(0.00804, abs=2e-5)
    assert z_test(TREATED, CONTROL) == z_test(CONTROL, TREATED)
    assert z_test(Sample(10, 0), Sample(10, 0)) is None


def test_an_uneven_split_is_found() -> None:
    assert split_test([100, 100]) == 1.0
    assert split_test([100, 200]) == pytest.approx(7.76e-9, rel=1e-2)
    assert split_test([30, 30, 60]) == pytest.approx(exp(-7.5))
    assert split_test([40, 50, 60, 70]) == pytest.approx(0.02811, abs=2e-5)
    assert split_test([0, 0]) is None


def test_the_interval_stays_within_what_a_difference_can_be() -> None:
    low, high = newcombe(Sample(1, 1), Sample(1, 0))
    assert -1 <= low <= high <= 1


@pytest.mark.parametrize(
    ("values", "percentile", "wanted"),
    [
        (FIVE, 5, 15),
        (FIVE, 30, 20),
        (FIVE, 40, 20),
        (FIVE, 50, 35),
        (FIVE, 100, 50),
        ([7], 90, 7),
        ([1, 1, 1, 9], 90, 9),
    ],
)
def test_percentiles_are_of_the_nearest_rank(values: list[int], percentile: int, wanted: int) -> None:
    assert nearest_rank({value: values.count(value) for value in values}, percentile) == wanted


def test_nothing_has_no_percentile() -> None:
    assert nearest_rank({}, 50) is None
