"""An outbox relayed row by row: read one, send it, wait for the broker, delete it, commit.

`python -m bench.peers.row_relay DATABASE BOOTSTRAP TOPIC ROWS`; the topic must exist.
"""

import json
import sys
from time import perf_counter

import asyncpg
import uvloop
from aiokafka import AIOKafkaProducer

from bench.samples import envelope_of, order
from libs.events.codec import to_message

_TABLE = """
create schema if not exists bench;
create table if not exists bench.outbox (id bigint generated always as identity primary key, key bytea, value bytea);
"""
_FILL = "insert into bench.outbox (key, value) select $1, $2 from generate_series(1, $3)"
_READ = "select id, key, value from bench.outbox order by id limit 1"


async def main(url: str, bootstrap: str, topic: str, rows: int) -> dict[str, float]:
    """Relay all rows."""
    message = to_message(envelope_of(order()))
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute(_TABLE)
    await connection.execute(_FILL, message.key, message.value, rows)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    began = perf_counter()
    while (row := await connection.fetchrow(_READ)) is not None:
        await producer.send_and_wait(topic, row["value"], key=row["key"])
        await connection.execute("delete from bench.outbox where id = $1", row["id"])
    seconds = perf_counter() - began
    await producer.stop()
    await connection.close()
    return {"per_second": rows / seconds}


if __name__ == "__main__":
    database, bootstrap, topic, rows = sys.argv[1:]
    print(json.dumps(uvloop.run(main(database, bootstrap, topic, int(rows)))))
