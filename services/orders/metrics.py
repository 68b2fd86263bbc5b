"""Metrics of orders."""

from prometheus_client import Counter

WEBHOOKS = Counter(
    "opswire_webhooks_total",
    "Messages of other shops, by what became of them when they were mapped.",
    ["kind", "status"],
)
WEBHOOKS_REFUSED = Counter(
    "opswire_webhooks_refused_total", "Messages without a valid signature, or too old to be new.", ["kind"]
)
