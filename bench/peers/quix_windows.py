"""Quix Streams: views by hour in tumbling windows of each key (its windows are per key); no dedup, no database.

`python -m bench.peers.quix_windows BOOTSTRAP TOPIC COUNT`; runs in the peers' environment.
"""

import logging
import sys
import tempfile
import uuid
from datetime import datetime, timedelta
from typing import Any

from quixstreams import Application

from bench.peers.timing import Stopwatch


def main(bootstrap: str, topic_name: str, count: int) -> None:
    """Process that many records and report."""
    seen = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        app = Application(
            broker_address=bootstrap, consumer_group=f"quix-{uuid.uuid4().hex[:8]}", auto_offset_reset="earliest",
            state_dir=folder, loglevel=logging.WARNING, use_changelog_topics=False, auto_create_topics=False,
        )  # fmt: skip
        topic = app.topic(topic_name, value_deserializer="json", key_deserializer="str", timestamp_extractor=event_time)

        def note(value: Any) -> None:
            del value
            seen()

        views = app.dataframe(topic).update(note)
        views.tumbling_window(timedelta(hours=1), grace_ms=86_400_000).count().current()
        app.run(count=count, timeout=20.0)
        seen.report()


def event_time(value: Any, headers: Any, timestamp: float, timestamp_type: Any) -> int:
    """The event's own time in milliseconds."""
    del value, timestamp, timestamp_type
    return int(datetime.fromisoformat(dict(headers)["ce_time"].decode()).timestamp() * 1000)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
