"""Every metric of the kpi service."""

from prometheus_client import Counter, Gauge

EVENTS_ACCEPTED = Counter(
    "opswire_ingest_accepted_events_total", "Traffic events that the bus acknowledged before their answer"
)
EVENTS_REFUSED = Counter(
    "opswire_ingest_refused_events_total", "Events refused at the front door, listed in the answer"
)
EVENTS_IN_FLIGHT = Gauge("opswire_ingest_in_flight_events", "Traffic events on their way to the bus")
REBUILD_DRIFT = Gauge(
    "opswire_kpi_rebuild_drift_rows", "Rows that the last rebuild found different from the journal, and put right"
)
REBUILD_PROVEN = Gauge("opswire_kpi_rebuild_finished_timestamp_seconds", "When the last rebuild was done")
