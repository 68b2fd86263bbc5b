"""All measurements, in the order in which they run."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.claims import Outcome
from bench.measurements import bus, decode, ingest, latency, place, query, rebuild, relay, reserve, rollup
from bench.stage import Stage


@dataclass(frozen=True, slots=True)
class Measurement:
    """`make bench ONLY=name`."""

    name: str
    title: str
    measure: Callable[[Stage], Awaitable[Outcome]]


MEASUREMENTS = (
    Measurement("decode", "Decoding an event, per second of one core", decode.measure),
    Measurement("bus", "Both buses alone", bus.measure),
    Measurement("rollup", "From the bus to exact figures", rollup.measure),
    Measurement("rebuild", "Rebuild from the journal, with proof", rebuild.measure),
    Measurement("reserve", "Reservations over HTTP", reserve.measure),
    Measurement("place", "Placing orders over HTTP", place.measure),
    Measurement("ingest", "Traffic over HTTP", ingest.measure),
    Measurement("relay", "Outbox to bus", relay.measure),
    Measurement("latency", "Emit to published, low stock to webhook", latency.measure),
    Measurement("query", "Questions about a year", query.measure),
)
