"""The tables of the kpi service: entity states, figures with their history, and what is known about buckets.

States are msgpack of the classes in `entities/`; instants inside the engine are microseconds, buckets the second at
which they start, days proleptic ordinals.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from libs.events.tables import journal_table
from libs.service.database import metadata
from libs.service.runtime import service_tables

METADATA = metadata("kpi")
SHARED = service_tables(METADATA)
EVENT_TABLES = SHARED.events
JOURNAL = journal_table(METADATA)

INSTANT = DateTime(timezone=True)
NAME = Text(collation="C")
"""Ids and names of things: compared byte by byte, as the engine sorts them."""

# entities

VISITOR_DAY = Table(
    "visitor_day",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("visitor", NAME, primary_key=True),
    Column("day", Integer, primary_key=True, comment="proleptic ordinal of the store day"),
    Column("state", LargeBinary, nullable=False),
    Column("ids", LargeBinary, nullable=False, comment="8 bytes of each event's identity: dedup"),
    Index(None, "store", "day"),
)

ORDERS = Table(
    "orders",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("order_id", NAME, primary_key=True),
    Column("visitor", NAME),
    Column("placed_us", BigInteger),
    Column("paid_us", BigInteger),
    Column("skus", ARRAY(Text), nullable=False),
    Column("state", LargeBinary, nullable=False),
    Index("ix_orders_visitor", "store", "visitor", "placed_us", postgresql_where=text("visitor IS NOT NULL")),
    Index("ix_orders_placed", "store", "placed_us"),
    Index("ix_orders_paid", "store", "paid_us"),
    Index("ix_orders_skus", "skus", postgresql_using="gin"),
)

CUSTOMER = Table(
    "customer",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("customer", NAME, primary_key=True),
    Column("orders", Integer, nullable=False, comment="paid ones"),
    Column("state", LargeBinary, nullable=False),
    Index(None, "store", "orders"),
)

BUYER = Table(
    "buyer",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("grain", NAME, primary_key=True),
    Column("bucket", BigInteger, primary_key=True),
    Column("customer", NAME, primary_key=True),
    Column("state", LargeBinary, nullable=False, comment="cells in which he has paid orders, and how many"),
)

SKU = Table(
    "sku",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("sku", NAME, primary_key=True),
    Column("state", LargeBinary, nullable=False, comment="every known version of what it is and costs"),
    Column("seen_from", Integer, comment="first store day on which traffic names it"),
    Column("seen_to", Integer),
)

LEAF = Table(
    "leaf",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("kind", NAME, primary_key=True, comment="conversation, complaint, ad, cost, count"),
    Column("id", NAME, primary_key=True),
    Column("state", LargeBinary, nullable=False),
)

ASSIGNMENT = Table(
    "assignment",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("experiment", NAME, primary_key=True),
    Column("visitor", NAME, primary_key=True),
    Column("us", BigInteger, nullable=False, comment="when he first saw a variant: it is the one he counts for"),
    Column("event_id", NAME, nullable=False),
    Column("variant", NAME, nullable=False),
)

STOCK_LEVEL = Table(
    "stock_level",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("sku", NAME, primary_key=True),
    Column("hour", Integer, primary_key=True, comment="hours since 1970, UTC"),
    Column("us", BigInteger, nullable=False, comment="of the last level in that hour"),
    Column("version", BigInteger, nullable=False),
    Column("on_hand", BigInteger, nullable=False),
    Index(None, "store", "hour"),
)

DOCUMENT = Table(
    "document",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("kind", NAME, primary_key=True, comment="target, campaign, experiment, policy:<kind> ..."),
    Column("id", NAME, primary_key=True),
    Column("us", BigInteger, primary_key=True),
    Column("recorded_us", BigInteger, primary_key=True),
    Column("event_id", NAME, primary_key=True),
    Column("body", JSONB, nullable=False),
)

# what people define over HTTP

DEFINITION = Table(
    "definition",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("kind", NAME, primary_key=True, comment="target, campaign, experiment"),
    Column("id", NAME, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("changed_at", INSTANT, nullable=False),
    Column("ends_at", INSTANT, comment="when it ends by itself"),
    Column("ended_at", INSTANT, comment="when its end was told"),
    Index("ix_definition_ending", "ends_at", postgresql_where=text("ended_at IS NULL AND ends_at IS NOT NULL")),
)

# figures

FIGURE = Table(
    "figure",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("grain", NAME, primary_key=True),
    Column("by", NAME, primary_key=True, comment="names of its dimensions, sorted, with commas; '' is the total"),
    Column("bucket", BigInteger, primary_key=True, comment="second since 1970 at which it starts"),
    Column("value", NAME, primary_key=True, comment="values of its dimensions, separated by U+001F"),
    Column("shard", SmallInteger, primary_key=True),
    Column("measures", LargeBinary, nullable=False, comment="msgpack: {number of a measure: value}"),
)

FIGURE_DELTA = Table(
    "figure_delta",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("grain", NAME, primary_key=True),
    Column("by", NAME, primary_key=True),
    Column("bucket", BigInteger, primary_key=True),
    Column("minute", BigInteger, primary_key=True, comment="minutes since 1970 of the commits"),
    Column("shard", SmallInteger, primary_key=True),
    Column("changes", LargeBinary, nullable=False, comment="msgpack frames, one a commit: {value: {number: change}}"),
    Index("ix_figure_delta_minute", "minute", postgresql_using="brin"),
)

# buckets

BUCKET = Table(
    "bucket",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("grain", NAME, primary_key=True, comment="hour, day, week, month; w1 to w24 for alarm windows"),
    Column("bucket", BigInteger, primary_key=True),
    Column("measured_at", INSTANT),
    Column("touched_at", INSTANT, comment="when an event last reached it after its end"),
    Index("ix_bucket_unmeasured", "store", "bucket", postgresql_where=text("measured_at IS NULL")),
)

CORRECTION = Table(
    "correction",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("store", Text, nullable=False),
    Column("grain", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("bucket", BigInteger, nullable=False),
    Column("value", Text, nullable=False),
    Column("measure", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("from_value", BigInteger, nullable=False),
    Column("to_value", BigInteger, nullable=False),
    Column("corrected_at", INSTANT, nullable=False),
    Column("causes", ARRAY(Text), nullable=False, comment="event ids, at most 20, or import:ID, rebuild:ID"),
    Column("cause_count", Integer, nullable=False),
    Column("told", Boolean, nullable=False, server_default=text("false"), comment="published, or told to nobody"),
    Index(None, "store", "bucket"),
    Index("ix_correction_untold", "corrected_at", postgresql_where=text("NOT told")),
)

IMPORT = Table(
    "import",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("import_id", NAME, primary_key=True),
    Column("opened_at", INSTANT, nullable=False),
    Column("ended_at", INSTANT),
    Column("measured_at", INSTANT, comment="when what it touched had been measured"),
)

IMPORT_BUCKET = Table(
    "import_bucket",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("grain", NAME, primary_key=True),
    Column("bucket", BigInteger, primary_key=True),
    Column("import_id", NAME, primary_key=True),
)

IMPORT_CHANGE = Table(
    "import_change",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("import_id", NAME, primary_key=True),
    Column("grain", NAME, primary_key=True),
    Column("by", NAME, primary_key=True),
    Column("bucket", BigInteger, primary_key=True),
    Column("value", NAME, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("change", BigInteger, nullable=False),
)

QUARANTINED = Table(
    "quarantined",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("key", LargeBinary, primary_key=True, comment="identity of the event"),
    Column("topic", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("time", INSTANT, nullable=False),
    Column("cents", BigInteger, nullable=False),
    Column("quarantined_at", INSTANT, nullable=False),
)

DIFFERING = Table(
    "differing",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column("topic", NAME, primary_key=True),
    Column("events", BigInteger, nullable=False, comment="repeats that said something else than the first"),
)

STORE_START = Table(
    "store_start",
    METADATA,
    Column("store", NAME, primary_key=True),
    Column(
        "us", BigInteger, nullable=False, comment="acceptance of its first event: from here on every bucket is measured"
    ),
)

REBUILD = Table(
    "rebuild",
    METADATA,
    Column("rebuild_id", NAME, primary_key=True),
    Column("status", Text, nullable=False, comment="running, done, failed"),
    Column("asked_at", INSTANT, nullable=False),
    Column("finished_at", INSTANT),
    Column("events", BigInteger, nullable=False, server_default=text("0")),
    Column("total", BigInteger, nullable=False, server_default=text("0")),
    Column("seconds", Float),
    Column("live_digest", Text),
    Column("rebuilt_digest", Text),
    Column("repaired", JSONB),
    Column("error", Text),
)
