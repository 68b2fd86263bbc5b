"""The ceiling of any rollup in this language: decoded events counted in plain dicts, no bus and no database.

`python -m bench.peers.dict_loop COUNT`
"""

import json
import sys
from collections import defaultdict
from time import perf_counter

from bench.peers.timing import HOUR
from bench.samples import page_views
from libs.events.contracts import PageViewed
from libs.events.lean import decoder


def main(count: int) -> dict[str, float]:
    """Views and visitors by hour and channel."""
    messages = [(dict(m.headers)["ce_time"], m.value) for m in page_views(count)]
    decode = decoder(PageViewed, "visitor_id", "channel").decode
    views: defaultdict[tuple[bytes, str], int] = defaultdict(int)
    visitors: defaultdict[tuple[bytes, str], set[str]] = defaultdict(set)
    began = perf_counter()
    for time, value in messages:
        event = decode(value)
        key = time[:HOUR], event.channel
        views[key] += 1
        visitors[key].add(event.visitor_id)
    return {"per_second": count / (perf_counter() - began)}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
