"""bytewax: views and visitors by hour and channel in tumbling windows of event time; no dedup, no database.

`python -m bench.peers.bytewax_windows BOOTSTRAP TOPIC`; runs in the peers' environment.
"""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as windows
import msgspec
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower
from bytewax.testing import TestingSink, run_main

from bench.peers.timing import Stopwatch

View = tuple[datetime, str]


class _Data(msgspec.Struct):
    visitor_id: str
    channel: str | None = None


def flow_of(bootstrap: str, topic: str, seen: Stopwatch) -> Dataflow:
    """Read to the end, fold, collect the windows."""
    decode = msgspec.json.Decoder(_Data).decode

    def read(message: Any) -> tuple[str, View]:
        seen()
        headers = dict(message.headers)
        data = decode(message.value)
        return data.channel or "direct", (datetime.fromisoformat(headers["ce_time"].decode()), data.visitor_id)

    def add(so_far: tuple[int, set[str]], view: View) -> tuple[int, set[str]]:
        so_far[1].add(view[1])
        return so_far[0] + 1, so_far[1]

    flow = Dataflow("rollup")
    records = op.input("in", flow, KafkaSource([bootstrap], [topic], tail=False, batch_size=1_000))
    views = op.map("read", op.filter("events", records, is_view), read)
    folded = windows.fold_window(
        "fold", views, EventClock(lambda view: view[0], wait_for_system_duration=timedelta(days=1)),
        TumblingWindower(length=timedelta(hours=1), align_to=datetime(2024, 1, 1, tzinfo=UTC)),
        lambda: (0, set()), add, lambda a, b: (a[0] + b[0], a[1] | b[1]),
    )  # fmt: skip
    op.output("out", folded.down, TestingSink([]))
    return flow


def is_view(message: Any) -> bool:
    """Not a beat."""
    return (b"page.viewed.v1") in (value for _, value in message.headers)


if __name__ == "__main__":
    stopwatch = Stopwatch()
    run_main(flow_of(sys.argv[1], sys.argv[2], stopwatch))
    stopwatch.report()
