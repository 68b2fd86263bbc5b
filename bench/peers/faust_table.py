"""Faust: views by hour and channel in a table of its own; no dedup, no database.

`python -m bench.peers.faust_table BOOTSTRAP TOPIC COUNT`; runs in the peers' environment.
"""

import os
import sys
import tempfile
import uuid
from typing import Any

import faust
import msgspec

from bench.peers.timing import HOUR, Stopwatch


class _Data(msgspec.Struct):
    visitor_id: str
    channel: str | None = None


def main(bootstrap: str, topic_name: str, count: int) -> None:
    """Process that many records, report and end at once."""
    app = faust.App(
        f"faust-{uuid.uuid4().hex[:8]}", broker=f"kafka://{bootstrap}", store="memory://", web_enabled=False,
        datadir=tempfile.mkdtemp(), consumer_auto_offset_reset="earliest", topic_disable_leader=True,
        topic_partitions=24, value_serializer="raw", key_serializer="raw",
    )  # fmt: skip
    topic = app.topic(topic_name, value_type=bytes, key_type=bytes, internal=True)
    views = app.Table("views", default=int, partitions=24)
    decode = msgspec.json.Decoder(_Data).decode
    seen = Stopwatch()

    @app.agent(topic)  # type: ignore[untyped-decorator]
    async def roll_up(stream: Any) -> None:
        async for event in stream.events():
            seen()
            data = decode(event.value)
            views[event.headers["ce_time"][:HOUR].decode() + (data.channel or "direct")] += 1
            if seen.count >= count:
                seen.report()
                os._exit(0)

    sys.argv = ["faust", "worker", "--loglevel", "error", "--without-web"]
    app.main()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(arguments[0], arguments[1], int(arguments[2]))
