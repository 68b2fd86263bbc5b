"""The table for the terminal and the page."""

from pathlib import Path

import pytest

from bench.claims import Claim, Outcome
from bench.goals import ECHO, GOALS
from bench.page import BEGIN, END, body, filled, verdicts_of
from bench.results import Measured, load, merged, save
from bench.series import Series
from bench.table import COLUMNS, markdown_table, number, rows_of, text_table

MACHINE = {"processor": "P", "cores": 2, "memory_gib": 8.0, "system": "Linux 6", "python": "3.11.7"}


def claim(rate: float = 4_000.0) -> Claim:
    beside = (Series(ECHO, (8_000.0,)), Series("another", (2_000.0,)))
    return Claim("64 clients", "answers/s", Series("opswire", (rate,)), beside, ("reserve.rate", "reserve.echo"))


def measured(name: str = "reserve", *claims: Claim) -> Measured:
    outcome = Outcome(claims or (claim(),), ("a note",), ("Medusa: not on PyPI",))
    return Measured(name, name.title(), outcome, 12.5, 0.25, "2026-01-01T00:00:00+00:00", "abc1234")


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (0.034, "0.03"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_three_digits_that_matter(value: float, shown: str) -> None:
    assert number(value) == shown


def test_each_peer_has_a_row_with_its_ratio_and_the_goal_about_it() -> None:
    first, second = rows_of(claim())
    assert first[2:5] == (ECHO, "8,000 answers/s", "0.50x")
    assert first[5] == "NOT MET: at least 8,000 answers/s at 64 clients; met: at least 0.4x the raw ASGI echo"
    assert second == ("", "", "another", "2,000 answers/s", "2.00x", "")


def test_who_is_measured_is_named_where_it_is_not_the_platform_itself() -> None:
    ((what, *_),) = rows_of(Claim("page view", "events/s", Series("lean struct", (1.0,))))
    assert what == "page view: lean struct"


def test_columns_line_up() -> None:
    lines = text_table(COLUMNS, rows_of(claim())).splitlines()
    assert lines[0].index("beside it") == lines[2].index(ECHO) == lines[3].index("another")


def test_a_cell_cannot_break_a_table_of_the_page() -> None:
    assert markdown_table(("a",), [("x|y\nz",)]).splitlines()[-1] == "| x\\|y z |"


def test_results_are_put_between_the_markers_and_nothing_else_changes() -> None:
    assert filled(f"before\n{BEGIN}\nold\n{END}\nafter", "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter"
    with pytest.raises(ValueError, match="markers"):
        filled("no markers", "new")


def test_the_page_lists_every_goal_and_hides_none_that_is_missed() -> None:
    text = body([measured()], MACHINE)
    assert all(goal.text in text for goal in GOALS)
    assert "| 4,000 | **not met** |" in text
    assert f"1 met, 1 not met, {len(GOALS) - 2} not measured here." in text
    assert "not run: Medusa: not on PyPI" in text


def test_a_goal_that_several_claims_carry_counts_as_its_worst() -> None:
    entries = [measured("a", claim(9_000.0)), measured("b", claim(100.0)), measured("c", claim(10_000.0))]
    verdict = verdicts_of(entries)["reserve.rate"]
    assert (verdict.figure, verdict.met) == (100.0, False)


def test_a_run_of_one_measurement_keeps_the_others() -> None:
    old, new = measured("decode"), measured("reserve", claim(1.0))
    assert merged([measured("reserve"), old, measured("gone")], [new], ["decode", "reserve"]) == [old, new]


def test_what_was_measured_reads_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert load(path) == []
    save([measured()], path)
    assert load(path) == [measured()]
