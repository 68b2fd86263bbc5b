"""The tables of inventory. Stock is changed under the lock of its level rows alone (design rule 6 of the promises)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from libs.service.database import metadata
from libs.service.runtime import service_tables

METADATA = metadata("inventory")
SHARED = service_tables(METADATA)

_INSTANT = DateTime(timezone=True)


def _units(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


skus = Table(
    "sku",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("category", Text),
    Column("price_cents", BigInteger, nullable=False),
    Column("cost_cents", BigInteger),
    Column("safety", BigInteger, comment="null: the category's, else the store's (INV-3)"),
    Column("lead_days", Integer),
    Column("image_url", Text),
    Column("listed", Boolean, nullable=False, server_default=text("true")),
    Column("changed_at", _INSTANT, nullable=False),
    Column("changed_recorded_at", _INSTANT, nullable=False, comment="with changed_at: the later change wins (D10)"),
    Index(None, "store", "category"),
)

levels = Table(
    "level",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("version", BigInteger, nullable=False, server_default="0"),
    _units("on_hand"),
    _units("held"),
    _units("allocated"),
    _units("locked"),
    _units("short"),
    _units("returning"),
    _units("damaged"),
    _units("safety"),
    _units("safety_hidden"),
    Column("edge", Text, nullable=False, server_default="clear"),
    Column("is_known", Boolean, nullable=False, server_default=text("true"), comment="in the catalogue"),
    Column("is_goods", Boolean, nullable=False, server_default=text("true")),
    Column("has_moved", Boolean, nullable=False, server_default=text("false")),
    Column("last_sold_at", _INSTANT),
    Column("warehouses", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    CheckConstraint("held >= 0 AND allocated >= 0 AND locked >= 0", name="promised_not_negative"),
    CheckConstraint("held + allocated + locked <= on_hand", name="never_oversold"),
    CheckConstraint('short >= 0 AND "returning" >= 0 AND damaged >= 0', name="not_negative"),
    CheckConstraint("safety >= 0 AND safety_hidden >= 0", name="safety_not_negative"),
    CheckConstraint(
        "NOT jsonb_path_exists(warehouses, '$[*] ? (@.on_hand < 0 || @.returning < 0 || @.damaged < 0)')",
        name="warehouses_not_negative",
    ),
)

reservations = Table(
    "reservation",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("reservation_id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("order_id", Text),
    Column("customer_id", Text),
    Column("campaign", Text),
    Column("is_outside", Boolean, nullable=False),
    Column("ordered_at", _INSTANT, nullable=False),
    Column("expires_at", _INSTANT),
    Column("refusal", JSONB, comment="of a refused one: what was wanted, what there was"),
    Index(None, "store", "order_id", postgresql_where=text("order_id IS NOT NULL")),
    Index(
        "ix_reservation_cart",
        "store",
        "customer_id",
        postgresql_where=text("status = 'held' AND order_id IS NULL AND customer_id IS NOT NULL"),
    ),
    Index("ix_reservation_expiring", "expires_at", postgresql_where=text("status = 'held' AND expires_at IS NOT NULL")),
)

lines = Table(
    "reservation_line",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("reservation_id", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    Column("is_goods", Boolean, nullable=False),
    _units("promised"),
    _units("from_lock"),
    _units("short"),
    _units("shipped"),
    _units("sold"),
    _units("returning"),
    _units("returned"),
    Column("warehouse", Text),
    Column("position", Integer, nullable=False),
    CheckConstraint(
        'least(promised, from_lock, short, shipped, sold, "returning", returned) >= 0 AND from_lock <= promised',
        name="not_negative",
    ),
    Index("ix_reservation_line_open", "store", "sku", postgresql_where=text("promised > 0 OR short > 0")),
)

movements = Table(
    "movement",
    METADATA,
    Column("movement_id", BigInteger, Identity(always=True), primary_key=True),
    Column("store", Text, nullable=False),
    Column("sku", Text, nullable=False),
    Column("warehouse", Text),
    Column("at", _INSTANT, nullable=False),
    Column("kind", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    Column("cause_type", Text, nullable=False),
    Column("cause_id", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text),
    Column("recorded_at", _INSTANT, nullable=False, server_default=func.now()),
    CheckConstraint("quantity > 0 AND from_state <> to_state", name="moves"),
    Index(None, "store", "sku", "movement_id"),
    Index("ix_movement_at", "at", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
)

locks = Table(
    "campaign_lock",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("campaign", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("wanted", BigInteger, nullable=False),
    _units("locked"),
    _units("taken"),
    Column("starts_at", _INSTANT, nullable=False),
    Column("ends_at", _INSTANT, nullable=False),
    Column("has_ended", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("wanted > 0 AND locked >= 0 AND taken >= 0", name="not_negative"),
    Index("ix_campaign_lock_sku", "store", "sku", postgresql_where=text("NOT has_ended")),
    Index("ix_campaign_lock_ending", "ends_at", postgresql_where=text("NOT has_ended")),
)

counts = Table(
    "stock_count",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("count_id", Text, primary_key=True),
    Column("warehouse", Text, nullable=False),
    Column("as_of", _INSTANT, nullable=False),
    Column("source", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("item_count", Integer, nullable=False),
    Column("difference_count", Integer, nullable=False),
    Column("recorded_at", _INSTANT, nullable=False),
)

count_lines = Table(
    "stock_count_line",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("count_id", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("expected", BigInteger, nullable=False),
    Column("counted", BigInteger, nullable=False),
    Column("difference", BigInteger, nullable=False),
    Column("status", Text, nullable=False, comment="applied, unknown_sku, or stale: a task for a person (INV-10)"),
    Column("recorded_at", _INSTANT, nullable=False),
    Column("resolved_at", _INSTANT, comment="when the task was done, by a later count or by a person"),
    Column("resolved_by", Text),
    Column("note", Text),
    Index(
        "ix_stock_count_line_task",
        "store",
        "recorded_at",
        "count_id",
        "sku",
        postgresql_where=text("status <> 'applied'"),
    ),
    Index(
        "ix_stock_count_line_open",
        "store",
        "sku",
        postgresql_where=text("status <> 'applied' AND resolved_at IS NULL"),
    ),
)

refusals = Table(
    "refusal",
    METADATA,
    Column("refusal_id", BigInteger, Identity(always=True), primary_key=True),
    Column("store", Text, nullable=False),
    Column("sku", Text, nullable=False),
    Column("reservation_id", Text, nullable=False),
    Column("at", _INSTANT, nullable=False),
    Column("wanted", BigInteger, nullable=False),
    Column("available", BigInteger, nullable=False, comment="what the asker could have had"),
    Column("version", BigInteger, nullable=False, comment="the level's, when it was asked for"),
    Column("recorded_at", _INSTANT, nullable=False, server_default=func.now()),
    Index(None, "store", "sku", "refusal_id"),
    Index(None, "store", "at"),
)

plans = Table(
    "campaign_plan",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("campaign", Text, primary_key=True),
    Column("starts_at", _INSTANT, nullable=False),
    Column("ends_at", _INSTANT, nullable=False),
    Column("promised", JSONB, nullable=False, comment="SKU -> units that the campaign promises"),
    Column("decided_at", _INSTANT, nullable=False, comment="with recorded_at and event_id: the greatest wins (D10)"),
    Column("recorded_at", _INSTANT, nullable=False),
    Column("event_id", Text, nullable=False),
)

compensations = Table(
    "compensation",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("compensation_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("sku", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("amount_cents", BigInteger),
    Column("note", Text),
    Column("by", Text, nullable=False),
    Column("recorded_at", _INSTANT, nullable=False),
    Index(None, "store", "order_id", "sku"),
)

policies = Table(
    "policy",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("kind", Text, primary_key=True, comment="low_stock, hide_safety, slow_mover_days, lead_days, lock_lead"),
    Column("category", Text, primary_key=True, comment="'' is the whole store"),
    Column("valid_from", _INSTANT, primary_key=True),
    Column("value", JSONB, nullable=False),
    Column("decided_at", _INSTANT, nullable=False, comment="with recorded_at and event_id: the greatest wins (D10)"),
    Column("recorded_at", _INSTANT, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("is_applied", Boolean, nullable=False, server_default=text("false")),
    Index("ix_policy_due", "valid_from", postgresql_where=text("NOT is_applied")),
)

checked_days = Table(
    "reconciled_day",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("mismatches", Integer, nullable=False),
    Column("checked_at", _INSTANT, nullable=False),
)

OF_STORES = (
    SHARED.idempotency,
    skus,
    levels,
    reservations,
    lines,
    movements,
    locks,
    counts,
    count_lines,
    refusals,
    plans,
    compensations,
    policies,
    checked_days,
)
"""Tables whose rows belong to a store: row-level security keeps requests to their own (P7)."""
