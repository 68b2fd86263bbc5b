"""A reservation as the quickest ordinary service does it: FastAPI, a pool, one conditional UPDATE a request."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

POOL = 16


class Line(BaseModel):
    """Units of a SKU."""

    sku: str
    quantity: int


class Reservation(BaseModel):
    """A wish to hold one line."""

    reservation_id: str
    lines: list[Line]
    ttl_seconds: int


@asynccontextmanager
async def _open(app: FastAPI) -> AsyncIterator[None]:
    url = os.environ["BENCH_DATABASE"].replace("+asyncpg", "")
    async with asyncpg.create_pool(url, min_size=POOL, max_size=POOL) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=_open)

_TAKE = "UPDATE bench.stock SET held = held + $2 WHERE sku = $1 AND on_hand - held >= $2 RETURNING on_hand - held"


@app.post("/v1/reservations", status_code=201)
async def reserve(body: Reservation, request: Request) -> dict[str, object]:
    """Hold it, or 409."""
    (line,) = body.lines
    left = await request.app.state.pool.fetchval(_TAKE, line.sku, line.quantity)
    if left is None:
        raise HTTPException(409, "out of stock")
    return {"reservation_id": body.reservation_id, "status": "held"}
