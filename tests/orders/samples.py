"""Orders to decide about, and what is done with them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.orders.domain import life, shipping
from services.orders.domain.state import (
    Decided,
    Hold,
    HoldState,
    Line,
    Order,
    Payment,
    Refund,
    Return,
    ReturnStatus,
    Scan,
    Shipment,
    Units,
)

NOON = datetime(2024, 7, 1, 4, 0, tzinfo=UTC)
TWO_DRESSES = (Line("A001", 2, 7_800),)
PROMISE = timedelta(hours=48)
WINDOW = timedelta(days=7)


def order(**changes: Any) -> Order:
    """An order of two dresses, accepted at noon, with its stock held."""
    plain = Order(
        order_id="o-1",
        origin="storefront",
        currency="CNY",
        lines=TWO_DRESSES,
        placed_at=NOON,
        accepted_at=NOON,
        customer_id="c-9",
        hold=Hold("o-1~0", 0, NOON + timedelta(minutes=15)),
    )
    return replace(plain, **changes)


def placed(**changes: Any) -> Order:
    """The same, placed and approved."""
    return life.place(order(**changes), (), reviewed_at=NOON)[0]


def payment(amount_cents: int = 15_600, payment_id: str = "p-1", **changes: Any) -> Payment:
    """A payment of the whole, an hour after noon."""
    at = NOON + timedelta(hours=1)
    return replace(Payment(payment_id, "alipay", amount_cents, "CNY", "succeeded", at), **changes)


def paid(**changes: Any) -> Order:
    """Placed, paid, its stock allocated."""
    bought = pay(placed(**changes), payment())[0]
    return life.allocate(bought, Hold("o-1~0"))[0]


def pay(bought: Order, money: Payment) -> Decided:
    """Pay an order."""
    return life.pay(bought, money, promise=PROMISE, is_first_order=True)


def parcel(lines: Iterable[tuple[str, int]] = (("A001", 2),), shipment_id: str = "s-1") -> Shipment:
    """A parcel, two hours after noon."""
    units = tuple(Units(sku, quantity) for sku, quantity in lines)
    return Shipment(shipment_id, "SF", "SF100", units, NOON + timedelta(hours=2))


def shipped(**changes: Any) -> Order:
    """Paid and sent in one parcel."""
    return shipping.ship(paid(**changes), parcel())[0]


def delivered(**changes: Any) -> Order:
    """Shipped and arrived, a day after noon."""
    return shipping.scan(shipped(**changes), "s-1", Scan("delivered", NOON + timedelta(days=1)))[0]


def a_return(quantity: int = 1, return_id: str = "r-1", **changes: Any) -> Return:
    """One dress is to come back."""
    asked = Return(
        return_id, (Units("A001", quantity),), "too small", "refund", ReturnStatus.REQUESTED, NOON + timedelta(days=2)
    )
    return replace(asked, **changes)


def a_refund(amount_cents: int = 7_800, refund_id: str = "f-1", **changes: Any) -> Refund:
    """The price of one dress."""
    given = Refund(refund_id, amount_cents, amount_cents, "CNY", NOON + timedelta(days=4))
    return replace(given, **changes)


def types(decided: Decided) -> list[str]:
    """The types of the events of a decision."""
    return [dated.event.TYPE for dated in decided[1]]


LAPSED = HoldState.LAPSED
