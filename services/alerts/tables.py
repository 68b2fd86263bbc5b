"""The tables of alerts."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Identity, Index, Integer, Numeric, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from libs.events.tables import journal_table
from libs.service.database import metadata
from libs.service.runtime import service_tables

METADATA = metadata("alerts")
SHARED = service_tables(METADATA)
JOURNAL = journal_table(METADATA)
INSTANT = DateTime(timezone=True)

INCIDENT = Table(
    "incident",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("incident_id", Text, primary_key=True),
    Column("key", Text, nullable=False, comment="matter and what it is about: one open incident a key"),
    Column("rule", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("about", JSONB, nullable=False),
    Column("name", Text, nullable=False),
    Column("figures", JSONB, nullable=False),
    Column("alerts", JSONB, nullable=False),
    Column("opened_at", INSTANT, nullable=False),
    Column("acknowledged_at", INSTANT, nullable=True),
    Column("recovered_at", INSTANT, nullable=True),
    Column("resolved_at", INSTANT, nullable=True),
    Column("told_at", INSTANT, nullable=True),
    Column("relapse_told", Boolean, nullable=False),
    Column("owner", Text, nullable=True),
    Column("record", JSONB, nullable=True),
    Column("previous", Text, nullable=True),
    Column("retroactive", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Index("uq_incident_standing", "store", "key", unique=True, postgresql_where=text("status <> 'resolved'")),
    Index(None, "store", "opened_at", "incident_id"),
)

TIMELINE = Table(
    "timeline",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("store", Text, nullable=False),
    Column("incident_id", Text, nullable=False),
    Column("at", INSTANT, nullable=False),
    Column("kind", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("text", Text, nullable=False),
    Index(None, "store", "incident_id", "id"),
)

CHANNEL = Table(
    "channel",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("routes", JSONB, nullable=False),
    Column("mention", JSONB, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
)

DELIVERY = Table(
    "delivery",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("notification_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("incident_id", Text, nullable=True),
    Column("alert_id", Text, nullable=True),
    Column("body", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False, comment="why it was, or was not, sent"),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text, nullable=True),
    Column("created_at", INSTANT, nullable=False),
    Column("due_at", INSTANT, nullable=True, comment="when to try (again); null: settled"),
    Column("leased_until", INSTANT, nullable=True),
    Column("settled_at", INSTANT, nullable=True),
    Index(None, "due_at"),
    Index(None, "store", "created_at", "notification_id"),
    Index(None, "store", "incident_id"),
)

RULE_SETTING = Table(
    "rule_setting",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("scope", Text, primary_key=True, comment="'' for the store, else category=dress and the like"),
    Column("enabled", Boolean, nullable=False),
    Column("parameters", JSONB, nullable=False),
    Column("valid_from", INSTANT, nullable=False),
)

SKU_NAME = Table(
    "sku_name",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("said_at", INSTANT, nullable=False),
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

WINDOW = Table(
    "window",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("about", Text, primary_key=True, comment="'' for the store, else channel=paid and the like"),
    Column("ends_at", INSTANT, primary_key=True),
    Column("hours", Integer, primary_key=True),
    Column("measures", JSONB, nullable=False),
)
"""Alarm windows of the last days, so that the first with enough traffic can be chosen, and two in a row be seen."""
