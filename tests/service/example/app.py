"""Where the example's objects meet."""

from pathlib import Path

from fastapi import FastAPI

from libs.events.bus import Bus
from libs.service.app import create_app
from libs.service.runtime import Runtime, open_runtime
from tests.service.example import api, tables
from tests.service.example.settings import ExampleSettings

MIGRATIONS = Path(__file__).parent / "migrations"


def build(settings: ExampleSettings, bus: Bus | None = None) -> tuple[Runtime, FastAPI]:
    """The example service."""
    runtime = open_runtime(settings, "example", tables.SHARED, migrations=MIGRATIONS, bus=bus)
    return runtime, create_app(runtime, [api.router])
