"""A reservation as it is usually written: FastAPI and the SQLAlchemy ORM, row locked, the rows that we write too."""

import os
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import BigInteger, DateTime, Identity, MetaData, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.peers.one_update import Reservation

POOL = 16


class Base(DeclarativeBase):
    """Tables of the peer, in a schema of their own."""

    metadata = MetaData(schema="bench")


class Stock(Base):
    """What there is."""

    __tablename__ = "stock"
    sku: Mapped[str] = mapped_column(Text, primary_key=True)
    on_hand: Mapped[int] = mapped_column(BigInteger)
    held: Mapped[int] = mapped_column(BigInteger)


class Held(Base):
    """A reservation; its id makes the call repeatable."""

    __tablename__ = "reservation"
    reservation_id: Mapped[str] = mapped_column(Text, primary_key=True)
    sku: Mapped[str] = mapped_column(Text)
    quantity: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Movement(Base):
    """The ledger."""

    __tablename__ = "movement"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    sku: Mapped[str] = mapped_column(Text)
    quantity: Mapped[int] = mapped_column(BigInteger)
    cause: Mapped[str] = mapped_column(Text)


class Outbox(Base):
    """Events to be published: the reservation and the level."""

    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, object]] = mapped_column(JSONB)


_engine = create_async_engine(os.environ["BENCH_DATABASE"], pool_size=POOL, max_overflow=0, pool_timeout=60)
_sessions = async_sessionmaker(_engine, expire_on_commit=False)


async def session() -> "AsyncSession":
    """One session a request."""
    return _sessions()


app = FastAPI()


@app.post("/v1/reservations", status_code=201)
async def reserve(body: Reservation, db: Annotated[AsyncSession, Depends(session)]) -> dict[str, object]:
    """Hold it, or 409."""
    (line,) = body.lines
    async with db, db.begin():
        if await db.get(Held, body.reservation_id) is not None:
            return {"reservation_id": body.reservation_id, "status": "held"}
        stock = (await db.execute(select(Stock).where(Stock.sku == line.sku).with_for_update())).scalar_one()
        if stock.on_hand - stock.held < line.quantity:
            raise HTTPException(409, "out of stock")
        stock.held += line.quantity
        expires_at = datetime.now(UTC) + timedelta(seconds=body.ttl_seconds)
        db.add(Held(reservation_id=body.reservation_id, sku=line.sku, quantity=line.quantity, expires_at=expires_at))
        db.add(Movement(sku=line.sku, quantity=-line.quantity, cause=body.reservation_id))
        db.add(Outbox(type="stock.reserved", data={"reservation_id": body.reservation_id, "sku": line.sku}))
        db.add(Outbox(type="stock.level", data={"sku": line.sku, "held": stock.held, "on_hand": stock.on_hand}))
    return {"reservation_id": body.reservation_id, "status": "held"}
