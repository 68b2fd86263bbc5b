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
        "bucket",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("grain", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False, comment="'' for the total of the store"),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("measures", postgresql.JSONB(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("watermark", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "grain", "bucket", "channel", name=op.f("pk_bucket")),
        schema="reporting",
    )
    op.create_index(
        op.f("ix_bucket_store_grain_channel_ends_at"),
        "bucket",
        ["store", "grain", "channel", "ends_at"],
        unique=False,
        schema="reporting",
    )
    op.create_table(
        "correction",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("grain", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("corrected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("measures", postgresql.JSONB(), nullable=False, comment="names of the measures that changed"),
        sa.Column("causes", postgresql.JSONB(), nullable=False),
        sa.Column("cause_count", sa.Integer(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "event_id", name=op.f("pk_correction")),
        schema="reporting",
    )
    op.create_index(
        op.f("ix_correction_store_grain_bucket"),
        "correction",
        ["store", "grain", "bucket"],
        unique=False,
        schema="reporting",
    )
    op.create_table(
        "edition",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_cells", sa.Integer(), nullable=False),
        sa.Column("log_position", postgresql.JSONB(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("store", "report", "period", "edition", name=op.f("pk_edition")),
        schema="reporting",
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
        schema="reporting",
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False, schema="reporting")
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.LargeBinary(), nullable=False, comment="msgpack: [[name, value], ...]"),
        sa.Column("written_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        schema="reporting",
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
        schema="reporting",
    )
    op.create_table(
        "period",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the next edition is to be made; null: nothing to do",
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("editions", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("store", "report", "period", name=op.f("pk_period")),
        schema="reporting",
    )
    op.create_index(op.f("ix_period_due_at"), "period", ["due_at"], unique=False, schema="reporting")
    op.create_table(
        "position",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("last_record", sa.LargeBinary(), nullable=True, comment="hash of the record at next_offset - 1"),
        sa.Column("moved_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "topic", "partition", name=op.f("pk_position")),
        schema="reporting",
    )
    op.create_table(
        "seen",
        sa.Column("key", sa.LargeBinary(), nullable=False, comment="16 bytes of store, source and id"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_seen")),
        schema="reporting",
    )
    op.create_table(
        "shape",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("extension", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("store", "report", "period", "edition", "language", "extension", name=op.f("pk_shape")),
        schema="reporting",
    )
    op.create_table(
        "target",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("dimension", postgresql.JSONB(), nullable=False),
        sa.Column("value", sa.Numeric(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("store", "target_id", name=op.f("pk_target")),
        schema="reporting",
    )
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
        schema="reporting",
    )
    enable_row_security(op, "reporting", "bucket", "correction", "edition", "idempotency", "period", "shape", "target")


def downgrade() -> None:
    drop_tables(op, "reporting")
