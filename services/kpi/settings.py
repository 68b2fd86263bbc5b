"""Settings of kpi."""

from libs.service.settings import Settings


class KpiSettings(Settings):
    """Settings of kpi."""

    SERVICE = "kpi"

    port: int = 8004
