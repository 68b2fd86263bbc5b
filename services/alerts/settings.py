"""Settings of alerts."""

from pydantic import Field

from libs.service.settings import Settings


class AlertsSettings(Settings):
    """Settings of alerts."""

    SERVICE = "alerts"

    port: int = 8003
    console_url: str = Field(default="http://127.0.0.1:8005", description="Where the links in messages lead")
    webhook_seconds: float = Field(default=5.0, gt=0, description="How long a target may take to answer")
