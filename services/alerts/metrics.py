"""Metrics of alerts."""

from prometheus_client import Counter, Histogram

DELIVERIES = Counter("opswire_deliveries_total", "Attempts to deliver a message, by what became of them.", ["result"])
DELIVERY_SECONDS = Histogram("opswire_delivery_seconds", "Time that a target took to answer.", ["kind"])
