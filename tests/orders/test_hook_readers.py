"""Whatever a genuine message holds, it is news, or it is refused: no reader breaks (P8)."""

import copy
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.service.errors import NotFound, Problem
from libs.service.privacy import Pseudonyms
from services.orders.domain.imports import Circumstances
from services.orders.domain.news import Around, News, by_now, take_news
from services.orders.domain.review import Limits
from services.orders.hooks import shopify, signed, woocommerce
from services.orders.hooks.reading import Shop, minor_units, priced_line
from tests.orders.hooks import RECORDED
from tests.orders.samples import NOON

REFUSED = (ValueError, Problem, OverflowError)
"""What the worker writes down as the reason that a message came to nothing."""
AROUND = Around(Circumstances(timedelta(hours=48), Limits()))
SIGNED = {
    "type": "order.paid",
    "order_id": "s-1",
    "currency": "CNY",
    "lines": [{"sku": "A001", "quantity": 2, "unit_price_cents": 7_800, "discount_cents": 100}],
    "consignee": {"name": "张三", "phone": "13800005678"},
    "placed_at": "2024-07-01T10:00:00+08:00",
    "shipping_cents": 10,
}
TOPICS = {
    "shopify_orders_create": "orders/create",
    "shopify_orders_updated": "orders/updated",
    "shopify_orders_cancelled": "orders/cancelled",
    "shopify_fulfillments_update": "fulfillments/update",
    "shopify_refunds_create": "refunds/create",
    "woocommerce_order_completed": "order.updated",
    "woocommerce_order_refunded": "order.updated",
}
MESSAGES = {name: json.loads((RECORDED / f"{name}.json").read_text()) for name in TOPICS} | {"signed": SIGNED}

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=30),
    st.sampled_from(["", "0", "-1", "1e400", "NaN", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "CNY"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a message."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def with_change(message: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The message with something else at one place."""
    if not place:
        return value
    changed = copy.deepcopy(message)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return changed


def read(name: str, message: Any) -> News | None:
    """What the message says."""
    kind = name.partition("_")[0]
    shop = Shop(kind, "CNY", {}, NOON)
    if kind == "signed":
        return signed.read(message, shop, Pseudonyms(b"key"))
    if not isinstance(message, dict):
        raise ValueError("not an object")
    reader = shopify.read if kind == "shopify" else woocommerce.read
    return reader(TOPICS[name], message, shop)


@pytest.mark.parametrize("name", MESSAGES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_message_with_anything_anywhere_is_news_or_refused(name: str, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(places(MESSAGES[name])))
    message = with_change(MESSAGES[name], place, data.draw(odd))
    try:
        told = read(name, message)
        if told is not None:
            order = take_news(None, by_now(told, NOON), AROUND).order
            assert order.total_cents >= 0
            assert all(line.quantity > 0 for line in order.lines)
    except NotFound:
        return
    except REFUSED:
        return


@pytest.mark.parametrize("name", MESSAGES)
def test_every_recorded_message_is_news(name: str) -> None:
    assert isinstance(read(name, MESSAGES[name]), News)


@given(
    quantity=st.integers(1, 1_000),
    whole=st.integers(0, 10**9),
    share=st.integers(0, 100),
)
def test_a_line_adds_up_to_what_was_paid_for_it(quantity: int, whole: int, share: int) -> None:
    paid = whole * share // 100
    line = priced_line("A", quantity, whole, paid)
    assert line.quantity * line.unit_price_cents - line.discount_cents == paid
    assert 0 <= line.discount_cents <= line.quantity * line.unit_price_cents


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("409.94", "CNY", 40_994),
        ("1000", "JPY", 1_000),
        ("1.2345", "KWD", 1_235),
        ("0.005", "CNY", 1),
        ("-3", "USD", -300),
    ],
)
def test_amounts_are_exact_in_the_minor_units_of_their_currency(amount: str, currency: str, minor: int) -> None:

    assert minor_units(Decimal(amount), currency) == minor
