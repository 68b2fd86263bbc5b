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
        "campaign_lock",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("wanted", sa.BigInteger(), nullable=False),
        sa.Column("locked", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("taken", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("has_ended", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("wanted > 0 AND locked >= 0 AND taken >= 0", name=op.f("ck_campaign_lock_not_negative")),
        sa.PrimaryKeyConstraint("store", "campaign", "sku", name=op.f("pk_campaign_lock")),
        schema="inventory",
    )
    op.create_index(
        "ix_campaign_lock_ending",
        "campaign_lock",
        ["ends_at"],
        unique=False,
        schema="inventory",
        postgresql_where=sa.text("NOT has_ended"),
    )
    op.create_index(
        "ix_campaign_lock_sku",
        "campaign_lock",
        ["store", "sku"],
        unique=False,
        schema="inventory",
        postgresql_where=sa.text("NOT has_ended"),
    )
    op.create_table(
        "campaign_plan",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("promised", postgresql.JSONB(), nullable=False, comment="SKU -> units that the campaign promises"),
        sa.Column(
            "decided_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="with recorded_at and event_id: the greatest wins (D10)",
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("store", "campaign", name=op.f("pk_campaign_plan")),
        schema="inventory",
    )
    op.create_table(
        "compensation",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("compensation_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "compensation_id", name=op.f("pk_compensation")),
        schema="inventory",
    )
    op.create_index(
        op.f("ix_compensation_store_order_id_sku"),
        "compensation",
        ["store", "order_id", "sku"],
        unique=False,
        schema="inventory",
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
        schema="inventory",
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False, schema="inventory")
    op.create_table(
        "level",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("on_hand", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("allocated", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("locked", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("short", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("returning", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("damaged", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("safety", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("safety_hidden", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("edge", sa.Text(), server_default="clear", nullable=False),
        sa.Column("is_known", sa.Boolean(), server_default=sa.text("true"), nullable=False, comment="in the catalogue"),
        sa.Column("is_goods", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("has_moved", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("last_sold_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("warehouses", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.CheckConstraint(
            "NOT jsonb_path_exists(warehouses, '$[*] ? (@.on_hand < 0 || @.returning < 0 || @.damaged < 0)')",
            name=op.f("ck_level_warehouses_not_negative"),
        ),
        sa.CheckConstraint("held + allocated + locked <= on_hand", name=op.f("ck_level_never_oversold")),
        sa.CheckConstraint("held >= 0 AND allocated >= 0 AND locked >= 0", name=op.f("ck_level_promised_not_negative")),
        sa.CheckConstraint("safety >= 0 AND safety_hidden >= 0", name=op.f("ck_level_safety_not_negative")),
        sa.CheckConstraint('short >= 0 AND "returning" >= 0 AND damaged >= 0', name=op.f("ck_level_not_negative")),
        sa.PrimaryKeyConstraint("store", "sku", name=op.f("pk_level")),
        schema="inventory",
    )
    op.create_table(
        "movement",
        sa.Column("movement_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("warehouse", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=False),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("cause_type", sa.Text(), nullable=False),
        sa.Column("cause_id", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("quantity > 0 AND from_state <> to_state", name=op.f("ck_movement_moves")),
        sa.PrimaryKeyConstraint("movement_id", name=op.f("pk_movement")),
        schema="inventory",
    )
    op.create_index(
        "ix_movement_at",
        "movement",
        ["at"],
        unique=False,
        schema="inventory",
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
    op.create_index(
        op.f("ix_movement_store_sku_movement_id"),
        "movement",
        ["store", "sku", "movement_id"],
        unique=False,
        schema="inventory",
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
        schema="inventory",
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
        schema="inventory",
    )
    op.create_table(
        "policy",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="low_stock, hide_safety, slow_mover_days, lead_days, lock_lead"
        ),
        sa.Column("category", sa.Text(), nullable=False, comment="'' is the whole store"),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.Column(
            "decided_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="with recorded_at and event_id: the greatest wins (D10)",
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("is_applied", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("store", "kind", "category", "valid_from", name=op.f("pk_policy")),
        schema="inventory",
    )
    op.create_index(
        "ix_policy_due",
        "policy",
        ["valid_from"],
        unique=False,
        schema="inventory",
        postgresql_where=sa.text("NOT is_applied"),
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
        schema="inventory",
    )
    op.create_table(
        "reconciled_day",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("mismatches", sa.Integer(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "day", name=op.f("pk_reconciled_day")),
        schema="inventory",
    )
    op.create_table(
        "refusal",
        sa.Column("refusal_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("reservation_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("wanted", sa.BigInteger(), nullable=False),
        sa.Column("available", sa.BigInteger(), nullable=False, comment="what the asker could have had"),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="the level's, when it was asked for"),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("refusal_id", name=op.f("pk_refusal")),
        schema="inventory",
    )
    op.create_index(op.f("ix_refusal_store_at"), "refusal", ["store", "at"], unique=False, schema="inventory")
    op.create_index(
        op.f("ix_refusal_store_sku_refusal_id"),
        "refusal",
        ["store", "sku", "refusal_id"],
        unique=False,
        schema="inventory",
    )
    op.create_table(
        "reservation",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("reservation_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("campaign", sa.Text(), nullable=True),
        sa.Column("is_outside", sa.Boolean(), nullable=False),
        sa.Column("ordered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "refusal", postgresql.JSONB(), nullable=True, comment="of a refused one: what was wanted, what there was"
        ),
        sa.PrimaryKeyConstraint("store", "reservation_id", name=op.f("pk_reservation")),
        schema="inventory",
    )
    op.create_index(
        "ix_reservation_cart",
        "reservation",
        ["store", "customer_id"],
        unique=False,
        schema="inventory",
        postgresql_where=sa.text("status = 'held' AND order_id IS NULL AND customer_id IS NOT NULL"),
    )
    op.create_index(
        "ix_reservation_expiring",
        "reservation",
        ["expires_at"],
        unique=False,
        schema="inventory",
        postgresql_where=sa.text("status = 'held' AND expires_at IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_reservation_store_order_id"),
        "reservation",
        ["store", "order_id"],
        unique=False,
        schema="inventory",
        postgresql_where=sa.text("order_id IS NOT NULL"),
    )
    op.create_table(
        "reservation_line",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("reservation_id", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("is_goods", sa.Boolean(), nullable=False),
        sa.Column("promised", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("from_lock", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("short", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("shipped", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("sold", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("returning", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("returned", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("warehouse", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            'least(promised, from_lock, short, shipped, sold, "returning", returned) >= 0 AND from_lock <= promised',
            name=op.f("ck_reservation_line_not_negative"),
        ),
        sa.PrimaryKeyConstraint("store", "reservation_id", "sku", name=op.f("pk_reservation_line")),
        schema="inventory",
    )
    op.create_index(
        "ix_reservation_line_open",
        "reservation_line",
        ["store", "sku"],
        unique=False,
        schema="inventory",
        postgresql_where=sa.text("promised > 0 OR short > 0"),
    )
    op.create_table(
        "seen",
        sa.Column("key", sa.LargeBinary(), nullable=False, comment="16 bytes of store, source and id"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_seen")),
        schema="inventory",
    )
    op.create_table(
        "sku",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("price_cents", sa.BigInteger(), nullable=False),
        sa.Column("cost_cents", sa.BigInteger(), nullable=True),
        sa.Column("safety", sa.BigInteger(), nullable=True, comment="null: the category's, else the store's (INV-3)"),
        sa.Column("lead_days", sa.Integer(), nullable=True),
        sa.Column("image_url", sa.Text(), nullable=True),
        sa.Column("listed", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "changed_recorded_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="with changed_at: the later change wins (D10)",
        ),
        sa.PrimaryKeyConstraint("store", "sku", name=op.f("pk_sku")),
        schema="inventory",
    )
    op.create_index(op.f("ix_sku_store_category"), "sku", ["store", "category"], unique=False, schema="inventory")
    op.create_table(
        "stock_count",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("count_id", sa.Text(), nullable=False),
        sa.Column("warehouse", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("item_count", sa.Integer(), nullable=False),
        sa.Column("difference_count", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "count_id", name=op.f("pk_stock_count")),
        schema="inventory",
    )
    op.create_table(
        "stock_count_line",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("count_id", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("difference", sa.BigInteger(), nullable=False),
        sa.Column(
            "status", sa.Text(), nullable=False, comment="applied, unknown_sku, or stale: a task for a person (INV-10)"
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "resolved_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the task was done, by a later count or by a person",
        ),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("store", "count_id", "sku", name=op.f("pk_stock_count_line")),
        schema="inventory",
    )
    op.create_index(
        "ix_stock_count_line_open",
        "stock_count_line",
        ["store", "sku"],
        unique=False,
        schema="inventory",
        postgresql_where=sa.text("status <> 'applied' AND resolved_at IS NULL"),
    )
    op.create_index(
        "ix_stock_count_line_task",
        "stock_count_line",
        ["store", "recorded_at", "count_id", "sku"],
        unique=False,
        schema="inventory",
        postgresql_where=sa.text("status <> 'applied'"),
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
        schema="inventory",
    )
    enable_row_security(
        op,
        "inventory",
        "campaign_lock",
        "campaign_plan",
        "compensation",
        "idempotency",
        "level",
        "movement",
        "policy",
        "reconciled_day",
        "refusal",
        "reservation",
        "reservation_line",
        "sku",
        "stock_count",
        "stock_count_line",
    )
    for name in ("movement", "refusal", "compensation"):
        op.execute(f"REVOKE UPDATE, DELETE ON inventory.{name} FROM inventory_api, inventory_worker")


def downgrade() -> None:
    drop_tables(op, "inventory")
