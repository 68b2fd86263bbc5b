"""The tables of the orders service. The store comes first in every key; personal data lives in `consignees` alone."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from libs.service.database import metadata
from libs.service.runtime import service_tables

INSTANT = DateTime(timezone=True)

METADATA = metadata("orders")
SHARED = service_tables(METADATA)

orders = Table(
    "orders",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("customer_id", Text),
    Column("customer_tier", Text),
    Column("channel", Text),
    Column("source", Text),
    Column("campaign", Text),
    Column("visitor_id", Text),
    Column("currency", Text, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("items_cents", BigInteger, nullable=False),
    Column("shipping_cents", BigInteger, nullable=False),
    Column("discount_cents", BigInteger, nullable=False),
    Column("total_cents", BigInteger, nullable=False),
    Column("paid_cents", BigInteger, nullable=False),
    Column("refunded_cents", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("review", JSONB, nullable=False),
    Column("hold", JSONB),
    Column("placed_at", INSTANT, nullable=False),
    Column("accepted_at", INSTANT, nullable=False),
    Column("paid_at", INSTANT),
    Column("ship_due_at", INSTANT),
    Column("delivered_at", INSTANT),
    Column("completed_at", INSTANT),
    Column("cancelled_at", INSTANT),
    Column("cancelled_by", Text),
    Column("cancel_reason", Text),
    Column("backordered_at", INSTANT),
    Column("import_id", Text),
    Column("version", Integer, nullable=False),
    CheckConstraint("total_cents = items_cents - discount_cents + shipping_cents", "total_adds_up"),
    CheckConstraint("total_cents >= 0 AND paid_cents >= 0 AND refunded_cents >= 0", "money_not_negative"),
    Index(None, "store", "placed_at", "order_id"),
    Index(
        "ix_orders_reservation", "store", text("(hold ->> 'reservation_id')"), postgresql_where=text("hold IS NOT NULL")
    ),
    Index(None, "store", "customer_id", "placed_at", postgresql_where=text("customer_id IS NOT NULL")),
    Index(
        "ix_orders_open",
        "store",
        "status",
        "placed_at",
        "order_id",
        postgresql_where=text("status NOT IN ('completed', 'cancelled')"),
    ),
    Index("ix_orders_held", "store", "placed_at", postgresql_where=text("review ->> 'decision' = 'held'")),
    Index("ix_orders_backordered", "store", "backordered_at", postgresql_where=text("backordered_at IS NOT NULL")),
)

consignees = Table(
    "consignees",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("name", LargeBinary, nullable=False, comment="encrypted"),
    Column("phone", LargeBinary, nullable=False, comment="encrypted"),
    Column("address", LargeBinary, nullable=False, comment="encrypted"),
    Column("province", Text, nullable=False),
    Column("city", Text, nullable=False),
    Column("forget_at", INSTANT, nullable=False, comment="the row is deleted then; events never held it"),
    Index(None, "forget_at"),
)

payments = Table(
    "payments",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("payment_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("amount_cents", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("paid_at", INSTANT, nullable=False),
    Column("reason", Text),
    Column("position", Integer, nullable=False, comment="the n-th of its order"),
    CheckConstraint("amount_cents >= 0", "amount_not_negative"),
    Index(None, "store", "order_id"),
    Index(None, "store", "paid_at"),
)

stray_payments = Table(
    "stray_payments",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("payment_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False, comment="an order that was not there when the money was told of"),
    Column("method", Text, nullable=False),
    Column("amount_cents", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("paid_at", INSTANT, nullable=False),
    Index(None, "store", "paid_at"),
)

shipments = Table(
    "shipments",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("shipment_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("carrier", Text, nullable=False),
    Column("tracking_number", Text, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("shipped_at", INSTANT, nullable=False),
    Column("warehouse", Text),
    Column("freight_cents", BigInteger),
    Column("status", Text, nullable=False),
    Column("scans", JSONB, nullable=False),
    Column("delivered_at", INSTANT),
    Column("position", Integer, nullable=False, comment="the n-th of its order"),
    Index(None, "store", "order_id"),
)

returns = Table(
    "returns",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("return_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("reason", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("condition", Text),
    Column("refund_id", Text),
    Column("refusal", Text),
    Column("requested_at", INSTANT, nullable=False),
    Column("approved_at", INSTANT),
    Column("refused_at", INSTANT),
    Column("received_at", INSTANT),
    Column("inspected_at", INSTANT),
    Column("closed_at", INSTANT),
    Column("position", Integer, nullable=False, comment="the n-th of its order"),
    Index(None, "store", "order_id"),
)

refunds = Table(
    "refunds",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("refund_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False, comment="may name an order that was never seen here (a fact from a file)"),
    Column("return_id", Text),
    Column("amount_cents", BigInteger, nullable=False),
    Column("items_cents", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("reason", Text, nullable=False),
    Column("is_dispute", Boolean, nullable=False),
    Column("issued_at", INSTANT, nullable=False),
    Column("position", Integer, nullable=False, comment="the n-th of its order"),
    CheckConstraint("amount_cents >= 0 AND items_cents >= 0", "amount_not_negative"),
    Index(None, "store", "order_id"),
    Index(None, "store", "issued_at"),
)

timers = Table(
    "timers",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("kind", Text, primary_key=True, comment="unpaid, complete, backorder"),
    Column("order_id", Text, primary_key=True),
    Column("due_at", INSTANT, nullable=False, comment="a ticker that takes it moves this on: its lease"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Index(None, "due_at"),
)

skus = Table(
    "skus",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("known_at", INSTANT, nullable=False, server_default=func.now()),
)

policies = Table(
    "policies",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("valid_from", INSTANT, primary_key=True),
    Column("value", JSONB, nullable=False),
    Column("decided_at", INSTANT, nullable=False),
    Column("event_id", Text, nullable=False),
)

webhook_sources = Table(
    "webhook_sources",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("kind", Text, primary_key=True, comment="shopify, woocommerce, signed"),
    Column("secrets", LargeBinary, nullable=False, comment="encrypted; two while rotating"),
    Column("secret_count", Integer, nullable=False),
    Column("currency", Text),
    Column("sku_map", JSONB, nullable=False),
    Column("version", Integer, nullable=False),
    Column("changed_at", INSTANT, nullable=False),
)

inbound_webhooks = Table(
    "inbound_webhooks",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("webhook_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("delivery", Text, nullable=False, comment="what the sender calls it: a repeat has the same"),
    Column("topic", Text, nullable=False),
    Column("body", LargeBinary, comment="as it came, encrypted; purged 7 days after it was mapped (D8)"),
    Column("status", Text, nullable=False, comment="received, mapped, ignored, quarantined, failed"),
    Column("received_at", INSTANT, nullable=False),
    Column("due_at", INSTANT, comment="when it is to be mapped; a worker that takes it moves this on: its lease"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("done_at", INSTANT),
    Column("order_id", Text),
    Column("told_at", INSTANT, comment="when the shop says that it was so"),
    Column("reason", Text, comment="why nothing, or not everything, came of it"),
    Index("uq_inbound_webhooks_delivery", "store", "kind", "delivery", unique=True),
    Index("ix_inbound_webhooks_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index("ix_inbound_webhooks_body", "received_at", postgresql_where=text("body IS NOT NULL")),
    Index(None, "received_at"),
    Index(None, "store", "received_at", "webhook_id"),
    Index("ix_inbound_webhooks_status", "store", "status", "received_at", "webhook_id"),
    Index("ix_inbound_webhooks_order", "store", "order_id", postgresql_where=text("order_id IS NOT NULL")),
)

OF_STORE = (
    orders,
    consignees,
    payments,
    stray_payments,
    shipments,
    returns,
    refunds,
    timers,
    skus,
    policies,
    webhook_sources,
    inbound_webhooks,
)
"""Tables that row-level security keeps apart by store."""
