"""Every metric of the service shell. Labels come from closed sets: routes, methods, loops."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("opswire_http_requests_total", "Answered calls.", ["service", "method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "opswire_http_request_seconds",
    "Time from the first byte of a call to the last of its answer, waiting included.",
    ["service", "method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
REQUESTS_RUNNING = Gauge("opswire_http_requests_running", "Calls being worked on.", ["service"])
REQUESTS_WAITING = Gauge("opswire_http_requests_waiting", "Calls waiting for their turn.", ["service"])
REQUESTS_REFUSED = Counter("opswire_http_requests_refused_total", "Calls refused for overload (P9).", ["service"])
ANSWERS_REPEATED = Counter("opswire_answers_repeated_total", "Repeats that got their kept answer (P10).", ["service"])
TICKS = Counter("opswire_ticks_total", "Runs of a ticker.", ["service", "ticker", "outcome"])
TICK_SECONDS = Histogram("opswire_tick_seconds", "Time of one run of a ticker.", ["service", "ticker"])
POOL_CONNECTIONS = Gauge("opswire_database_connections", "Database connections lent out.", ["service"])
