"""The tables of reporting: what kpi measured, targets, and the editions made of them."""

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from libs.service.database import metadata
from libs.service.runtime import service_tables

METADATA = metadata("reporting")
SHARED = service_tables(METADATA)
INSTANT = DateTime(timezone=True)

BUCKET = Table(
    "bucket",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("grain", Text, primary_key=True),
    Column("bucket", Text, primary_key=True),
    Column("channel", Text, primary_key=True, comment="'' for the total of the store"),
    Column("starts_at", INSTANT, nullable=False),
    Column("ends_at", INSTANT, nullable=False),
    Column("measures", JSONB, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("watermark", INSTANT, nullable=False),
    Index(None, "store", "grain", "channel", "ends_at"),
)

CORRECTION = Table(
    "correction",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("grain", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("corrected_at", INSTANT, nullable=False),
    Column("measures", JSONB, nullable=False, comment="names of the measures that changed"),
    Column("causes", JSONB, nullable=False),
    Column("cause_count", Integer, nullable=False),
    Column("applied_at", INSTANT, nullable=False),
    Index(None, "store", "grain", "bucket"),
)

TARGET = Table(
    "target",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("target_id", Text, primary_key=True),
    Column("decided_at", INSTANT, nullable=False),
    Column("recorded_at", INSTANT, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("dimension", JSONB, nullable=False),
    Column("value", Numeric, nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date, nullable=False),
)

PERIOD = Table(
    "period",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("report", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("due_at", INSTANT, nullable=True, comment="when the next edition is to be made; null: nothing to do"),
    Column("reason", Text, nullable=True),
    Column("editions", Integer, nullable=False),
    Index(None, "due_at"),
)

EDITION = Table(
    "edition",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("report", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("edition", Integer, primary_key=True),
    Column("published_at", INSTANT, nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_cells", Integer, nullable=False),
    Column("log_position", JSONB, nullable=False),
    Column("content", JSONB, nullable=False),
)

SHAPE = Table(
    "shape",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("report", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("edition", Integer, primary_key=True),
    Column("language", Text, primary_key=True),
    Column("extension", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
