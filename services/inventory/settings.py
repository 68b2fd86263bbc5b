"""Settings of the inventory service."""

from pydantic import Field

from libs.service.settings import Settings


class InventorySettings(Settings):
    """`OPSWIRE_INVENTORY_...`, besides what every service can be told."""

    SERVICE = "inventory"

    port: int = Field(default=8002, ge=0, le=65535)
    concurrency: int = Field(default=1024, ge=1, description="Requests worked on at once: the lane gathers them")
    burst: int = Field(default=2048, ge=1, description="Requests running or waiting that are never refused (D61)")
