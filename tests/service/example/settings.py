"""Settings of the example."""

from libs.service.settings import Settings


class ExampleSettings(Settings):
    """Settings of the example."""

    SERVICE = "example"

    port: int = 0
