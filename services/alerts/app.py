"""Where the objects of alerts meet."""

from fastapi import FastAPI

from libs.service.app import create_app
from libs.service.runtime import Runtime, open_runtime
from services.alerts import handlers, tables
from services.alerts.api import routers
from services.alerts.sender import Sender
from services.alerts.settings import AlertsSettings
from services.alerts.targets import AllowList


def build(settings: AlertsSettings) -> tuple[Runtime, FastAPI]:
    """The runtime and the HTTP application."""
    runtime = open_runtime(settings, "alerts", tables.SHARED)
    runtime.consume(handlers.REACTIONS, journal=tables.JOURNAL)
    allowed = AllowList.parse(settings.webhook_allow)
    sender = Sender(runtime.worker, allowed, timeout_seconds=settings.webhook_seconds)
    runtime.loop("sender", sender.run)
    return runtime, create_app(runtime, routers(sender, allowed))
