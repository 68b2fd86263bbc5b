"""Claims against goals, and what is kept of them."""

import json

import pytest

from bench.claims import Claim, claim_of, from_json, to_json
from bench.goals import ECHO, GOALS, at_least, at_most, goal
from bench.series import Series


def reserve(per_second: float, echo: float) -> Claim:
    return Claim(
        "one hot SKU, 64 clients", "answers/s", Series("opswire", (per_second,)), (Series(ECHO, (echo,)),),
        ("reserve.rate", "reserve.echo"), "a note",
    )  # fmt: skip


def test_a_goal_without_a_peer_is_held_against_the_median() -> None:
    rate, echo = reserve(8_000, 10_000).verdicts()
    assert (rate.figure, rate.met) == (8_000, True)
    assert (echo.figure, echo.met) == (0.8, True)


def test_a_goal_that_is_missed_says_so_with_its_figure() -> None:
    rate, echo = reserve(3_000, 10_000).verdicts()
    assert (rate.figure, rate.met) == (3_000, False)
    assert (echo.figure, echo.met) == (0.3, False)


def test_less_is_better_where_the_goal_is_a_wait() -> None:
    wait, rate = at_most("w", "p", "t", 50), at_least("r", "p", "t", 50)
    assert [one.is_met_by(49) for one in (wait, rate)] == [True, False]
    assert [one.is_met_by(50) for one in (wait, rate)] == [True, True]


def test_a_goal_against_somebody_who_did_not_run_is_an_error_and_not_met_by_chance() -> None:
    claim = Claim("n", "answers/s", Series("opswire", (1.0,)), (), ("reserve.echo",))
    with pytest.raises(KeyError, match="was not measured"):
        claim.verdicts()


def test_the_first_contender_is_ours_and_those_without_the_figure_stay_out() -> None:
    rounds = {"ours": [{"a": 1.0, "b": 2.0}], "peer": [{"a": 3.0}], "other": [{"b": 4.0}]}
    claim = claim_of("n", "u", "a", rounds)
    assert (claim.ours.name, [series.name for series in claim.beside]) == ("ours", ["peer"])


def test_what_is_kept_reads_back_the_same() -> None:
    claim = reserve(8_123.25, 20_000.5)
    assert from_json(json.loads(json.dumps(to_json(claim)))) == claim


def test_goal_ids_are_unique_and_every_goal_can_be_judged_or_says_why_not() -> None:
    assert len({one.id for one in GOALS}) == len(GOALS)
    assert all(bool(one.bound) != bool(one.unmeasured) for one in GOALS)
    assert goal("reserve.echo").against == ECHO
