"""Metrics of alerts."""

from prometheus_client import Counter, Histogram

DELIVERIES = Counter("opswire_deliveries_total", "Attempts to deliver a message, by what became of them.", ["result"])
DELIVERY_SECONDS = Histogram("opswire_delivery_seconds", "Time that a target took to answer.", ["kind"])
SERVICE_EVENTS_REFUSED = Counter("opswire_service_events_refused_total", "Service events refused at the front door.")
SERVICE_EVENTS_QUARANTINED = Counter(
    "opswire_service_events_quarantined_total", "Service events dated in the future, put aside (D5)."
)
CLOCKS_JUDGED = Counter("opswire_clocks_judged_total", "Conversations whose clocks were judged because a time came.")
