"""Every metric of the kpi service's front door."""

from prometheus_client import Counter, Gauge

EVENTS_ACCEPTED = Counter(
    "opswire_ingest_accepted_events_total", "Traffic events that the bus acknowledged before their answer"
)
EVENTS_REFUSED = Counter(
    "opswire_ingest_refused_events_total", "Events refused at the front door, listed in the answer"
)
EVENTS_IN_FLIGHT = Gauge("opswire_ingest_in_flight_events", "Traffic events on their way to the bus")
