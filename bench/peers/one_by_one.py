"""The floor: one event a transaction, position and counter with it, straight on the driver; no bus.

`python -m bench.peers.one_by_one DATABASE COUNT`
"""

import json
import sys
from time import perf_counter

import asyncpg
import uvloop

from bench.samples import page_views
from libs.events.contracts import PageViewed
from libs.events.lean import decoder

_TABLES = """
create schema if not exists bench;
create table if not exists bench.views (hour text, channel text, views bigint, primary key (hour, channel));
create table if not exists bench.position (topic text primary key, next_offset bigint);
insert into bench.position values ('traffic', 0) on conflict do nothing;
"""
_COUNT = "insert into bench.views values ($1, $2, 1) on conflict (hour, channel) do update set views = views.views + 1"
_MOVE = "update bench.position set next_offset = next_offset + 1 where topic = 'traffic'"


async def main(url: str, count: int) -> dict[str, float]:
    """Apply them in order."""
    decode = decoder(PageViewed, "channel").decode
    messages = [(dict(m.headers)["ce_time"].decode()[:13], m.value) for m in page_views(count)]
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute(_TABLES)
    began = perf_counter()
    for hour, value in messages:
        async with connection.transaction():
            await connection.execute(_COUNT, hour, decode(value).channel)
            await connection.execute(_MOVE)
    seconds = perf_counter() - began
    await connection.close()
    return {"per_second": count / seconds}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(sys.argv[1], int(sys.argv[2])))))
