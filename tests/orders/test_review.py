"""Review by rule (ORD-1, D14)."""

import pytest

from services.orders.domain.review import Consignee, Limits, is_phone, reasons_to_hold
from services.orders.domain.state import Line

ZHANG = Consignee("张三", "13800005678", "浙江", "杭州", "文三路 1 号")
LIMITS = Limits(quantity=100, amount_cents=5_000_000)


def reasons(
    consignee: Consignee | None = ZHANG, *lines: Line, total: int = 15_600, unknown: tuple[str, ...] = ()
) -> set[str]:
    return set(
        reasons_to_hold(lines or (Line("A001", 2, 7_800),), total, consignee, unknown_skus=unknown, limits=LIMITS)
    )


def test_an_obvious_order_passes_at_once() -> None:
    assert reasons() == set()


def test_an_order_without_a_consignee_waits() -> None:
    assert reasons(None) == {"consignee_missing"}
    assert reasons(Consignee(name=" ")) == {"consignee_missing"}


def test_a_bad_phone_and_a_gap_in_the_address_are_both_told() -> None:
    assert reasons(Consignee("张三", "12345", "浙江", "", "文三路 1 号")) == {"phone_invalid", "address_incomplete"}


def test_units_of_one_sku_on_two_lines_are_one_quantity() -> None:
    assert reasons(ZHANG, Line("A", 60, 1), Line("A", 41, 1)) == {"quantity_unusual"}
    assert reasons(ZHANG, Line("A", 60, 1), Line("B", 60, 1)) == set()


def test_an_unusual_amount_and_an_unknown_sku_wait() -> None:
    assert reasons(total=5_000_001, unknown=("X",)) == {"amount_unusual", "sku_unknown"}
    assert reasons(total=5_000_000) == set()


@pytest.mark.parametrize(
    "number", ["13800005678", "+86 13800005678", "0571-88888888", "400-123-4567", "+44 20 7946 0958"]
)
def test_numbers_that_ring(number: str) -> None:
    assert is_phone(number)


@pytest.mark.parametrize("number", ["", "12345", "1380000567", "13800005678x", "phone", "+1"])
def test_numbers_that_do_not(number: str) -> None:
    assert not is_phone(number)
