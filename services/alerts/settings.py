"""Settings of alerts."""

from pydantic import Field

from libs.service.settings import Settings


class AlertsSettings(Settings):
    """Settings of alerts."""

    SERVICE = "alerts"

    port: int = 8003
    webhook_seconds: float = Field(default=5.0, gt=0, description="How long a target may take to answer")
