"""For every rule a story in which it fires and one, as like it as can be, in which it does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from libs.events.contracts import (
    AdSpent,
    CampaignEnded,
    CampaignPlanned,
    ComplaintFiled,
    KpiMeasured,
    OrderCancelled,
    OrderPaid,
    OrderPlaced,
    OrderReviewed,
    OrderUnfulfillable,
    PaymentSucceeded,
    RefundIssued,
    ReportPublished,
    ShipmentCreated,
    ShipmentMoved,
    SkuChanged,
    SkuListed,
    StockBackIn,
    StockCounted,
    StockLevel,
    StockLocked,
    StockMismatched,
    StockOversold,
    StockRanLow,
    StockSoldOut,
    TargetSet,
)
from tests.alerts.stories import BEGAN, DAY, HOUR, MINUTE, Step, Told, Until, day, told

NOTHING = timedelta(0)


@dataclass(frozen=True)
class Example:
    """`fires`: an incident and a message; `silent`: neither."""

    fires: list[Step]
    silent: list[Step]


# events


def listed(sku: str = "A1", **fields: Any) -> SkuListed:
    """A SKU of the category dress."""
    given = {"kind": "goods", "title": "连衣裙", "category": "dress", "price_cents": 10_000, "cost_cents": 3_000}
    return SkuListed(**{"sku": sku, **given, **fields})


def level(sku: str = "A1", *, available: int, version: int = 1) -> StockLevel:
    """So many on hand and free."""
    numbers = dict.fromkeys(("held", "allocated", "locked", "short", "returning", "damaged", "safety_hidden"), 0)
    return StockLevel(
        sku=sku, version=version, on_hand=available, available=available, safety=10, warehouses=(), **numbers
    )


def _line(sku: str, quantity: int = 1) -> dict[str, Any]:
    return {"sku": sku, "quantity": quantity, "unit_price_cents": 10_000}


def placed(order: str = "o-1", sku: str = "A1", quantity: int = 1) -> OrderPlaced:
    """An order of one SKU at 100 yuan."""
    return OrderPlaced.model_validate(
        {
            "order_id": order,
            "origin": "storefront",
            "currency": "CNY",
            "lines": [_line(sku, quantity)],
            "shipping_cents": 0,
            "discount_cents": 0,
            "total_cents": 10_000 * quantity,
            "placed_at": BEGAN,
        }
    )


def paid(order: str = "o-1", sku: str = "A1", due: timedelta = 2 * DAY) -> OrderPaid:
    """It is paid, and due to ship."""
    return OrderPaid.model_validate(
        {
            "order_id": order,
            "payment_id": f"p-{order}",
            "method": "alipay",
            "amount_cents": 10_000,
            "currency": "CNY",
            "total_cents": 10_000,
            "lines": [_line(sku)],
            "ship_due_at": BEGAN + due,
            "is_first_order": True,
        }
    )


def payment(order: str = "o-1", cents: int = 10_000, name: str = "p-1") -> PaymentSucceeded:
    """Money arrived."""
    return PaymentSucceeded(order_id=order, payment_id=name, method="alipay", amount_cents=cents, currency="CNY")


def shipped(order: str = "o-1", sku: str = "A1", quantity: int = 1) -> ShipmentCreated:
    """A parcel left."""
    return ShipmentCreated.model_validate(
        {
            "order_id": order,
            "shipment_id": f"sh-{order}",
            "carrier": "SF",
            "tracking_number": "SF1",
            "lines": [{"sku": sku, "quantity": quantity}],
        }
    )


def scanned(status: Any, order: str = "o-1") -> ShipmentMoved:
    """The carrier said so."""
    return ShipmentMoved(shipment_id=f"sh-{order}", order_id=order, status=status)


def refund(order: str, name: str = "r", sku: str = "A1", *, dispute: bool = False) -> RefundIssued:
    """Money went back."""
    return RefundIssued.model_validate(
        {
            "refund_id": f"{name}-{order}",
            "order_id": order,
            "return_id": f"ret-{order}",
            "amount_cents": 10_000,
            "items_cents": 10_000,
            "currency": "CNY",
            "lines": [{"sku": sku, "quantity": 1}],
            "is_dispute": dispute,
        }
    )


def complaint(name: str, sku: str = "A1") -> ComplaintFiled:
    """A customer complained about a SKU."""
    return ComplaintFiled(complaint_id=name, customer_id="c-1", order_id=name, sku=sku, kind="quality")


def counted(difference: int = 0, source: Any = "erp") -> StockCounted:
    """A count with one line that differs, or none."""
    lines = [{"sku": "A1", "expected": 10, "counted": 10 + difference, "difference": difference}] if difference else []
    return StockCounted.model_validate(
        {
            "count_id": "c-1",
            "warehouse": "main",
            "as_of": BEGAN,
            "source": source,
            "item_count": 5,
            "differences": lines,
        }
    )


def campaign(kind: Any = CampaignPlanned, **fields: Any) -> Any:
    """A campaign in two days that lasts for two."""
    body = {
        "campaign": "summer",
        "theme": "夏季清仓",
        "starts_at": BEGAN + 2 * DAY,
        "ends_at": BEGAN + 4 * DAY,
        "skus": [],
        "offer": "半价",
        "budget_cents": 1_000_000,
        "channels": ["paid"],
        "owner": "li",
        "goals": {},
    }
    return kind.model_validate({**body, **fields})


def locked(quantity: int) -> StockLocked:
    """Stock was set aside for the campaign."""
    return StockLocked(sku="A1", campaign="summer", quantity=quantity, wanted=20, locked=quantity)


def spent(cents: int, clicks: int = 100, **fields: Any) -> AdSpent:
    """A day of advertising."""
    given = {"channel": "paid", "day": day(), "impressions": 1000, "currency": "CNY"}
    return AdSpent(**{**given, "clicks": clicks, "spend_cents": cents, **fields})


def target(metric: str, value: float, dimension: Mapping[str, str] | None = None) -> TargetSet:
    """A target that is in force."""
    return TargetSet.model_validate(
        {
            "target_id": f"t-{metric}",
            "dimension": dict(dimension or {}),
            "metric": metric,
            "value": value,
            "owner": "li",
            "starts_on": "2024-01-01",
            "ends_on": "2024-12-31",
            "criterion": {"kind": "average"},
        }
    )


def measured(
    at: timedelta, measures: Mapping[str, int], dimensions: Mapping[str, str] | None = None, hours: int = 1
) -> Told:
    """A window that ended then, told six minutes later."""
    end = BEGAN + at
    event = KpiMeasured(
        store="any",
        bucket=f"{end - HOUR:%Y-%m-%dT%H}",
        start=end - hours * HOUR,
        end=end,
        grain=f"w{hours}",  # type: ignore[arg-type]
        dimensions=dict(dimensions or {}),
        measures=dict(measures),
        complete=True,
        watermark=end + 6 * MINUTE,
    )
    return Told(event, at + 6 * MINUTE)


def day_measured(measures: Mapping[str, int], dimensions: Mapping[str, str] | None = None) -> Told:
    """The store's first day of the story, told when it was over."""
    at = 14 * HOUR
    event = KpiMeasured(
        store="any",
        bucket=f"{day()}",
        start=BEGAN + at - DAY,
        end=BEGAN + at,
        grain="day",
        dimensions=dict(dimensions or {}),
        measures=dict(measures),
        complete=True,
        watermark=BEGAN + at,
    )
    return Told(event, at + 6 * MINUTE)


def weeks(measures: Mapping[str, int], dimensions: Mapping[str, str] | None = None, hours: int = 1) -> list[Step]:
    """The same hour of the four weeks before."""
    return [measured(-7 * n * DAY, measures, dimensions, hours) for n in (4, 3, 2, 1)]


def report(kind: str, period: str, *, complete: bool = True) -> ReportPublished:
    """An edition is out."""
    return ReportPublished(
        report=kind, period=period, edition=1, complete=complete, changed_cells=(), log_position={"orders": (1,)}
    )


def changed_title(title: str) -> SkuChanged:
    """A SKU was renamed."""
    return SkuChanged.model_validate({"sku": "A1", "before": {"title": "连衣裙"}, "after": {"title": title}})


# stories

USUAL = {"uv": 1000, "orders_placed_here": 30, "orders_placed": 30, "orders_paid": 27, "cart_visitors": 100}
USUAL |= {"sessions": 1200, "bounces": 400}
SOLD = [*told(*(event for n in range(40) for event in (placed(f"o-{n}"), paid(f"o-{n}"))), at=-2 * DAY)]
OTHERS = told(*(e for n in range(160) for e in (placed(f"b-{n}", "B1"), paid(f"b-{n}", "B1"))), at=-2 * DAY)
PAID_LATE = [*told(placed(), payment(), paid(), shipped())]
RUNNING = {"starts_at": BEGAN, "ends_at": BEGAN + 10 * HOUR, "goals": {"gmv": 1_000_000}}
STOCKED = told(listed(), level(available=100), at=-2 * DAY)


def _sales(each: int) -> list[Step]:
    """Five hours of the campaign, each with so much of sales."""
    hours: list[Step] = []
    for n in range(1, 6):
        hours += [measured(n * HOUR, USUAL), measured(n * HOUR, {"gmv": each}, {"campaign": "summer"})]
    return [*hours, measured(5 * HOUR, USUAL, hours=24)]


def _price(cents: int) -> list[Step]:
    return told(listed(), campaign(skus=[{"sku": "A1", "price_cents": cents}]))


def _plan(**fields: Any) -> list[Step]:
    return told(campaign(**fields))


def _rate(kind: str, cases: int) -> list[Step]:
    def case(n: int) -> Any:
        if kind == "complaint":
            return complaint(f"o-{n}")
        return refund(f"o-{n}", dispute=kind == "dispute")

    return [*SOLD, *OTHERS, *told(*(case(n) for n in range(cases)))]


def _spend(cents: int, paid_cents: int) -> list[Step]:
    return [
        day_measured({"paid_amount": 2 * paid_cents}),
        day_measured({"paid_amount": paid_cents}, {"channel": "paid"}),
        Told(spent(cents), 15 * HOUR),
    ]


HELD = OrderReviewed(order_id="o-1", decision="held", reasons=("amount_unusual",), by="rule")
LOCKING = campaign(skus=[{"sku": "A1", "quantity": 20}])

EXAMPLES: Mapping[str, Example] = {
    "low_stock": Example(told(StockRanLow(sku="A1", available=9, safety=10)), told(level(available=9))),
    "sold_out": Example(told(StockSoldOut(sku="A1", available=0, safety=10)), told(level(available=0))),
    "oversold": Example(
        told(
            StockOversold.model_validate(
                {
                    "sku": "A1",
                    "short": 2,
                    "affected_orders": [{"order_id": "o-1", "quantity": 2}],
                    "remedy": ["urgent_restock"],
                }
            )
        ),
        told(StockBackIn(sku="A1", available=20, safety=10)),
    ),
    "stock_mismatch": Example(told(StockMismatched(sku="A1", kind="reconciliation", expected=5, found=3)), STOCKED),
    "count_discrepancy": Example(told(counted(-1)), told(counted())),
    "count_missing": Example(
        [*STOCKED, Until(NOTHING), *told(counted(source="person"), at=HOUR), Until(7 * HOUR + MINUTE)],
        [*STOCKED, Until(NOTHING), *told(counted(), at=HOUR), Until(7 * HOUR + MINUTE)],
    ),
    "lock_incomplete": Example(
        [*told(LOCKING, locked(19)), Until(MINUTE)], [*told(LOCKING, locked(20)), Until(MINUTE)]
    ),
    "reorder_due": Example(
        [*STOCKED, *told(placed(quantity=101), at=-DAY), Until(-2 * HOUR), Until(-59 * MINUTE)],
        [*STOCKED, *told(placed(quantity=100), at=-DAY), Until(-2 * HOUR), Until(-59 * MINUTE)],
    ),
    "slow_mover": Example(
        [*told(level(available=5), at=-31 * DAY), Until(-2 * HOUR), Until(-59 * MINUTE)],
        [
            *told(level(available=5), at=-31 * DAY),
            *told(placed(), at=-20 * DAY),
            Until(-2 * HOUR),
            Until(-59 * MINUTE),
        ],
    ),
    "review_overdue": Example(
        [
            *told(OrderReviewed(order_id="o-1", decision="held", reasons=("amount_unusual",), by="rule")),
            Until(31 * MINUTE),
        ],
        [
            *told(OrderReviewed(order_id="o-1", decision="held", reasons=("amount_unusual",), by="rule")),
            *told(OrderReviewed(order_id="o-1", decision="approved", reasons=(), by="li"), at=29 * MINUTE),
            Until(31 * MINUTE),
        ],
    ),
    "payment_mismatch": Example(
        told(placed(), payment(), paid(), payment(cents=1, name="p-2")), told(placed(), payment(), paid())
    ),
    "shipment_overdue": Example(
        [*told(placed(), paid(due=HOUR)), Until(HOUR + MINUTE)],
        [*told(placed(), paid(due=HOUR)), *told(shipped(), at=59 * MINUTE), Until(HOUR + MINUTE)],
    ),
    "parcel_stalled": Example(
        [*PAID_LATE, *told(scanned("moving"), at=DAY), Until(3 * DAY + MINUTE)],
        [*PAID_LATE, *told(scanned("moving"), at=DAY), Until(2 * DAY + MINUTE)],
    ),
    "paid_unfulfillable": Example(
        told(OrderUnfulfillable.model_validate({"order_id": "o-1", "lines": [{"sku": "A1", "quantity": 1}]})),
        told(
            OrderCancelled.model_validate(
                {"order_id": "o-1", "reason": "x", "by": "customer", "was_paid": False, "lines": []}
            )
        ),
    ),
    "conversion_below_target": Example(
        [*told(target("conversion.order_uv", 0.03)), measured(NOTHING, {"uv": 1000, "orders_placed_here": 15})],
        [*told(target("conversion.order_uv", 0.03)), measured(NOTHING, {"uv": 1000, "orders_placed_here": 24})],
    ),
    "conversion_drop": Example(
        [
            *weeks(USUAL, {"channel": "paid"}),
            measured(NOTHING, {"uv": 1000, "orders_placed_here": 14}, {"channel": "paid"}),
        ],
        [
            *weeks(USUAL, {"channel": "paid"}),
            measured(NOTHING, {"uv": 1000, "orders_placed_here": 16}, {"channel": "paid"}),
        ],
    ),
    "traffic_drop": Example(
        [*weeks(USUAL), measured(NOTHING, {"uv": 690, "orders_placed_here": 21})],
        [*weeks(USUAL), measured(NOTHING, {"uv": 710, "orders_placed_here": 21})],
    ),
    "bounce_high": Example(
        [*weeks(USUAL), measured(NOTHING, {**USUAL, "bounces": 601})],
        [*weeks(USUAL), measured(NOTHING, {**USUAL, "bounces": 599})],
    ),
    "roas_below_floor": Example(_spend(40_000, 119_000), _spend(40_000, 121_000)),
    "campaign_behind_plan": Example(
        [*told(campaign(**RUNNING)), *_sales(69_000)], [*told(campaign(**RUNNING)), *_sales(71_000)]
    ),
    "payment_step_suspected": Example(
        [*weeks(USUAL), measured(NOTHING, {**USUAL, "cart_visitors": 125, "orders_paid": 12})],
        [*weeks(USUAL), measured(NOTHING, {**USUAL, "cart_visitors": 115, "orders_paid": 12})],
    ),
    "refund_rate_high": Example(_rate("refund", 12), _rate("refund", 2)),
    "dispute_rate_high": Example(_rate("dispute", 12), _rate("refund", 12)),
    "complaint_rate_high": Example(_rate("complaint", 12), _rate("complaint", 2)),
    "margin_without_conversion": Example(
        [
            *told(listed()),
            measured(NOTHING, {"uv": 1000, "orders_placed_here": 30}, hours=24),
            measured(NOTHING, {"uv": 400, "orders_placed_here": 3}, {"sku": "A1"}, hours=24),
        ],
        [
            *told(listed(cost_cents=5_100)),
            measured(NOTHING, {"uv": 1000, "orders_placed_here": 30}, hours=24),
            measured(NOTHING, {"uv": 400, "orders_placed_here": 3}, {"sku": "A1"}, hours=24),
        ],
    ),
    "campaign_price": Example(_price(8_001), _price(8_000)),
    "absolute_wording": Example(told(changed_title("史上最好的连衣裙")), told(changed_title("最近上新的连衣裙"))),
    "budget_overspent": Example(
        told(campaign(**RUNNING), spent(1_050_001, campaign="summer")),
        told(campaign(**RUNNING), spent(1_050_000, campaign="summer")),
    ),
    "budget_ahead": Example(
        told(campaign(starts_at=BEGAN, ends_at=BEGAN + 4 * DAY), spent(262_501, campaign="summer")),
        told(campaign(starts_at=BEGAN, ends_at=BEGAN + 4 * DAY), spent(262_500, campaign="summer")),
    ),
    "report_late": Example(
        [*told(placed(), at=-2 * DAY), Until(NOTHING), Until(23 * HOUR + MINUTE)],
        [
            *told(placed(), at=-2 * DAY),
            Until(NOTHING),
            *told(report("daily", f"{day()}"), at=22 * HOUR),
            Until(23 * HOUR + MINUTE),
        ],
    ),
    "review_late": Example(
        [*told(campaign(CampaignEnded, starts_at=BEGAN - DAY, ends_at=BEGAN)), Until(3 * DAY + 14 * HOUR + MINUTE)],
        [*told(campaign(CampaignEnded, starts_at=BEGAN - DAY, ends_at=BEGAN)), Until(3 * DAY + 13 * HOUR)],
    ),
}
"""Rules that tell their stories elsewhere are in `ELSEWHERE`."""

ELSEWHERE: Mapping[str, str] = {
    "response_presale": "tests/alerts/desk",
    "response_presale_warning": "tests/alerts/desk",
    "response_aftersale": "tests/alerts/desk",
    "response_aftersale_warning": "tests/alerts/desk",
    "solution_overdue": "tests/alerts/desk",
    "solution_overdue_warning": "tests/alerts/desk",
    "bad_review_unanswered": "tests/alerts/desk",
    "bad_review_unanswered_warning": "tests/alerts/desk",
    "incident_unacknowledged": "tests/alerts/test_incident_life.py",
    "cause_missing": "tests/alerts/test_incident_life.py",
    "manual": "tests/alerts/test_service.py",
    "technical": "Alertmanager's webhook",
    "data_missing": "tests/alerts/test_missing_data.py",
    "delivery_failing": "the sender",
}
