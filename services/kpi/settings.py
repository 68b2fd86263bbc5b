"""Settings of kpi."""

from pydantic import Field

from libs.service.settings import Settings


class KpiSettings(Settings):
    """Settings of kpi."""

    SERVICE = "kpi"

    port: int = 8004
    consume: bool = Field(
        default=True, description="Whether this process folds events into figures; workers at the front door need not"
    )
    settle_seconds: float = Field(
        default=300.0, ge=0, description="From a bucket's end to its measuring, by the watermark of the events (D27)"
    )
