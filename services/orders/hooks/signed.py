"""What any other shop says by Standard Webhooks: an order as in `POST /v1/orders`, with a `type` (D53).

`order.placed` tells of an order; `order.paid` and `order.cancelled` may tell of the whole again, or name it alone.
The whole may stand in `data`, beside `type` and `timestamp`, as that standard likes it.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from libs.events.contracts import Id, Instant, Label
from libs.service.privacy import Pseudonyms
from libs.service.routes import Body
from services.orders.bodies import FreeText, OrderBody
from services.orders.domain import money
from services.orders.domain.imports import Sale
from services.orders.domain.news import Ending, News
from services.orders.domain.state import CancelledBy, Order
from services.orders.hooks.reading import Shop, at_least

Type = Literal["order.placed", "order.paid", "order.cancelled"]
ShopsId = Annotated[Id, Field(max_length=100)]


class WholeOrder(OrderBody):
    """The order, and what has become of it."""

    type: Type
    order_id: ShopsId
    origin: Label = "signed"
    placed_at: Instant | None = None
    timestamp: Instant | None = None
    paid_at: Instant | None = None
    method: Label = "signed"
    cancelled_at: Instant | None = None
    reason: FreeText = "cancelled"
    by: Literal["customer", "store", "oversell"] = "store"


class OrderStep(Body):
    """A step of an order that was told of before."""

    type: Literal["order.paid", "order.cancelled"]
    order_id: ShopsId
    timestamp: Instant | None = None
    paid_at: Instant | None = None
    method: Label = "signed"
    cancelled_at: Instant | None = None
    reason: FreeText = "cancelled"
    by: Literal["customer", "store", "oversell"] = "store"


_WHOLE: TypeAdapter[WholeOrder] = TypeAdapter(WholeOrder)
_STEP: TypeAdapter[OrderStep] = TypeAdapter(OrderStep)


def read(decoded: Any, shop: Shop, pseudonyms: Pseudonyms) -> News:
    """The news in a message. Raises ValueError (pydantic's too), or Validation where sums disagree."""
    plain = _flat(decoded)
    if "lines" not in plain and plain.get("type") != "order.placed":
        return _step_news(_STEP.validate_python(plain), shop)
    return _order_news(_WHOLE.validate_python(_tuples(plain)), shop, pseudonyms)


def _flat(decoded: Any) -> dict[str, Any]:
    if not isinstance(decoded, dict):
        raise ValueError("not an object")
    inner = decoded.get("data")
    if not isinstance(inner, dict):
        return decoded
    return {**{name: value for name, value in decoded.items() if name != "data"}, **inner}


def _tuples(plain: dict[str, Any]) -> dict[str, Any]:
    lines = plain.get("lines")
    return {**plain, "lines": tuple(lines)} if isinstance(lines, list) else plain


def _order_news(told: WholeOrder, shop: Shop, pseudonyms: Pseudonyms) -> News:
    order = _order(told, shop, pseudonyms)
    sums = {"items": told.items_cents, "total": told.total_cents}
    money.check_amounts(order.lines, discount=order.discount_cents, shipping=order.shipping_cents, **sums)
    told_at = at_least(told.timestamp, order.placed_at)
    sale = Sale(
        order=order,
        consignee=told.consignee.consignee() if told.consignee else None,
        paid_at=at_least(told.paid_at or told.timestamp, order.placed_at) if told.type == "order.paid" else None,
        method=told.method,
        teller="signed",
    )
    return News(order.order_id, told_at, sale=sale, ending=_ending(told, shop))


def _order(told: WholeOrder, shop: Shop, pseudonyms: Pseudonyms) -> Order:
    asked = told.asked(shop.order_id(told.order_id), told.placed_at or told.timestamp or shop.now, pseudonyms, None)
    return replace(asked.order, origin=shop.kind, accepted_at=shop.now)


def _step_news(told: OrderStep, shop: Shop) -> News:
    at = told.timestamp or shop.now
    return News(
        order_id=shop.order_id(told.order_id),
        told_at=at,
        paid_at=(told.paid_at or at) if told.type == "order.paid" else None,
        method=told.method,
        ending=_ending(told, shop),
    )


def _ending(told: WholeOrder | OrderStep, shop: Shop) -> Ending | None:
    if told.type != "order.cancelled":
        return None
    by: CancelledBy = told.by
    return Ending(told.cancelled_at or told.timestamp or shop.now, told.reason, by)
