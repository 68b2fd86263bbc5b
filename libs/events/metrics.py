"""Every metric of the event path. Labels come from closed sets: consumers, topics, reasons."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS_PUBLISHED = Counter("opswire_events_published_total", "Events the relay has put on the bus.", ["topic"])
EVENTS_CONSUMED = Counter("opswire_events_consumed_total", "Events applied, repeats left out.", ["consumer", "topic"])
EVENTS_SKIPPED = Counter(
    "opswire_events_skipped_total",
    "Records without effect: repeats, types this version does not know, records behind the position.",
    ["consumer", "topic", "reason"],
)
EVENTS_DEAD = Counter("opswire_events_dead_total", "Records moved to a dead-letter topic.", ["consumer", "topic"])
STREAMS_PARKED = Counter("opswire_streams_parked_total", "A store's type parked for too many failures.", ["topic"])
BATCH_SECONDS = Histogram(
    "opswire_batch_seconds",
    "Time of one consumer batch from decoded to committed.",
    ["consumer"],
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
BATCH_RETRIES = Counter("opswire_batch_retries_total", "Batches tried again after a transient error.", ["consumer"])
CONSUMER_LAG = Gauge(
    "opswire_consumer_lag_events", "Records on the bus that are not applied yet.", ["consumer", "topic"]
)
WATERMARK = Gauge(
    "opswire_watermark_timestamp_seconds", "Everything accepted before this time is applied.", ["consumer", "topic"]
)
OUTBOX_PENDING_SECONDS = Gauge("opswire_outbox_pending_seconds", "Age of the oldest unsent event.", ["service"])
RELAY_RETRIES = Counter(
    "opswire_relay_retries_total", "Reads or posts of the relay that were tried again.", ["service"]
)
