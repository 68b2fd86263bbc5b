"""The catalogue offers exactly the dimensions that the engine keeps: no more, no less."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from libs.events.contracts import BY_TYPE, SkuListed
from libs.events.contracts.base import Event
from services.kpi.figures import measure_of
from services.kpi.kpis import MEASURES, Measure
from services.kpi.states import decode_vector
from tests.kpi.conftest import KpiService

START = datetime(2024, 7, 1, 2, tzinfo=UTC)
GOODS = [{"sku": "A001", "quantity": 2, "unit_price_cents": 7800, "cost_cents": 3000}]
UNITS = [{"sku": "A001", "quantity": 2}]
ORDER = {
    "customer_id": "c-1",
    "customer_tier": "gold",
    "channel": "paid",
    "source": "douyin",
    "campaign": "summer",
    "visitor_id": "v-1",
    "currency": "CNY",
    "lines": GOODS,
}


def fact(event_type: str, **data: Any) -> Event:
    return BY_TYPE[event_type].model_validate(data)


def placed(order_id: str) -> Event:
    money = {"shipping_cents": 0, "discount_cents": 0, "total_cents": 15600}
    return fact(
        "order.placed.v1", order_id=order_id, origin="storefront", placed_at=START.isoformat(), **ORDER, **money
    )


def paid(order_id: str) -> Event:
    due = (START + timedelta(hours=48)).isoformat()
    payment = {"payment_id": f"p-{order_id}", "method": "card", "amount_cents": 15600, "total_cents": 15600}
    return fact("order.paid.v1", order_id=order_id, ship_due_at=due, is_first_order=True, **ORDER, **payment)


def payment(order_id: str, outcome: str, **more: Any) -> Event:
    return fact(
        f"payment.{outcome}.v1",
        order_id=order_id,
        payment_id=f"p-{order_id}-{outcome}",
        method="card",
        amount_cents=15600,
        currency="CNY",
        **more,
    )


def returned(step: str) -> Event:
    return fact(f"return.{step}.v1", return_id="r-1", order_id="o-2", lines=UNITS, reason="wrong_goods", kind="refund")


def talk(event_type: str, **more: Any) -> Event:
    return fact(event_type, conversation_id="t-1", **more)


def clock(kind: str, seconds: int) -> Event:
    started, stopped = START.isoformat(), (START + timedelta(seconds=seconds)).isoformat()
    times = {"started_at": started, "due_at": stopped, "stopped_at": stopped, "elapsed_seconds": seconds}
    measured = {"policy": "default", "kind": kind, "class": "pre_sale", "state": "met", "version": 2}
    return talk("clock.measured.v1", agent_id="a-1", **measured, **times)


def spent(**period: str) -> Event:
    about = {"channel": "paid", "source": "douyin", "campaign": "summer", "plan": "p", "sku": "A001"}
    return fact("ad.spent.v1", **about, **period, impressions=100, clicks=10, spend_cents=500, currency="CNY")


def cost(category: str) -> Event:
    about = {"sku": "A001", "campaign": "summer", "day": "2024-07-01", "by": "li"}
    return fact("cost.entered.v1", category=category, amount_cents=100, currency="CNY", **about)


SERVICE: list[Event] = [
    talk(
        "conversation.opened.v1",
        customer_id="c-1",
        customer_tier="gold",
        topic_class="pre_sale",
        subject="",
        via="chat",
    ),
    talk("conversation.assigned.v1", agent_id="a-1", by="li"),
    talk("conversation.resolved.v1", by="li"),
    talk("rating.given.v1", score=5),
    clock("first_response", 60),
    clock("solution", 120),
    fact("complaint.filed.v1", complaint_id="q-1", customer_id="c-1", sku="A001", kind="quality"),
    fact("complaint.resolved.v1", complaint_id="q-1", customer_id="c-1", sku="A001", kind="quality", outcome="ok"),
]
BROUGHT: list[Event] = [
    spent(day="2024-07-01"),
    spent(hour="2024-07-01T10"),
    cost("platform_fee"),
    cost("staff"),
    fact(
        "stock.counted.v1",
        count_id="n-1",
        warehouse="main",
        as_of=START.isoformat(),
        source="person",
        item_count=2,
        difference_count=0,
        differences=[],
    ),
]


LIFE: list[list[Event]] = [
    [
        SkuListed.model_validate(
            {"sku": "A001", "kind": "goods", "title": "t", "category": "dress", "price_cents": 7800}
        )
    ],
    [placed("o-1"), payment("o-1", "succeeded"), paid("o-1"), placed("o-3"), payment("o-3", "failed", reason="no")],
    [
        placed("o-2"),
        payment("o-2", "succeeded"),
        paid("o-2"),
        fact("order.reviewed.v1", order_id="o-2", decision="approved", reasons=[], by="rule"),
    ],
    [
        fact("order.cancelled.v1", order_id="o-1", reason="late", by="customer", was_paid=True, lines=GOODS),
        fact(
            "shipment.created.v1",
            order_id="o-2",
            shipment_id="s-1",
            carrier="sf",
            tracking_number="1",
            lines=UNITS,
            freight_cents=800,
        ),
    ],
    [fact("order.delivered.v1", order_id="o-2", shipment_id="s-1")],
    [returned("requested"), returned("received")],
    [
        fact(
            "refund.issued.v1",
            refund_id="f-1",
            order_id="o-2",
            amount_cents=15600,
            items_cents=15600,
            currency="CNY",
            lines=UNITS,
            reason="quality",
            is_dispute=True,
        )
    ],
]
"""Step by step, an hour apart."""


def visit(number: int, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"k-{number}",
        "type": kind,
        "time": (START - timedelta(minutes=30 - number)).isoformat(),
        "visitor_id": "v-1",
        "channel": "paid",
        "source": "douyin",
        "campaign": "summer",
        "device": "phone",
        "sku": "A001",
        **more,
    }


@pytest.fixture(scope="module")
async def kept(kpi: KpiService) -> dict[str, dict[bool, set[tuple[str, ...]]]]:
    """measure -> whether by the hour -> the combinations of dimensions in which a whole life left a figure."""
    page = {"url_path": "/p", "page_kind": "product"}
    await kpi.post(
        "/v1/events",
        [
            visit(1, "page.viewed", **page),
            visit(2, "cart.added"),
            visit(3, "product.favorited"),
            visit(4, "checkout.started"),
            visit(5, "page.viewed", **page, visitor_id="v-2"),
            visit(6, "page.viewed", **page, is_bot=True),
            visit(7, "page.viewed", **page, is_staff=True),
        ],
    )
    for n, facts in enumerate(LIFE):
        await kpi.tell(*facts, at=START + timedelta(hours=n - 1), prefix=f"life-{n}")
        await kpi.catch_up()
    await kpi.tell(*SERVICE, *BROUGHT, at=START - timedelta(hours=1), prefix="service")
    await kpi.catch_up()
    found: dict[str, dict[bool, set[tuple[str, ...]]]] = defaultdict(lambda: defaultdict(set))
    async with kpi.runtime.engine.begin() as session:
        await session.execute(text("SET LOCAL ROLE kpi_worker"))
        rows = await session.execute(text("SELECT grain, by, measures FROM kpi.figure WHERE grain IN ('hour', 'day')"))
        for grain, by, measures in rows:
            for number in decode_vector(measures):
                found[measure_of(number)[0]][grain == "hour"].add(tuple(by.split(",")) if by else ())
    return found


@pytest.mark.parametrize(
    "measure", [m for m in MEASURES if not (m.of or m.counted_when_asked)], ids=lambda measure: measure.name
)
def test_what_the_catalogue_offers_is_what_is_kept(
    measure: Measure, kept: dict[str, dict[bool, set[tuple[str, ...]]]]
) -> None:
    assert measure.name in kept, "nothing in a whole life counts it"
    assert {True: measure.kept_hourly, False: measure.kept} == {
        hourly: kept[measure.name][hourly] for hourly in (True, False)
    }
