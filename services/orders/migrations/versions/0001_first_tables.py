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
        "consignees",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False, comment="encrypted"),
        sa.Column("phone", sa.LargeBinary(), nullable=False, comment="encrypted"),
        sa.Column("address", sa.LargeBinary(), nullable=False, comment="encrypted"),
        sa.Column("province", sa.Text(), nullable=False),
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column(
            "forget_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the row is deleted then; events never held it",
        ),
        sa.PrimaryKeyConstraint("store", "order_id", name=op.f("pk_consignees")),
        schema="orders",
    )
    op.create_index(op.f("ix_consignees_forget_at"), "consignees", ["forget_at"], unique=False, schema="orders")
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
        schema="orders",
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False, schema="orders")
    op.create_table(
        "inbound_webhooks",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("delivery", sa.Text(), nullable=False, comment="what the sender calls it: a repeat has the same"),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column(
            "body",
            sa.LargeBinary(),
            nullable=True,
            comment="as it came, encrypted; purged 7 days after it was mapped (D8)",
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="received, mapped, ignored, quarantined, failed"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it is to be mapped; a worker that takes it moves this on: its lease",
        ),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True, comment="when the shop says that it was so"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why nothing, or not everything, came of it"),
        sa.PrimaryKeyConstraint("store", "webhook_id", name=op.f("pk_inbound_webhooks")),
        schema="orders",
    )
    op.create_index(
        "ix_inbound_webhooks_body",
        "inbound_webhooks",
        ["received_at"],
        unique=False,
        schema="orders",
        postgresql_where=sa.text("body IS NOT NULL"),
    )
    op.create_index(
        "ix_inbound_webhooks_due",
        "inbound_webhooks",
        ["due_at"],
        unique=False,
        schema="orders",
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_inbound_webhooks_order",
        "inbound_webhooks",
        ["store", "order_id"],
        unique=False,
        schema="orders",
        postgresql_where=sa.text("order_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_inbound_webhooks_received_at"), "inbound_webhooks", ["received_at"], unique=False, schema="orders"
    )
    op.create_index(
        "ix_inbound_webhooks_status",
        "inbound_webhooks",
        ["store", "status", "received_at", "webhook_id"],
        unique=False,
        schema="orders",
    )
    op.create_index(
        op.f("ix_inbound_webhooks_store_received_at_webhook_id"),
        "inbound_webhooks",
        ["store", "received_at", "webhook_id"],
        unique=False,
        schema="orders",
    )
    op.create_index(
        "uq_inbound_webhooks_delivery", "inbound_webhooks", ["store", "kind", "delivery"], unique=True, schema="orders"
    )
    op.create_table(
        "orders",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("customer_tier", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("campaign", sa.Text(), nullable=True),
        sa.Column("visitor_id", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("lines", postgresql.JSONB(), nullable=False),
        sa.Column("items_cents", sa.BigInteger(), nullable=False),
        sa.Column("shipping_cents", sa.BigInteger(), nullable=False),
        sa.Column("discount_cents", sa.BigInteger(), nullable=False),
        sa.Column("total_cents", sa.BigInteger(), nullable=False),
        sa.Column("paid_cents", sa.BigInteger(), nullable=False),
        sa.Column("refunded_cents", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("review", postgresql.JSONB(), nullable=False),
        sa.Column("hold", postgresql.JSONB(), nullable=True),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ship_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_by", sa.Text(), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("backordered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("import_id", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "total_cents = items_cents - discount_cents + shipping_cents", name=op.f("ck_orders_total_adds_up")
        ),
        sa.CheckConstraint(
            "total_cents >= 0 AND paid_cents >= 0 AND refunded_cents >= 0", name=op.f("ck_orders_money_not_negative")
        ),
        sa.PrimaryKeyConstraint("store", "order_id", name=op.f("pk_orders")),
        schema="orders",
    )
    op.create_index(
        "ix_orders_backordered",
        "orders",
        ["store", "backordered_at"],
        unique=False,
        schema="orders",
        postgresql_where=sa.text("backordered_at IS NOT NULL"),
    )
    op.create_index(
        "ix_orders_held",
        "orders",
        ["store", "placed_at"],
        unique=False,
        schema="orders",
        postgresql_where=sa.text("review ->> 'decision' = 'held'"),
    )
    op.create_index(
        "ix_orders_open",
        "orders",
        ["store", "status", "placed_at", "order_id"],
        unique=False,
        schema="orders",
        postgresql_where=sa.text("status NOT IN ('completed', 'cancelled')"),
    )
    op.create_index(
        "ix_orders_reservation",
        "orders",
        ["store", sa.literal_column("(hold ->> 'reservation_id')")],
        unique=False,
        schema="orders",
        postgresql_where=sa.text("hold IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_orders_store_customer_id_placed_at"),
        "orders",
        ["store", "customer_id", "placed_at"],
        unique=False,
        schema="orders",
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_orders_store_placed_at_order_id"),
        "orders",
        ["store", "placed_at", "order_id"],
        unique=False,
        schema="orders",
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
        schema="orders",
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
        schema="orders",
    )
    op.create_table(
        "payments",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False, comment="the n-th of its order"),
        sa.CheckConstraint("amount_cents >= 0", name=op.f("ck_payments_amount_not_negative")),
        sa.PrimaryKeyConstraint("store", "payment_id", name=op.f("pk_payments")),
        schema="orders",
    )
    op.create_index(
        op.f("ix_payments_store_order_id"), "payments", ["store", "order_id"], unique=False, schema="orders"
    )
    op.create_index(op.f("ix_payments_store_paid_at"), "payments", ["store", "paid_at"], unique=False, schema="orders")
    op.create_table(
        "policies",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("store", "kind", "valid_from", name=op.f("pk_policies")),
        schema="orders",
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
        schema="orders",
    )
    op.create_table(
        "refunds",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("refund_id", sa.Text(), nullable=False),
        sa.Column(
            "order_id",
            sa.Text(),
            nullable=False,
            comment="may name an order that was never seen here (a fact from a file)",
        ),
        sa.Column("return_id", sa.Text(), nullable=True),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("items_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("lines", postgresql.JSONB(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("is_dispute", sa.Boolean(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="the n-th of its order"),
        sa.CheckConstraint("amount_cents >= 0 AND items_cents >= 0", name=op.f("ck_refunds_amount_not_negative")),
        sa.PrimaryKeyConstraint("store", "refund_id", name=op.f("pk_refunds")),
        schema="orders",
    )
    op.create_index(
        op.f("ix_refunds_store_issued_at"), "refunds", ["store", "issued_at"], unique=False, schema="orders"
    )
    op.create_index(op.f("ix_refunds_store_order_id"), "refunds", ["store", "order_id"], unique=False, schema="orders")
    op.create_table(
        "returns",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("return_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("lines", postgresql.JSONB(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=True),
        sa.Column("refund_id", sa.Text(), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("inspected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False, comment="the n-th of its order"),
        sa.PrimaryKeyConstraint("store", "return_id", name=op.f("pk_returns")),
        schema="orders",
    )
    op.create_index(op.f("ix_returns_store_order_id"), "returns", ["store", "order_id"], unique=False, schema="orders")
    op.create_table(
        "seen",
        sa.Column("key", sa.LargeBinary(), nullable=False, comment="16 bytes of store, source and id"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_seen")),
        schema="orders",
    )
    op.create_table(
        "shipments",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("shipment_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("tracking_number", sa.Text(), nullable=False),
        sa.Column("lines", postgresql.JSONB(), nullable=False),
        sa.Column("shipped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("warehouse", sa.Text(), nullable=True),
        sa.Column("freight_cents", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("scans", postgresql.JSONB(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False, comment="the n-th of its order"),
        sa.PrimaryKeyConstraint("store", "shipment_id", name=op.f("pk_shipments")),
        schema="orders",
    )
    op.create_index(
        op.f("ix_shipments_store_order_id"), "shipments", ["store", "order_id"], unique=False, schema="orders"
    )
    op.create_table(
        "skus",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("store", "sku", name=op.f("pk_skus")),
        schema="orders",
    )
    op.create_table(
        "stray_payments",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column(
            "order_id", sa.Text(), nullable=False, comment="an order that was not there when the money was told of"
        ),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "payment_id", name=op.f("pk_stray_payments")),
        schema="orders",
    )
    op.create_index(
        op.f("ix_stray_payments_store_paid_at"), "stray_payments", ["store", "paid_at"], unique=False, schema="orders"
    )
    op.create_table(
        "timers",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="unpaid, complete, backorder"),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="a ticker that takes it moves this on: its lease",
        ),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("store", "kind", "order_id", name=op.f("pk_timers")),
        schema="orders",
    )
    op.create_index(op.f("ix_timers_due_at"), "timers", ["due_at"], unique=False, schema="orders")
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
        schema="orders",
    )
    op.create_table(
        "webhook_sources",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="shopify, woocommerce, signed"),
        sa.Column("secrets", sa.LargeBinary(), nullable=False, comment="encrypted; two while rotating"),
        sa.Column("secret_count", sa.Integer(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("sku_map", postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "kind", name=op.f("pk_webhook_sources")),
        schema="orders",
    )
    enable_row_security(
        op,
        "orders",
        "consignees",
        "idempotency",
        "inbound_webhooks",
        "orders",
        "payments",
        "policies",
        "refunds",
        "returns",
        "shipments",
        "skus",
        "stray_payments",
        "timers",
        "webhook_sources",
    )


def downgrade() -> None:
    drop_tables(op, "orders")
