"""Where the objects of kpi meet."""

from datetime import timedelta
from typing import Final

from fastapi import FastAPI

from libs.events.transaction import utc_now
from libs.service.app import create_app
from libs.service.runtime import Runtime, open_runtime
from services.kpi import api, desk, front_door, handlers, rebuilds, tables
from services.kpi.aside import carry_out_aside
from services.kpi.completeness import Progress
from services.kpi.definitions import end_due
from services.kpi.garbage import collect_between_batches
from services.kpi.held_back import hold_back_dead
from services.kpi.history import fold_history
from services.kpi.ingest import InFlight, Reader, TrafficDoor
from services.kpi.measuring import measure, tell_corrections
from services.kpi.nightly import prove_nightly
from services.kpi.records import read_record
from services.kpi.repeats import count_differing
from services.kpi.settings import KpiSettings
from services.kpi.windows import measure_windows

MOST_RECORDS: Final = 50_000
"""Events in one batch while there is much to catch up with: the more, the fewer rows an event."""


def build(settings: KpiSettings) -> tuple[Runtime, FastAPI]:
    """The runtime and the HTTP application."""
    in_flight = InFlight(utc_now)
    runtime = open_runtime(settings, "kpi", tables.SHARED, beats={"traffic": in_flight.until})
    if settings.consume:
        runtime.consume(
            handlers.REACTIONS,
            journal=tables.JOURNAL,
            self_deduplicating=frozenset({"traffic"}),
            count_differing=count_differing,
            note_dead=hold_back_dead,
            decode=read_record,
            most_records=MOST_RECORDS,
        )
        runtime.loop("collect garbage", collect_between_batches)
        runtime.every(
            "measure buckets", 1.0, lambda: measure(runtime.worker, timedelta(seconds=settings.settle_seconds))
        )
        runtime.every("measure windows", 2.0, lambda: measure_windows(runtime.worker))
        runtime.every("tell corrections", 5.0, lambda: tell_corrections(runtime.worker))
        runtime.every("fold history", 600.0, lambda: fold_history(runtime.worker))
        runtime.every("rebuild", 1.0, lambda: carry_out_aside(settings, runtime.worker))
        runtime.every("prove nightly", 60.0, lambda: prove_nightly(runtime.worker))
    runtime.every("end what is over", 5.0, lambda: end_due(runtime.worker))
    door = TrafficDoor(runtime.bus, lambda: Reader(runtime.installation.pseudonyms.replace), in_flight)
    questions = api.router_of(Progress(runtime.bus, runtime.clock), handlers.REACTIONS.topics)
    app = create_app(runtime, [front_door.router_of(door), desk.router, questions, rebuilds.router])
    app.add_middleware(front_door.BeaconCors)
    return runtime, app
