"""Answers are exact, whole and honest: golden cases, empty buckets, shares, currencies, completeness."""

from datetime import date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.service.errors import TooManyPoints, Validation
from services.kpi.answers import (
    SETTLED,
    Known,
    Question,
    Series,
    Value,
    check_dimensions,
    check_points,
    complete,
    half_up,
    kpi_json,
    percent,
    points_json,
    series,
)
from services.kpi.calendar import Bucket, calendar_of
from services.kpi.kpis import KPIS, Kpi, find_kpi

SHANGHAI = calendar_of("Asia/Shanghai")
DAYS = SHANGHAI.buckets("day", date(2024, 7, 1), date(2024, 7, 3))
LATER = DAYS[-1].end + timedelta(days=60)


def kpi(name: str) -> Kpi:
    found = find_kpi(name)
    assert found is not None
    return found


def value(bucket: Bucket, measure: str, number: int, *dimensions: str, currency: str = "") -> Value:
    return Value(bucket.second, dimensions, measure, currency, number)


def answer(name: str, *values: Value, by: tuple[str, ...] = (), wholes: tuple[Value, ...] = ()) -> Series:
    return series(Question(kpi(name), DAYS, by), Known(values, wholes, until=LATER))


def test_120_orders_of_4850_visitors_are_2_47_percent() -> None:
    got = answer("conversion.order_uv", value(DAYS[0], "orders_placed_here", 120), value(DAYS[0], "uv", 4850))
    assert got.points[0].value == 0.024742
    assert percent(120, 4850) == "2.47%"


def test_165_orders_of_5200_visitors_are_3_17_percent() -> None:
    assert half_up(165, 5200) == 0.031731
    assert percent(165, 5200) == "3.17%"


def test_18720_yuan_in_120_orders_are_156_each() -> None:
    day = DAYS[0]
    got = answer("aov", value(day, "paid_amount", 1_872_000, currency="CNY"), value(day, "orders_paid", 120))
    assert got.points[0].value == 15600


def test_a_refund_next_month_lowers_net_sales_on_the_orders_day_and_on_its_own_by_the_other_basis() -> None:
    july, august = SHANGHAI.named("2024-07-01"), SHANGHAI.named("2024-08-05")
    values = [
        value(july, "paid_amount", 10_000, currency="CNY"),
        value(july, "items_amount", 10_000, currency="CNY"),
        value(july, "refund_items_amount_order_day", 3_000, currency="CNY"),
        value(august, "refund_items_amount", 3_000, currency="CNY"),
    ]

    def numerators(name: str) -> list[int]:
        got = series(Question(kpi(name), [july, august]), Known(values, until=LATER))
        return [point.numerator for point in got.points]

    assert numerators("net_sales") == [7_000, 0]
    assert numerators("net_sales.refund_day") == [10_000, -3_000]
    assert numerators("paid_amount") == [10_000, 0]


def test_every_bucket_is_listed_with_zero_counts_and_null_ratios() -> None:
    counts = answer("uv", value(DAYS[1], "uv", 7))
    assert [(point.bucket.key, point.numerator, point.value) for point in counts.points] == [
        ("2024-07-01", 0, 0),
        ("2024-07-02", 7, 7),
        ("2024-07-03", 0, 0),
    ]
    ratios = answer("pv_per_uv", value(DAYS[1], "uv", 7))
    assert [(point.numerator, point.denominator, point.value) for point in ratios.points] == [
        (0, 0, None),
        (0, 7, 0.0),
        (0, 0, None),
    ]


def test_a_count_has_no_denominator() -> None:
    assert answer("uv", value(DAYS[0], "uv", 7)).points[0].denominator is None


def test_each_bucket_lists_every_dimension_value_seen_in_the_range_channels_in_their_order() -> None:
    got = answer("uv", value(DAYS[0], "uv", 3, "social"), value(DAYS[2], "uv", 2, "natural_search"), by=("channel",))
    assert [(point.bucket.key, *point.dimensions, point.numerator) for point in got.points] == [
        ("2024-07-01", "natural_search", 0),
        ("2024-07-01", "social", 3),
        ("2024-07-02", "natural_search", 0),
        ("2024-07-02", "social", 0),
        ("2024-07-03", "natural_search", 2),
        ("2024-07-03", "social", 0),
    ]


def test_a_dimension_value_whose_figures_went_back_to_zero_is_not_listed() -> None:
    assert answer("uv", value(DAYS[0], "uv", 0, "social"), by=("channel",)).points == []


def test_shares_of_channels_are_of_the_whole_and_sum_to_one() -> None:
    day = DAYS[0]
    split = (value(day, "uv", 45, "natural_search"), value(day, "uv", 38, "paid"), value(day, "uv", 17, "direct"))
    got = answer("channel_share", *split, by=("channel",), wholes=(value(day, "uv", 100),))
    shares = [point.value for point in got.points if point.bucket is day]
    assert shares == [0.45, 0.38, 0.17]


def test_currencies_are_never_added_and_the_others_are_named() -> None:
    values = (value(DAYS[0], "gmv", 100, currency="CNY"), value(DAYS[0], "gmv", 999, currency="USD"))
    got = answer("gmv", *values)
    assert (got.points[0].value, got.other_currencies) == (100, ["USD"])
    dollars = series(Question(kpi("gmv"), DAYS, (), "USD"), Known(values, until=LATER))
    assert (dollars.points[0].value, dollars.other_currencies) == (999, ["CNY"])


def test_counts_of_orders_take_every_currency() -> None:
    values = (value(DAYS[0], "orders_paid", 3), value(DAYS[0], "orders_paid", 1, currency="USD"))
    assert answer("orders_paid", *values).points[0].value == 3


def test_an_average_of_amounts_divides_by_the_orders_of_their_currency() -> None:
    values = (
        value(DAYS[0], "paid_amount", 300, currency="CNY"),
        value(DAYS[0], "paid_amount", 50, currency="USD"),
        value(DAYS[0], "orders_paid", 3),
        value(DAYS[0], "orders_paid", 1, currency="USD"),
    )
    yuan = answer("aov", *values)
    assert (yuan.points[0].denominator, yuan.points[0].value, yuan.other_currencies) == (2, 150.0, ["USD"])
    dollars = series(Question(kpi("aov"), DAYS, (), "USD", "CNY"), Known(values, until=LATER))
    assert (dollars.points[0].denominator, dollars.points[0].value) == (1, 50.0)


def test_an_average_by_buyer_divides_by_those_who_paid_in_its_currency() -> None:
    """Two buyers in yuan, one of them in dollars too, and one in dollars alone."""
    values = (
        value(DAYS[0], "paid_amount", 300, currency="CNY"),
        value(DAYS[0], "buyers_paid", 3),
        value(DAYS[0], "buyers_paid", 2, currency="USD"),
        value(DAYS[0], "buyers_paid", 1, currency="XXX"),
    )
    assert answer("aov.buyer", *values).points[0].denominator == 2
    dollars = series(Question(kpi("aov.buyer"), DAYS, (), "USD", "CNY"), Known(values, until=LATER))
    assert (dollars.points[0].denominator, dollars.other_currencies) == (2, ["CNY"])


def test_the_margin_is_over_the_sales_whose_cost_is_known_and_says_their_share() -> None:
    day = DAYS[0]
    got = answer(
        "gross_margin",
        value(day, "items_amount", 20_000, currency="CNY"),
        value(day, "covered_items_amount", 10_000, currency="CNY"),
        value(day, "cost_amount", 6_000, currency="CNY"),
    ).points
    assert (got[0].value, got[0].covered) == (0.4, 0.5)
    assert (got[1].value, got[1].covered) == (None, None)


def test_a_bucket_is_complete_when_the_watermark_is_five_minutes_past_its_end() -> None:
    day = DAYS[0]
    assert complete(day, day.end + SETTLED)
    assert not complete(day, day.end + SETTLED - timedelta(microseconds=1))
    assert not complete(day, None)
    assert not complete(day, LATER, unfinished={day.second})


def test_payment_success_matures_a_day_after_its_bucket() -> None:
    day = DAYS[0]

    def mature(until: datetime) -> bool:
        return series(Question(kpi("payment_success"), [day]), Known([], until=until)).points[0].mature

    assert not mature(day.end + timedelta(hours=23, minutes=59))
    assert mature(day.end + timedelta(hours=24))


def test_unknown_dimensions_are_refused_and_what_is_kept_is_named() -> None:
    with pytest.raises(Validation) as refused:
        check_dimensions(kpi("uv"), ["colour"], hourly=False)
    assert "channel+source" in refused.value.errors[0]["message"]
    with pytest.raises(Validation):
        check_dimensions(kpi("uv"), ["sku"], hourly=True)
    with pytest.raises(Validation):
        check_dimensions(kpi("uv"), ["sku", "device"], hourly=False)


def test_dimensions_are_kept_in_the_order_asked_once_each() -> None:
    assert check_dimensions(kpi("uv"), ["source", "channel", "source"], hourly=False) == ("source", "channel")


def test_a_share_by_channel_is_always_by_channel() -> None:
    assert check_dimensions(kpi("channel_share"), [], hourly=False) == ("channel",)


def test_more_than_50000_points_are_refused() -> None:
    check_points(50_000, 1)
    check_points(50_000, 0)
    with pytest.raises(TooManyPoints):
        check_points(5_001, 10)


def test_a_point_is_shown_in_the_stores_offset() -> None:
    point = answer("uv", value(DAYS[0], "uv", 3, "paid"), by=("channel",)).points[0]
    (shown,) = points_json([point], ["channel"], covered=False)
    assert shown == {
        "bucket": "2024-07-01",
        "start": "2024-07-01T00:00:00+08:00",
        "end": "2024-07-02T00:00:00+08:00",
        "dimensions": {"channel": "paid"},
        "numerator": 3,
        "denominator": None,
        "value": 3,
        "complete": True,
        "mature": True,
    }


def test_every_entry_of_the_catalogue_can_be_shown() -> None:
    shown = [kpi_json(entry) for entry in KPIS]
    conversion = next(entry for entry in shown if entry["id"] == "conversion.order_uv")
    assert conversion["formula"] == "orders_placed_here / uv"
    assert conversion["name"] == {"zh": "订单转化率", "en": "orders per visitor"}


@given(st.integers(-(10**15), 10**15), st.integers(-(10**9), 10**9).filter(bool))
def test_rounding_is_half_away_from_zero_from_the_exact_fraction(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator) * 10**6
    whole = abs(exact) + Fraction(1, 2)
    expected = whole.numerator // whole.denominator * (1 if exact >= 0 else -1)
    assert half_up(numerator, denominator) == expected / 10**6


def test_halves_go_up_as_people_expect() -> None:
    assert half_up(1, 2_000_000) == 0.000001
    assert half_up(-1, 2_000_000) == -0.000001
    assert percent(5, 100_000, 2) == "0.01%"
