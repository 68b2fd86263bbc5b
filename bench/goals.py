"""The goals of performance, by path: the list against which every run is judged.

Absolute figures were set for a machine of two shared cores; they wander by a third from day to day there, the ratios do
not. What a run here cannot measure is listed all the same, with the reason.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on our median, or on its ratio to the series named by `against`."""

    id: str
    path: str
    text: str
    bound: float = 0.0
    at_least: bool = True
    against: str | None = None
    unmeasured: str = ""
    """Why no run of this bench can tell."""

    def is_met_by(self, figure: float) -> bool:
        return figure >= self.bound if self.at_least else figure <= self.bound


def at_least(goal_id: str, path: str, text: str, bound: float, against: str | None = None) -> Goal:
    """More is better."""
    return Goal(goal_id, path, text, bound, at_least=True, against=against)


def at_most(goal_id: str, path: str, text: str, bound: float, against: str | None = None) -> Goal:
    """Less is better."""
    return Goal(goal_id, path, text, bound, at_least=False, against=against)


def not_here(goal_id: str, path: str, text: str, why: str) -> Goal:
    """A goal that this bench cannot judge."""
    return Goal(goal_id, path, text, unmeasured=why)


BYTEWAX, QUIX, FAUST = "bytewax, windows", "Quix Streams, windows", "Faust, tables"
STREAMS = "Kafka Streams, exactly once, own dedup"
ECHO, ORM, ONE_UPDATE = "raw ASGI echo", "FastAPI + ORM, the same rows", "FastAPI + one UPDATE"
SPREAD, FEWER_CLIENTS = "opswire, spread SKUs", "opswire, 64 clients"
NOTHING_BEHIND = "FastAPI, nothing behind"
SEND_EACH = "FastAPI + send() each"
BARE_CHAIN, IDLE = "bare produce, consume, POST", "opswire, idle"
LIVE = "opswire, live path"
ROW_BY_ROW = "row by row"

_ROLLUP = "1 Kafka to exact figures, journal and position, one process"
_REBUILD = "2 rebuild from the journal"
_RESERVE = "3 reserve over HTTP, one hot SKU, one worker, exact"
_PLACE = "4 place an order over HTTP: hold, state, outbox"
_INGEST = "5 traffic over HTTP, batches of 100, one worker, acknowledged by Kafka"
_LATENCY = "6 emit to published, emit to webhook"
_MEMORY = "7 memory of the kpi consumer"
_QUERY = "8 KPI query over a year"
_GROWTH = "9 cost as work grows"
_POSTGRES = "10 the PostgreSQL bus"
_RELAY = "11 outbox relay to Kafka"
_DONE = "a low stock level reaches a person"

_LONG = "ten million events do not fit into the quarter of an hour of `make bench`; `make soak` is the place"

GOALS: tuple[Goal, ...] = (
    at_least("rollup.kafka", _ROLLUP, "at least 120,000 events/s with SKU figures and sessions", 120_000),
    not_here(
        "rollup.visitors", _ROLLUP, "at least 200,000 events/s with visitor figures alone",
        "as shipped one engine counts all figures; there is no mode that leaves out SKUs and sessions",
    ),
    at_least("rollup.bytewax", _ROLLUP, "at least 2x bytewax windows", 2, BYTEWAX),
    at_least("rollup.quix", _ROLLUP, "at least 5x Quix windows", 5, QUIX),
    at_least("rollup.faust", _ROLLUP, "at least 20x Faust", 20, FAUST),
    at_least("rollup.streams", _ROLLUP, "at least 1x Kafka Streams exactly_once_v2 with its own dedup", 1, STREAMS),
    at_most("rollup.memory", _ROLLUP, "at most a fifth of the memory of Kafka Streams", 0.2, STREAMS),
    not_here("rollup.flink", _ROLLUP, "at least 1x Flink SQL's window job", "a cluster of its own is not set up here"),
    at_least("rebuild.rate", _REBUILD, "at least 400,000 events/s", 400_000),
    at_least("rebuild.live", _REBUILD, "at least 3x the live path", 3, LIVE),
    not_here("rebuild.parquet", _REBUILD, "at least 2,000,000 events/s from Parquet", "no Parquet export is built yet"),
    at_least("reserve.rate", _RESERVE, "at least 8,000 answers/s at 64 clients", 8_000),
    at_most("reserve.p99", _RESERVE, "p99 under 50 ms at 64 clients", 50),
    at_least("reserve.echo", _RESERVE, "at least 0.4x the raw ASGI echo", 0.4, ECHO),
    at_least("reserve.orm", _RESERVE, "at least 25x FastAPI + ORM", 25, ORM),
    not_here("reserve.medusa", _RESERVE, "at least 40x Medusa", "a Node.js program: not on PyPI"),
    at_least("reserve.hot", _RESERVE, "hot SKU at least 0.9x spread SKUs", 0.9, SPREAD),
    at_least("reserve.crowd", _RESERVE, "1,024 clients at least 0.9x 64 clients", 0.9, FEWER_CLIENTS),
    at_most("reserve.alone", _RESERVE, "one client waits no longer than ungathered (FastAPI + ORM)", 1, ORM),
    at_least("place.rate", _PLACE, "at least 1,500 orders/s", 1_500),
    at_most("place.p99", _PLACE, "p99 under 100 ms", 100),
    at_least("place.bare", _PLACE, "at least 0.4x FastAPI with nothing behind", 0.4, NOTHING_BEHIND),
    at_least("ingest.rate", _INGEST, "at least 150,000 events/s", 150_000),
    at_least("ingest.send", _INGEST, "at least 4x FastAPI + send()", 4, SEND_EACH),
    at_most("publish.p50", _LATENCY, "emit to published: p50 at most 2 ms", 2),
    at_most("publish.p99", _LATENCY, "emit to published: p99 at most 15 ms", 15),
    at_most("webhook.p50", _LATENCY, "emit to webhook: p50 at most 20 ms", 20),
    at_most("webhook.p99", _LATENCY, "emit to webhook: p99 at most 80 ms", 80),
    at_most("webhook.loaded", _LATENCY, "p99 under full load of path 1 at most 3x idle", 3, IDLE),
    at_most("webhook.chain", _LATENCY, "at most 2x the bare chain", 2, BARE_CHAIN),
    at_most("low_stock", _DONE, "under 1 s in the median, with a dead webhook beside it", 1_000),
    not_here("memory", _MEMORY, "under 250 MB, flat, after 10 million events and 1 million visitors", _LONG),
    at_most("query.channel", _QUERY, "by channel and day: p50 under 50 ms", 50),
    at_most("query.sku", _QUERY, "by SKU and month: p50 under 50 ms", 50),
    not_here("growth", _GROWTH, "time per event at 10 million events at most 1.3x that at 100,000", _LONG),
    at_least("rollup.postgres", _POSTGRES, "at least 30,000 events/s through path 1", 30_000),
    at_least("relay.rate", _RELAY, "at least 100,000 rows/s", 100_000),
    at_least("relay.rows", _RELAY, "at least 100x row by row", 100, ROW_BY_ROW),
)  # fmt: skip

_BY_ID = {goal.id: goal for goal in GOALS}


def goal(goal_id: str) -> Goal:
    """The goal of that id. Raises KeyError."""
    return _BY_ID[goal_id]
