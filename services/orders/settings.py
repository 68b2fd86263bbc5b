"""Settings of the orders service."""

from pydantic import Field

from libs.service.settings import Settings


class OrdersSettings(Settings):
    """`OPSWIRE_ORDERS_...`, besides what every service can be told."""

    SERVICE = "orders"

    port: int = Field(default=8001, ge=0, le=65535)
    concurrency: int = Field(default=256, ge=1, description="Requests worked on at once: the till gathers them")
    burst: int = Field(default=2048, ge=1, description="Requests running or waiting that are never refused (D61)")
    inventory_url: str = Field(default="http://127.0.0.1:8002", description="Where the inventory service answers (D50)")
    review_quantity: int = Field(default=100, ge=1, description="More units of one SKU than this are unusual (D14)")
    review_amount_cents: int = Field(default=5_000_000, ge=1, description="An order over this is unusual (D14)")
    personal_data_days: int = Field(default=180, ge=1, description="How long consignees are kept")
