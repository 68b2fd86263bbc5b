"""First tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from libs.service.database import drop_tables, enable_row_security

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "assignment",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("experiment", sa.Text(collation="C"), nullable=False),
        sa.Column("visitor", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "us", sa.BigInteger(), nullable=False, comment="when he first saw a variant: it is the one he counts for"
        ),
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("variant", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("store", "experiment", "visitor", name=op.f("pk_assignment")),
        schema="kpi",
    )
    op.create_table(
        "bucket",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "grain",
            sa.Text(collation="C"),
            nullable=False,
            comment="hour, day, week, month; w1 to w24 for alarm windows",
        ),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "touched_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when an event last reached it after its end",
        ),
        sa.PrimaryKeyConstraint("store", "grain", "bucket", name=op.f("pk_bucket")),
        schema="kpi",
    )
    op.create_index(
        "ix_bucket_unmeasured",
        "bucket",
        ["store", "bucket"],
        unique=False,
        schema="kpi",
        postgresql_where=sa.text("measured_at IS NULL"),
    )
    op.create_table(
        "buyer",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("grain", sa.Text(collation="C"), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("customer", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False, comment="cells in which he has paid orders, and how many"),
        sa.PrimaryKeyConstraint("store", "grain", "bucket", "customer", name=op.f("pk_buyer")),
        schema="kpi",
    )
    op.create_table(
        "correction",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("grain", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("from_value", sa.BigInteger(), nullable=False),
        sa.Column("to_value", sa.BigInteger(), nullable=False),
        sa.Column("corrected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "causes",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="event ids, at most 20, or import:ID, rebuild:ID",
        ),
        sa.Column("cause_count", sa.Integer(), nullable=False),
        sa.Column(
            "told",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="published, or told to nobody",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_correction")),
        schema="kpi",
    )
    op.create_index(op.f("ix_correction_store_bucket"), "correction", ["store", "bucket"], unique=False, schema="kpi")
    op.create_index(
        "ix_correction_untold",
        "correction",
        ["corrected_at"],
        unique=False,
        schema="kpi",
        postgresql_where=sa.text("NOT told"),
    )
    op.create_table(
        "customer",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("customer", sa.Text(collation="C"), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False, comment="paid ones"),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("store", "customer", name=op.f("pk_customer")),
        schema="kpi",
    )
    op.create_index(op.f("ix_customer_store_orders"), "customer", ["store", "orders"], unique=False, schema="kpi")
    op.create_table(
        "definition",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False, comment="target, campaign, experiment"),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True, comment="when it ends by itself"),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True, comment="when its end was told"),
        sa.PrimaryKeyConstraint("store", "kind", "id", name=op.f("pk_definition")),
        schema="kpi",
    )
    op.create_index(
        "ix_definition_ending",
        "definition",
        ["ends_at"],
        unique=False,
        schema="kpi",
        postgresql_where=sa.text("ended_at IS NULL AND ends_at IS NOT NULL"),
    )
    op.create_table(
        "differing",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("topic", sa.Text(collation="C"), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False, comment="repeats that said something else than the first"),
        sa.PrimaryKeyConstraint("store", "topic", name=op.f("pk_differing")),
        schema="kpi",
    )
    op.create_table(
        "document",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "kind", sa.Text(collation="C"), nullable=False, comment="target, campaign, experiment, policy:<kind> ..."
        ),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("us", sa.BigInteger(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("store", "kind", "id", "us", "recorded_us", "event_id", name=op.f("pk_document")),
        schema="kpi",
    )
    op.create_table(
        "figure",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("grain", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "by",
            sa.Text(collation="C"),
            nullable=False,
            comment="names of its dimensions, sorted, with commas; '' is the total",
        ),
        sa.Column("bucket", sa.BigInteger(), nullable=False, comment="second since 1970 at which it starts"),
        sa.Column(
            "value", sa.Text(collation="C"), nullable=False, comment="values of its dimensions, separated by U+001F"
        ),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("measures", sa.LargeBinary(), nullable=False, comment="msgpack: {number of a measure: value}"),
        sa.PrimaryKeyConstraint("store", "grain", "by", "bucket", "value", "shard", name=op.f("pk_figure")),
        schema="kpi",
    )
    op.create_table(
        "figure_delta",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("grain", sa.Text(collation="C"), nullable=False),
        sa.Column("by", sa.Text(collation="C"), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False, comment="minutes since 1970 of the commits"),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column(
            "changes",
            sa.LargeBinary(),
            nullable=False,
            comment="msgpack frames, one a commit: {value: {number: change}}",
        ),
        sa.PrimaryKeyConstraint("store", "grain", "by", "bucket", "minute", "shard", name=op.f("pk_figure_delta")),
        schema="kpi",
    )
    op.create_index(
        "ix_figure_delta_minute", "figure_delta", ["minute"], unique=False, schema="kpi", postgresql_using="brin"
    )
    op.create_table(
        "idempotency",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False, comment="method and path, or natural:kind"),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False, comment="SHA-256 of what was asked"),
        sa.Column(
            "status", sa.Integer(), nullable=True, comment="null only inside the transaction that is still working"
        ),
        sa.Column("headers", postgresql.JSONB(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column(
            "problem",
            postgresql.JSONB(),
            nullable=True,
            comment="the problem document, without what differs at each repeat",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "route", "key", name=op.f("pk_idempotency")),
        schema="kpi",
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False, schema="kpi")
    op.create_table(
        "import",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("import_id", sa.Text(collation="C"), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "measured_at", sa.DateTime(timezone=True), nullable=True, comment="when what it touched had been measured"
        ),
        sa.PrimaryKeyConstraint("store", "import_id", name=op.f("pk_import")),
        schema="kpi",
    )
    op.create_table(
        "import_bucket",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("grain", sa.Text(collation="C"), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("import_id", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("store", "grain", "bucket", "import_id", name=op.f("pk_import_bucket")),
        schema="kpi",
    )
    op.create_table(
        "import_change",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("import_id", sa.Text(collation="C"), nullable=False),
        sa.Column("grain", sa.Text(collation="C"), nullable=False),
        sa.Column("by", sa.Text(collation="C"), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "store", "import_id", "grain", "by", "bucket", "value", "number", name=op.f("pk_import_change")
        ),
        schema="kpi",
    )
    op.create_table(
        "journal",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("first_offset", sa.BigInteger(), nullable=False),
        sa.Column("last_offset", sa.BigInteger(), nullable=False),
        sa.Column("accepted_on", sa.Date(), nullable=False, comment="UTC day on which the segment was written"),
        sa.Column("least_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("greatest_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column(
            "payload", sa.LargeBinary(), nullable=False, comment="zstd of msgpack: [[offset, key, value, headers], ...]"
        ),
        sa.PrimaryKeyConstraint("topic", "partition", "first_offset", name=op.f("pk_journal")),
        schema="kpi",
    )
    op.create_index(op.f("ix_journal_accepted_on"), "journal", ["accepted_on"], unique=False, schema="kpi")
    op.create_table(
        "leaf",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False, comment="conversation, complaint, ad, cost, count"),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("store", "kind", "id", name=op.f("pk_leaf")),
        schema="kpi",
    )
    op.create_table(
        "orders",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("visitor", sa.Text(collation="C"), nullable=True),
        sa.Column("placed_us", sa.BigInteger(), nullable=True),
        sa.Column("paid_us", sa.BigInteger(), nullable=True),
        sa.Column("skus", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("store", "order_id", name=op.f("pk_orders")),
        schema="kpi",
    )
    op.create_index("ix_orders_paid", "orders", ["store", "paid_us"], unique=False, schema="kpi")
    op.create_index("ix_orders_placed", "orders", ["store", "placed_us"], unique=False, schema="kpi")
    op.create_index("ix_orders_skus", "orders", ["skus"], unique=False, schema="kpi", postgresql_using="gin")
    op.create_index(
        "ix_orders_visitor",
        "orders",
        ["store", "visitor", "placed_us"],
        unique=False,
        schema="kpi",
        postgresql_where=sa.text("visitor IS NOT NULL"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.LargeBinary(), nullable=False, comment="msgpack: [[name, value], ...]"),
        sa.Column("written_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        schema="kpi",
    )
    op.create_table(
        "parking",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("in_a_row", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("handled", sa.BigInteger(), nullable=False),
        sa.Column("parked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("topic", "store", "type", name=op.f("pk_parking")),
        schema="kpi",
    )
    op.create_table(
        "position",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("last_record", sa.LargeBinary(), nullable=True, comment="hash of the record at next_offset - 1"),
        sa.Column("moved_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "topic", "partition", name=op.f("pk_position")),
        schema="kpi",
    )
    op.create_table(
        "quarantined",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False, comment="identity of the event"),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cents", sa.BigInteger(), nullable=False),
        sa.Column("quarantined_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "key", name=op.f("pk_quarantined")),
        schema="kpi",
    )
    op.create_table(
        "rebuild",
        sa.Column("rebuild_id", sa.Text(collation="C"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, comment="running, done, failed"),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("events", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("total", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("live_digest", sa.Text(), nullable=True),
        sa.Column("rebuilt_digest", sa.Text(), nullable=True),
        sa.Column("repaired", postgresql.JSONB(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("rebuild_id", name=op.f("pk_rebuild")),
        schema="kpi",
    )
    op.create_table(
        "seen",
        sa.Column("key", sa.LargeBinary(), nullable=False, comment="16 bytes of store, source and id"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_seen")),
        schema="kpi",
    )
    op.create_table(
        "sku",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("sku", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False, comment="every known version of what it is and costs"),
        sa.Column("seen_from", sa.Integer(), nullable=True, comment="first store day on which traffic names it"),
        sa.Column("seen_to", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("store", "sku", name=op.f("pk_sku")),
        schema="kpi",
    )
    op.create_table(
        "stock_level",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("sku", sa.Text(collation="C"), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False, comment="hours since 1970, UTC"),
        sa.Column("us", sa.BigInteger(), nullable=False, comment="of the last level in that hour"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store", "sku", "hour", name=op.f("pk_stock_level")),
        schema="kpi",
    )
    op.create_index(op.f("ix_stock_level_store_hour"), "stock_level", ["store", "hour"], unique=False, schema="kpi")
    op.create_table(
        "store_start",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "us",
            sa.BigInteger(),
            nullable=False,
            comment="acceptance of its first event: from here on every bucket is measured",
        ),
        sa.PrimaryKeyConstraint("store", name=op.f("pk_store_start")),
        schema="kpi",
    )
    op.create_table(
        "visitor_day",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("visitor", sa.Text(collation="C"), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False, comment="proleptic ordinal of the store day"),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("ids", sa.LargeBinary(), nullable=False, comment="8 bytes of each event's identity: dedup"),
        sa.PrimaryKeyConstraint("store", "visitor", "day", name=op.f("pk_visitor_day")),
        schema="kpi",
    )
    op.create_index(op.f("ix_visitor_day_store_day"), "visitor_day", ["store", "day"], unique=False, schema="kpi")
    op.create_table(
        "watermark",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column(
            "until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="everything accepted before this has been applied",
        ),
        sa.Column("pending", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "topic", name=op.f("pk_watermark")),
        schema="kpi",
    )
    enable_row_security(
        op,
        "kpi",
        "assignment",
        "bucket",
        "buyer",
        "correction",
        "customer",
        "definition",
        "differing",
        "document",
        "figure",
        "figure_delta",
        "idempotency",
        "import",
        "import_bucket",
        "import_change",
        "leaf",
        "orders",
        "quarantined",
        "sku",
        "stock_level",
        "store_start",
        "visitor_day",
    )


def downgrade() -> None:
    drop_tables(op, "kpi")
