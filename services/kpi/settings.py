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
