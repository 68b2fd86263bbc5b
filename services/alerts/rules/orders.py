"""Rules about orders (ORD-1 to ORD-5)."""

from typing import Any

from libs.events.contracts import OrderUnfulfillable
from services.alerts.rules.shapes import Comparison, Deadline, Edge, Figures, Numbers, Role, Severity, Verdict


def _order(event: Any) -> dict[str, str]:
    return {"order_id": event.order_id}


def _short_lines(event: Any) -> dict[str, Any]:
    return {"lines": [{"sku": line.sku, "quantity": line.quantity} for line in event.lines]}


def _money_fits(figures: Figures, numbers: Numbers) -> Verdict:
    apart = abs(figures["found_cents"] - figures["expected_cents"])
    return Verdict.BREACHED if apart > numbers["tolerance_cents"] else Verdict.CLEAR


REVIEW_OVERDUE = Deadline(
    id="review_overdue",
    source="ORD-1",
    role=Role.SERVICE,
    zh="订单 {order_id}: 审单超过 {minutes} 分钟 ({reasons})",
    en="Order {order_id}: not reviewed within {minutes} min ({reasons})",
    parameters={"minutes": 30},
    topic="orders",
)
PAYMENT_MISMATCH = Comparison(
    id="payment_mismatch",
    source="ORD-3",
    role=Role.LEAD,
    zh="订单 {order_id}: 款项与订单不符, 应为 {expected}, 实为 {found}",
    en="Order {order_id}: money does not fit the order, expected {expected}, found {found}",
    parameters={"tolerance_cents": 0},
    needs=("expected_cents", "found_cents"),
    judge=_money_fits,
)
SHIPMENT_OVERDUE = Deadline(
    id="shipment_overdue",
    source="ORD-4",
    role=Role.LOGISTICS,
    zh="订单 {order_id}: 超过发货时限 {due}",
    en="Order {order_id}: not shipped by {due}",
    topic="orders",
)
PARCEL_STALLED = Deadline(
    id="parcel_stalled",
    source="ORD-5",
    role=Role.LOGISTICS,
    zh="订单 {order_id}: 运单 {tracking_number} ({carrier}) 超过 {hours} 小时没有更新",
    en="Order {order_id}: parcel {tracking_number} ({carrier}) has not moved for {hours} h",
    parameters={"hours": 48},
    topic="orders",
)
PAID_UNFULFILLABLE = Edge(
    id="paid_unfulfillable",
    source="ORD-2",
    severity=Severity.CRITICAL,
    role=Role.LOGISTICS,
    zh="订单 {order_id}: 已付款, 无货可发",
    en="Order {order_id}: paid, but there is no stock for it",
    fires=OrderUnfulfillable,
    about=_order,
    figures=_short_lines,
)

RULES = (REVIEW_OVERDUE, PAYMENT_MISMATCH, SHIPMENT_OVERDUE, PARCEL_STALLED, PAID_UNFULFILLABLE)
