"""Where the objects of alerts meet."""

from fastapi import FastAPI

from libs.service.app import create_app
from libs.service.runtime import Runtime, open_runtime
from services.alerts import handlers, tables
from services.alerts.api import routers
from services.alerts.desk.timers import judge
from services.alerts.handlers import pulsing
from services.alerts.handlers.deadlines import Clockwork
from services.alerts.handlers.escalating import keep_time
from services.alerts.handlers.muting import end_mutes
from services.alerts.handlers.parking import DeadLetters
from services.alerts.handlers.rates import tidy
from services.alerts.handlers.silence import Watch
from services.alerts.sender import Sender
from services.alerts.settings import AlertsSettings
from services.alerts.targets import AllowList

VISITED = frozenset({"traffic"})
"""A repeated visit changes nothing here."""


def build(settings: AlertsSettings) -> tuple[Runtime, FastAPI]:
    """The runtime and the HTTP application."""
    runtime = open_runtime(settings, "alerts", tables.SHARED)
    consumers = [
        runtime.consume(handlers.REACTIONS, journal=tables.JOURNAL),
        runtime.consume(pulsing.TRAFFIC, group=pulsing.GROUP, decode=pulsing.read_pulse, self_deduplicating=VISITED),
    ]
    watch = Watch(runtime.worker, consumers)
    clockwork = Clockwork(runtime.worker, runtime.stores, watch)
    runtime.every("missing data", 5.0, watch.look)
    runtime.every("deadlines", 1.0, clockwork.tick)
    runtime.every("deadlines of the day", 10.0, clockwork.set_days)
    runtime.every("rates and memory", 600.0, lambda: tidy(runtime.worker))
    allowed = AllowList.parse(settings.webhook_allow)
    sender = Sender(runtime.worker, allowed, timeout_seconds=settings.webhook_seconds, console=settings.console_url)
    runtime.loop("sender", sender.run)
    runtime.every("incidents", 2.0, lambda: keep_time(runtime.worker))
    letters = DeadLetters(runtime.bus, runtime.worker, tables.SHARED.events.position)
    runtime.every("dead letters", 10.0, letters.look)
    runtime.every("silences", 5.0, lambda: end_mutes(runtime.worker))
    runtime.every("clocks", 1.0, lambda: judge(runtime.worker))
    return runtime, create_app(runtime, routers(sender, allowed))
