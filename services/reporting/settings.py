"""Settings of reporting."""

from pydantic import Field

from libs.service.settings import Settings


class ReportingSettings(Settings):
    """Settings of reporting."""

    SERVICE = "reporting"

    port: int = 8005
    kpi_url: str = Field(default="http://127.0.0.1:8004", description="Where unfinished periods are read live")
    settle_seconds: float = Field(default=2.0, ge=0, description="From a period measured to its first edition")
    correction_seconds: float = Field(
        default=60.0, ge=0, le=300, description="From the first correction of a published period to its next edition"
    )
