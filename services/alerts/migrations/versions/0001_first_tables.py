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
        "channel",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("routes", postgresql.JSONB(), nullable=False),
        sa.Column("mention", postgresql.JSONB(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("store", "name", name=op.f("pk_channel")),
        schema="alerts",
    )
    op.create_table(
        "delivery",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("notification_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=True),
        sa.Column("alert_id", sa.Text(), nullable=True),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it was, or was not, sent"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True, comment="when to try (again); null: settled"),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("store", "notification_id", name=op.f("pk_delivery")),
        schema="alerts",
    )
    op.create_index(op.f("ix_delivery_due_at"), "delivery", ["due_at"], unique=False, schema="alerts")
    op.create_index(
        op.f("ix_delivery_store_created_at_notification_id"),
        "delivery",
        ["store", "created_at", "notification_id"],
        unique=False,
        schema="alerts",
    )
    op.create_index(
        op.f("ix_delivery_store_incident_id"), "delivery", ["store", "incident_id"], unique=False, schema="alerts"
    )
    op.create_table(
        "document",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False, comment="'' for the store, else category=dress and the like"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "value",
            postgresql.JSONB(
                none_as_null=True,
            ),
            nullable=True,
            comment="null: taken back",
        ),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("store", "kind", "key", "scope", "version", name=op.f("pk_document")),
        schema="alerts",
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
        schema="alerts",
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False, schema="alerts")
    op.create_table(
        "incident",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="matter and what it is about: one open incident a key"),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("about", postgresql.JSONB(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("figures", postgresql.JSONB(), nullable=False),
        sa.Column("alerts", postgresql.JSONB(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recovered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("relapse_told", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("record", postgresql.JSONB(), nullable=True),
        sa.Column("previous", sa.Text(), nullable=True),
        sa.Column("retroactive", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("store", "incident_id", name=op.f("pk_incident")),
        schema="alerts",
    )
    op.create_index(
        op.f("ix_incident_store_opened_at_incident_id"),
        "incident",
        ["store", "opened_at", "incident_id"],
        unique=False,
        schema="alerts",
    )
    op.create_index(
        "uq_incident_standing",
        "incident",
        ["store", "key"],
        unique=True,
        schema="alerts",
        postgresql_where=sa.text("status <> 'resolved'"),
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
        schema="alerts",
    )
    op.create_index(op.f("ix_journal_accepted_on"), "journal", ["accepted_on"], unique=False, schema="alerts")
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.LargeBinary(), nullable=False, comment="msgpack: [[name, value], ...]"),
        sa.Column("written_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        schema="alerts",
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
        schema="alerts",
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
        schema="alerts",
    )
    op.create_table(
        "seen",
        sa.Column("key", sa.LargeBinary(), nullable=False, comment="16 bytes of store, source and id"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_seen")),
        schema="alerts",
    )
    op.create_table(
        "sku_name",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "sku", name=op.f("pk_sku_name")),
        schema="alerts",
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
        schema="alerts",
    )
    op.create_table(
        "timeline",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timeline")),
        schema="alerts",
    )
    op.create_index(
        op.f("ix_timeline_store_incident_id_id"),
        "timeline",
        ["store", "incident_id", "id"],
        unique=False,
        schema="alerts",
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
        schema="alerts",
    )
    op.create_table(
        "window",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False, comment="'' for the store, else channel=paid and the like"),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hours", sa.Integer(), nullable=False),
        sa.Column("measures", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("store", "about", "ends_at", "hours", name=op.f("pk_window")),
        schema="alerts",
    )
    enable_row_security(
        op,
        "alerts",
        "channel",
        "delivery",
        "document",
        "idempotency",
        "incident",
        "sku_name",
        "target",
        "timeline",
        "window",
    )


def downgrade() -> None:
    drop_tables(op, "alerts")
