"""The tables that every service keeps for its events, in its own schema."""

from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

INSTANT = DateTime(timezone=True)


@dataclass(frozen=True)
class EventTables:
    """The outbox of a service and what its consumers remember."""

    outbox: Table
    position: Table
    watermark: Table
    seen: Table
    parking: Table


def event_tables(metadata: MetaData) -> EventTables:
    """Add the event tables to a service's metadata; `metadata.schema` names the service."""
    return EventTables(
        outbox=Table(
            "outbox",
            metadata,
            Column("id", BigInteger, Identity(always=True), primary_key=True),
            Column("topic", Text, nullable=False),
            Column("key", LargeBinary, nullable=False),
            Column("value", LargeBinary, nullable=False),
            Column("headers", LargeBinary, nullable=False, comment="msgpack: [[name, value], ...]"),
            Column("written_at", INSTANT, nullable=False, server_default=func.now()),
        ),
        position=Table(
            "position",
            metadata,
            Column("consumer", Text, primary_key=True),
            Column("topic", Text, primary_key=True),
            Column("partition", Integer, primary_key=True),
            Column("next_offset", BigInteger, nullable=False),
            Column("last_record", LargeBinary, nullable=True, comment="hash of the record at next_offset - 1"),
            Column("moved_at", INSTANT, nullable=False, server_default=func.now()),
        ),
        watermark=Table(
            "watermark",
            metadata,
            Column("consumer", Text, primary_key=True),
            Column("topic", Text, primary_key=True),
            Column("until", INSTANT, nullable=True, comment="everything accepted before this has been applied"),
            Column("pending", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
        ),
        seen=Table(
            "seen",
            metadata,
            Column("key", LargeBinary, primary_key=True, comment="16 bytes of store, source and id"),
        ),
        parking=Table(
            "parking",
            metadata,
            Column("topic", Text, primary_key=True),
            Column("store", Text, primary_key=True),
            Column("type", Text, primary_key=True),
            Column("in_a_row", BigInteger, nullable=False),
            Column("failed", BigInteger, nullable=False),
            Column("handled", BigInteger, nullable=False),
            Column("parked_at", INSTANT, nullable=True),
        ),
    )


def journal_table(metadata: MetaData) -> Table:
    """Add the journal: one compressed segment a batch and partition, for the services that rebuild or replay."""
    return Table(
        "journal",
        metadata,
        Column("topic", Text, primary_key=True),
        Column("partition", Integer, primary_key=True),
        Column("first_offset", BigInteger, primary_key=True),
        Column("last_offset", BigInteger, nullable=False),
        Column("accepted_on", Date, nullable=False, comment="UTC day on which the segment was written"),
        Column("least_time", INSTANT, nullable=False),
        Column("greatest_time", INSTANT, nullable=False),
        Column("events", Integer, nullable=False),
        Column("payload", LargeBinary, nullable=False, comment="zstd of msgpack: [[offset, key, value, headers], ...]"),
        Index(None, "accepted_on"),
    )
