"""Where the objects of reporting meet."""

from datetime import timedelta

from fastapi import FastAPI

from libs.service.app import create_app
from libs.service.runtime import Runtime, open_runtime
from services.reporting import tables
from services.reporting.api import router_of
from services.reporting.handlers import Editions, reactions
from services.reporting.live import Kpi
from services.reporting.publishing import publish_at_deadline, publish_due
from services.reporting.settings import ReportingSettings


def build(settings: ReportingSettings) -> tuple[Runtime, FastAPI]:
    """The runtime and the HTTP application."""
    runtime = open_runtime(settings, "reporting", tables.SHARED)
    editions = Editions(timedelta(seconds=settings.settle_seconds), timedelta(seconds=settings.correction_seconds))
    runtime.consume(reactions(editions))
    runtime.every("publish", 0.5, lambda: publish_due(runtime.worker, runtime.stores))
    runtime.every("deadline", 30.0, lambda: publish_at_deadline(runtime.worker, runtime.stores))
    return runtime, create_app(runtime, [router_of(Kpi(settings.kpi_url))])
