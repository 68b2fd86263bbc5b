"""The catalogue holds together: every id once, every formula readable, both languages, every measure a figure."""

import pytest

from services.kpi.kpis import CHANNELS, FIGURES, KPIS, MEASURE, MEASURES, Sum, Unit, find_kpi

BASE_MEASURES = [
    "pv",
    "uv",
    "sessions",
    "bounces",
    "cart_adds",
    "cart_visitors",
    "favorites",
    "favorite_visitors",
    "fav_or_cart_visitors",
    "checkout_visitors",
    "orders_placed",
    "orders_paid",
    "buyers_paid",
    "units_paid",
    "gmv",
    "paid_amount",
    "items_amount",
    "cost_amount",
    "payments_tried",
    "payments_succeeded",
    "orders_cancelled",
    "refund_amount",
    "refunds",
    "returns_requested",
    "orders_returned",
    "disputes",
    "orders_shipped",
    "orders_shipped_on_time",
    "orders_due_to_ship",
    "orders_delivered",
    "delivery_seconds",
    "freight_amount",
    "first_orders",
]
FIGURES_OF_THIS_STEP = [
    "uv",
    "pv",
    "pv_per_uv",
    "channel_share",
    "conversion.order_uv",
    "conversion.buyer_uv",
    "conversion.session",
    "cart_rate",
    "payment_success",
    "payment_success.attempts",
    "bounce_rate",
    "aov",
    "aov.buyer",
    "aov.returning",
    "net_sales",
    "net_sales.refund_day",
    "gross_margin",
    "new_customer_share",
    "returning_share",
    "refund_rate",
]


@pytest.mark.parametrize("name", [*BASE_MEASURES, *FIGURES_OF_THIS_STEP])
def test_every_base_measure_and_figure_is_an_id(name: str) -> None:
    assert find_kpi(name) is not None


def test_every_id_and_version_is_there_once() -> None:
    names = [(kpi.id, kpi.version) for kpi in KPIS]
    assert len(names) == len(set(names))


def test_every_entry_speaks_both_languages() -> None:
    for kpi in KPIS:
        assert kpi.en, kpi.id
        assert not kpi.zh.isascii(), kpi.id


def test_every_figure_keeps_at_least_the_stores_total_at_every_grain() -> None:
    for kpi in KPIS:
        assert () in kpi.kept(), kpi.id
        by_the_day = any(not MEASURE[name].kept_hourly for name in kpi.measures)
        assert by_the_day or () in kpi.kept(hourly=True), kpi.id


def test_kept_combinations_are_sorted_by_name() -> None:
    for measure in MEASURES:
        for names in measure.kept | measure.kept_hourly:
            assert tuple(sorted(names)) == names


def test_a_formula_reads_back_as_it_was_written() -> None:
    assert str(Sum.parse("items_amount - refund_items_amount + gmv")) == "items_amount - refund_items_amount + gmv"


def test_a_formula_of_an_unknown_measure_is_refused() -> None:
    with pytest.raises(KeyError):
        Sum.parse("pv - nonsense")


def test_a_sum_takes_missing_measures_as_zero() -> None:
    assert Sum.parse("items_amount - refund_items_amount").of({"refund_items_amount": 30}) == -30


def test_variants_name_each_other() -> None:
    kpi = find_kpi("conversion.order_uv")
    assert kpi is not None
    assert kpi.variants == ("conversion.buyer_uv", "conversion.session")


def test_an_unknown_id_or_version_is_no_figure() -> None:
    assert find_kpi("nonsense") is None
    assert find_kpi("uv", version=99) is None
    assert find_kpi("uv", version=1) is find_kpi("uv")


def test_conversion_reads_traffic_and_orders() -> None:
    kpi = find_kpi("conversion.order_uv")
    assert kpi is not None
    assert kpi.topics() == ("orders", "traffic")


def test_orders_by_channel_wait_for_traffic_too() -> None:
    kpi = find_kpi("gmv")
    assert kpi is not None
    assert kpi.topics() == ("orders",)
    assert kpi.topics(["channel"]) == ("orders", "traffic")


def test_distinct_visitors_by_sku_are_kept_from_the_day_up_only() -> None:
    uv = find_kpi("uv")
    assert uv is not None
    assert ("sku",) in uv.kept()
    assert ("sku",) not in uv.kept(hourly=True)


def test_amounts_are_in_cents_and_ratios_have_a_denominator() -> None:
    for kpi in FIGURES:
        assert kpi.denominator is not None or kpi.percentile is not None or kpi.unit is Unit.CENTS, kpi.id
    assert MEASURE["gmv"].unit is Unit.CENTS


def test_the_channels_settle_ties_in_this_order() -> None:
    assert CHANNELS[0] == "natural_search"
    assert len(CHANNELS) == 6
