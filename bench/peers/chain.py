"""The limit of any chain over Kafka: produce, wait for the broker; consume; POST to a server. Nothing is stored.

`python -m bench.peers.chain BOOTSTRAP URL EVENTS`. Prints p50 and p99 in ms: of the
producing alone, and to the answer of the POST.
"""

import asyncio
import json
import sys
import uuid
from time import perf_counter

import httpx2
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.samples import envelope_of, order
from bench.series import quantile
from libs.events.codec import to_message

WARM_UP = 20
PAUSE_SECONDS = 0.005


async def main(bootstrap: str, url: str, events: int) -> dict[str, float]:
    """One event at a time, each waited for."""
    message = to_message(envelope_of(order()))
    topic = await _new_topic(bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="latest")
    produced, posted = [], []
    async with producer, consumer, httpx2.AsyncClient(timeout=30.0) as client:
        await consumer.seek_to_end()
        for _ in range(events + WARM_UP):
            began = perf_counter()
            sending = asyncio.create_task(_produce(producer, topic, message.value))
            record = await consumer.getone()
            await client.post(url, content=record.value, headers={"content-type": "application/json"})
            posted.append(1000 * (perf_counter() - began))
            produced.append(1000 * (await sending - began))
            await asyncio.sleep(PAUSE_SECONDS)
    return {**_figures("produced", produced), **_figures("posted", posted)}


async def _new_topic(bootstrap: str) -> str:
    name = f"chain-{uuid.uuid4().hex[:10]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1)])
    while not any(topic["topic"] == name and topic["partitions"] for topic in await admin.describe_topics()):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await admin.close()
    return name


async def _produce(producer: AIOKafkaProducer, topic: str, value: bytes) -> float:
    await producer.send_and_wait(topic, value)
    return perf_counter()


def _figures(name: str, waits: list[float]) -> dict[str, float]:
    ordered = sorted(waits[WARM_UP:])
    return {f"{name}_p50_ms": quantile(ordered, 0.5), f"{name}_p99_ms": quantile(ordered, 0.99)}


if __name__ == "__main__":
    bootstrap, url, events = sys.argv[1:]
    print(json.dumps(uvloop.run(main(bootstrap, url, int(events)))))
