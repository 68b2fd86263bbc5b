"""The limit of placing an order in FastAPI: the same body checked, the same answer given, nothing behind it."""

from datetime import UTC, datetime

from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()


class Line(BaseModel):
    """An order line."""

    sku: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    quantity: int = Field(gt=0)
    unit_price_cents: int = Field(ge=0)
    discount_cents: int = 0


class Consignee(BaseModel):
    """Where it goes."""

    name: str
    phone: str
    province: str
    city: str
    address: str


class Order(BaseModel):
    """What is posted."""

    order_id: str
    customer_id: str
    origin: str
    channel: str | None = None
    source: str | None = None
    visitor_id: str | None = None
    currency: str
    lines: list[Line]
    shipping_cents: int = 0
    discount_cents: int = 0
    consignee: Consignee


@app.post("/v1/orders", status_code=201)
async def place(order: Order) -> dict[str, object]:
    """The answer that the real service gives."""
    items = sum(line.quantity * line.unit_price_cents - line.discount_cents for line in order.lines)
    now = datetime.now(UTC)
    return {
        "order_id": order.order_id,
        "store": "demo",
        "status": "placed",
        "review": {"decision": "approved", "reasons": []},
        "reservation_id": f"{order.order_id}~0",
        "hold_expires_at": now,
        "currency": order.currency,
        "items_cents": items,
        "shipping_cents": order.shipping_cents,
        "discount_cents": order.discount_cents,
        "total_cents": items + order.shipping_cents - order.discount_cents,
        "paid_cents": 0,
        "refunded_cents": 0,
        "lines": [{**line.model_dump(), "shipped": 0, "returned": 0} for line in order.lines],
        "consignee": {"name": "张*", "phone": "138****5678", "province": "浙江", "city": "杭州", "address": "***"},
        "placed_at": now,
        "version": 1,
        "payments": [],
        "shipments": [],
        "returns": [],
    }
