"""Sums of an order (D11)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.service.errors import Validation
from services.orders.domain import money
from services.orders.domain.state import Line


def test_items_are_quantities_at_prices_less_line_discounts() -> None:
    assert money.items_cents([Line("A", 2, 7_800, 100), Line("B", 1, 50)]) == 15_550


def test_the_total_adds_shipping_and_takes_the_order_discount() -> None:
    assert money.total_cents(15_600, 600, 1_000) == 16_000


def test_the_largest_remainder_gets_the_last_cent_and_ties_go_to_the_earlier_line() -> None:
    assert money.spread(100, [1, 1, 1]) == (34, 33, 33)
    assert money.spread(10, [1, 2, 3]) == (2, 3, 5)
    assert money.spread(5, [0, 0]) == (5, 0)
    assert money.spread(0, []) == ()


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_shares_add_up_exactly_and_none_is_off_by_a_cent_or_more(amount: int, weights: list[int]) -> None:
    shares = money.spread(amount, weights)
    assert sum(shares) == amount
    whole = sum(weights)
    if whole:
        assert all(abs(share * whole - amount * weight) < whole for share, weight in zip(shares, weights, strict=True))


def test_sums_that_were_sent_along_must_agree() -> None:
    with pytest.raises(Validation) as refused:
        money.check_amounts([Line("A", 2, 100)], discount=0, shipping=0, items=201, total=199)
    assert [error["pointer"] for error in refused.value.errors] == ["/items_cents", "/total_cents"]


def test_a_negative_total_is_refused() -> None:
    with pytest.raises(Validation) as refused:
        money.check_amounts([Line("A", 1, 100)], discount=101, shipping=0)
    assert refused.value.errors[0]["pointer"] == "/discount_cents"


def test_a_discount_over_its_line_is_refused() -> None:
    with pytest.raises(Validation) as refused:
        money.check_amounts([Line("B", 1, 500), Line("A", 1, 100, 101)], discount=0, shipping=0)
    assert refused.value.errors[0]["pointer"] == "/lines/1/discount_cents"


def test_amounts_beyond_exact_counting_are_refused() -> None:
    with pytest.raises(Validation) as refused:
        money.check_amounts([Line("A", 10**9, 10**14)], discount=0, shipping=0)
    assert refused.value.errors[0]["pointer"] == "/lines/0"


def test_units_of_one_sku_are_limited_over_all_of_its_lines() -> None:
    with pytest.raises(Validation) as refused:
        money.check_amounts([Line("A", 10**9, 1), Line("B", 1, 1), Line("A", 1, 1)], discount=0, shipping=0)
    assert [error["pointer"] for error in refused.value.errors] == ["/lines/0/quantity", "/lines/2/quantity"]
