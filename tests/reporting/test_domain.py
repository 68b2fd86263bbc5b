"""The daily report's arithmetic and words: the worked rows of the operating rules, and the empty day."""

import csv
import io
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from services.reporting import exact, texts
from services.reporting.domain import Day, Target, changed_cells, daily_report, measures_behind
from services.reporting.render import SHAPES
from services.reporting.render.csv import harmless
from services.reporting.reports import DAILY

AIM = (Target("conversion.order_uv", Decimal("0.03")),)


def measured(day: date, uv: int, pv: int, orders: int, paid: int, channels: dict[str, int]) -> Day:
    total = {
        "uv": uv,
        "pv": pv,
        "orders_placed": orders,
        "orders_placed_here": orders,
        "orders_paid": orders,
        "paid_amount": paid,
    }
    return Day(day, total, {name: {"uv": n} for name, n in channels.items()}, complete=True)


FIRST = measured(date(2024, 7, 1), 4850, 18200, 120, 1872000, {"natural_search": 2183, "paid": 1455, "direct": 1212})
SECOND = measured(date(2024, 7, 2), 5200, 19500, 165, 2442000, {"natural_search": 1700, "paid": 1976, "social": 1524})


def published(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "store": "demo", "edition": 1, "published_at": "2024-07-02T00:05:10+08:00"}


def test_the_first_worked_row_comes_out_as_the_template_prints_it() -> None:
    row = texts.row_texts(daily_report(DAILY, FIRST, None, AIM)["rows"][0], "zh")
    assert row == {
        "date": "2024-07-01",
        "uv": "4850",
        "pv": "18200",
        "orders": "120",
        "conversion": "2.47%",
        "aov": "156.00",
        "main_source": "自然搜索 45%",
        "notes": "转化率低于目标 0.53 个百分点",
    }


def test_the_second_worked_row_is_above_target_and_says_nothing_of_it() -> None:
    row = texts.row_texts(daily_report(DAILY, SECOND, FIRST, AIM)["rows"][0], "en")
    assert (row["conversion"], row["aov"], row["main_source"], row["notes"]) == ("3.17%", "148.00", "paid 38%", "")


def test_an_empty_day_has_no_conversion_instead_of_zero() -> None:
    empty = Day(date(2024, 7, 3), {"uv": 0, "pv": 0}, {}, complete=True)
    row = daily_report(DAILY, empty, None, AIM)["rows"][0]
    assert (row["uv"], row["orders"], row["conversion"], row["aov_cents"], row["main_source"]) == (
        0,
        0,
        None,
        None,
        None,
    )
    assert texts.row_texts(row, "zh")["conversion"] == "-"


def test_a_day_of_which_nothing_is_known_is_blank_and_names_what_is_missing() -> None:
    content = published(daily_report(DAILY, Day(date(2024, 7, 3), None, missing=("traffic",)), None, AIM))
    assert content["rows"][0]["uv"] is None
    assert "traffic" in SHAPES["html"].render(DAILY, content, "zh").decode()


@pytest.mark.parametrize(
    ("numerator", "denominator", "shown"), [(1, 200, "0.50%"), (1, 8, "12.50%"), (5, 1000000, "0.00%")]
)
def test_percentages_are_rounded_half_up_once(numerator: int, denominator: int, shown: str) -> None:
    assert exact.percent(numerator, denominator) == shown


def test_half_a_hundredth_rounds_up_also_where_floats_would_not() -> None:
    assert exact.percent(20025, 1000000) == "2.00%"
    assert exact.percent(20050, 1000000) == "2.01%"
    assert exact.percent(-20050, 1000000) == "-2.01%"


def test_the_main_source_goes_to_the_first_channel_of_the_list_in_a_tie() -> None:
    tied = measured(date(2024, 7, 1), 10, 10, 0, 0, {"direct": 5, "paid": 5})
    assert daily_report(DAILY, tied, None, ())["rows"][0]["main_source"] == "paid"


def test_only_cells_that_differ_are_changed_cells() -> None:
    late = measured(FIRST.day, 4850, 18200, 119, 1872000, {"natural_search": 2183, "paid": 1455, "direct": 1212})
    changed = changed_cells(daily_report(DAILY, FIRST, None, AIM), daily_report(DAILY, late, None, AIM))
    assert ("rows/0/orders", 120, 119) in [(c.path, c.before, c.after) for c in changed]
    assert not [c for c in changed if c.path in ("rows/0/uv", "rows/0/main_source")]
    assert measures_behind(DAILY, "rows/0/orders") == {"orders_placed"}
    assert measures_behind(DAILY, "sections/sales/aov/value") == {"paid_amount", "orders_paid"}


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_all_shapes_tell_the_same_row(language: texts.Language) -> None:
    content = published(daily_report(DAILY, SECOND, FIRST, AIM))
    expected = list(texts.row_texts(content["rows"][0], language).values())
    rows = list(csv.reader(io.StringIO(SHAPES["csv"].render(DAILY, content, language).decode("utf-8-sig"))))
    assert rows[1] == expected
    page = SHAPES["html"].render(DAILY, content, language).decode()
    assert all(f">{cell}</td>" in page for cell in expected if cell)
    sheet = CalamineWorkbook.from_filelike(
        io.BytesIO(SHAPES["xlsx"].render(DAILY, content, language))
    ).get_sheet_by_index(0)
    assert [5200, 19500, 165, "3.17%", 148.0] in [row[1:6] for row in sheet.to_python()]


def test_no_cell_is_run_as_a_formula() -> None:
    assert harmless("=1+1") == "'=1+1"
    assert harmless("@SUM(A1)") == "'@SUM(A1)"
    assert harmless("-2.01%") == "-2.01%"
    assert harmless("-") == "-"


def test_a_hostile_store_name_stays_text_on_the_page() -> None:
    content = {**published(daily_report(DAILY, SECOND, None, ())), "store": "<script>alert(1)</script>"}
    assert "<script>" not in SHAPES["html"].render(DAILY, content, "en").decode()
