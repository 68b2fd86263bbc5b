"""Traffic ingest as the documentation of FastAPI and aiokafka has it: a pydantic list, one `send()` an event."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Request
from pydantic import AwareDatetime, BaseModel


class View(BaseModel):
    """The short form."""

    id: str
    type: Literal["page.viewed"]
    time: AwareDatetime
    visitor_id: str
    url_path: str
    page_kind: str
    channel: str | None = None
    sku: str | None = None
    session_id: str | None = None


@asynccontextmanager
async def _open(app: FastAPI) -> AsyncIterator[None]:
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["BENCH_KAFKA"], acks="all", enable_idempotence=True, compression_type="lz4"
    )
    await producer.start()
    app.state.producer = producer
    yield
    await producer.stop()


app = FastAPI(lifespan=_open)


@app.post("/v1/events", status_code=202)
async def take(views: list[View], request: Request) -> dict[str, int]:
    """Answered when the broker has all of them."""
    producer: AIOKafkaProducer = request.app.state.producer
    topic = os.environ["BENCH_TOPIC"]
    sent = [await producer.send(topic, view.model_dump_json().encode(), key=view.visitor_id.encode()) for view in views]
    for acknowledgement in sent:
        await acknowledgement
    return {"accepted": len(sent)}
