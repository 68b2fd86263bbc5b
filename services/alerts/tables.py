"""The tables of alerts."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    text,
)
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
    Column("muted", Text, nullable=True, comment="the silence or incident because of which nobody is told"),
    Column("level", Integer, nullable=False, comment="how often it has gone up"),
    Column("escalate_at", INSTANT, nullable=True, comment="when it goes up unless somebody acknowledges it"),
    Column("cause_due_at", INSTANT, nullable=True, comment="by when the cause of a figure that fell is recorded"),
    Column("evidence", JSONB, nullable=False, server_default="[]"),
    Column("version", Integer, nullable=False),
    Index(None, "escalate_at", postgresql_where=text("escalate_at IS NOT NULL")),
    Index(None, "cause_due_at", postgresql_where=text("cause_due_at IS NOT NULL")),
    Index("ix_incident_muted", "store", postgresql_where=text("muted IS NOT NULL")),
    Index("uq_incident_standing", "store", "key", unique=True, postgresql_where=text("status <> 'resolved'")),
    Index(None, "store", "opened_at", "incident_id"),
    Index(None, "store", "status", "opened_at", "incident_id"),
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
    Column("format", Text, nullable=False, comment="own, or alertmanager: how a webhook is written"),
    Column("quiet", JSONB(none_as_null=True), nullable=True, comment="hours in which only the critical is told"),
    Column("timezone", Text, nullable=False, comment="of the hours of routes and quiet"),
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

GATE = Table(
    "gate",
    METADATA,
    Column("target", Text, primary_key=True, comment="digest of kind and address"),
    Column("tokens", Double, nullable=False, comment="calls that may be made now"),
    Column("filled_at", INSTANT, nullable=False),
    Column("failures", Integer, nullable=False, comment="in a row"),
    Column("closed_until", INSTANT, nullable=True, comment="left alone until then"),
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

DOCUMENT = Table(
    "document",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("scope", Text, primary_key=True, comment="'' for the store, else category=dress and the like"),
    Column("version", Integer, primary_key=True),
    Column("valid_from", INSTANT, nullable=False),
    Column("value", JSONB(none_as_null=True), nullable=True, comment="null: taken back"),
    Column("decided_at", INSTANT, nullable=False),
    Column("recorded_at", INSTANT, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("by", Text, nullable=False),
)
"""What a store sets, every version: the past is judged by what was valid then."""

# what rules remember of events (their own, pruned)

SKU = Table(
    "sku",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("kind", Text, nullable=False, server_default="goods"),
    Column("title", Text, nullable=False, server_default=""),
    Column("category", Text, nullable=True),
    Column("price_cents", BigInteger, nullable=True),
    Column("cost_cents", BigInteger, nullable=True),
    Column("lead_days", Integer, nullable=True),
    Column("said_at", INSTANT, nullable=True, comment="when the catalogue last said something of it"),
    Column("version", BigInteger, nullable=False, server_default="0", comment="of its level"),
    Column("on_hand", BigInteger, nullable=False, server_default="0"),
    Column("available", BigInteger, nullable=False, server_default="0"),
    Column("safety", BigInteger, nullable=False, server_default="0"),
    Column("stocked_at", INSTANT, nullable=True, comment="when it was first on hand"),
    Column("sold_at", INSTANT, nullable=True, comment="when it was last ordered"),
)

MEASURED = Table(
    "measured",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("about", Text, primary_key=True, comment="'' for the store, else channel=paid and the like"),
    Column("grain", Text, primary_key=True, comment="w1 ... w24, or day"),
    Column("ends_at", INSTANT, primary_key=True),
    Column("measures", JSONB, nullable=False, comment="what rules read of it; zeros are left out"),
    Index(None, "ends_at"),
)
"""Measured windows and days of the last weeks: what a window is compared with."""

TIMER = Table(
    "timer",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("topic", Text, nullable=False, comment="which must be complete up to due_at before it fires"),
    Column("due_at", INSTANT, nullable=False),
    Column("about", JSONB, nullable=False),
    Column("figures", JSONB, nullable=False),
    Index(None, "topic", "due_at"),
)
"""Deadlines that run: one row each, gone when they have fired or been met."""

TALLY = Table(
    "tally",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("kind", Text, primary_key=True, comment="placed, paid, refund, dispute, complaint, bad_review ..."),
    Column("value", Text, primary_key=True, comment="'' for the store, else a SKU, or a payment method"),
    Column("hour", INSTANT, primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("cents", BigInteger, nullable=False),
    Index(None, "hour"),
)
"""How often something happened in an hour."""

CHANGE = Table(
    "change",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("store", Text, nullable=False),
    Column("at", INSTANT, nullable=False),
    Column("kind", Text, nullable=False, comment="price, title, listed, sold_out, competitor, count, report ..."),
    Column("subject", Text, nullable=False, comment="a SKU; a report; a warehouse"),
    Column("data", JSONB, nullable=False),
    Index(None, "store", "at"),
    Index(None, "store", "subject", "kind", "at"),
)
"""What was changed, for the evidence of incidents (ALR-13)."""

ORDER_SEEN = Table(
    "order_seen",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("seen_at", INSTANT, nullable=False),
    Column("state", JSONB, nullable=False),
    Index(None, "seen_at"),
)
"""As much of an order as rules about its money and parcels need."""

CAMPAIGN = Table(
    "campaign",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("campaign", Text, primary_key=True),
    Column("decided_at", INSTANT, nullable=False),
    Column("recorded_at", INSTANT, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("starts_at", INSTANT, nullable=False),
    Column("ends_at", INSTANT, nullable=False),
    Column("plan", JSONB, nullable=False),
    Index(None, "store", "ends_at"),
)

CAMPAIGN_LOCK = Table(
    "campaign_lock",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("campaign", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("said_at", INSTANT, nullable=False),
    Column("locked", BigInteger, nullable=False, comment="the most that was locked for it"),
)

SPEND = Table(
    "spend",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("key", Text, primary_key=True, comment="channel, source, campaign, plan, SKU, creative and period"),
    Column("decided_at", INSTANT, nullable=False),
    Column("recorded_at", INSTANT, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("channel", Text, nullable=False),
    Column("campaign", Text, nullable=True),
    Column("plan", Text, nullable=True),
    Column("sku", Text, nullable=True),
    Column("clicks", BigInteger, nullable=False),
    Column("spend_cents", BigInteger, nullable=False),
    Index(None, "store", "day"),
    Index(None, "store", "campaign"),
)

PULSE = Table(
    "pulse",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("hour", INSTANT, primary_key=True),
    Column("minutes", BigInteger, nullable=False, comment="a bit for each minute of the hour that had an event"),
    Index(None, "hour"),
)
"""When events of a topic happened, to know how long it is usually silent."""

# the desk

CONVERSATION = Table(
    "conversation",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("conversation_id", Text, primary_key=True),
    Column("customer_id", Text, nullable=True),
    Column("customer_tier", Text, nullable=True),
    Column("order_id", Text, nullable=True),
    Column("sku", Text, nullable=True),
    Column("via", Text, nullable=True),
    Column("subject", Text, nullable=True),
    Column("class", Text, nullable=True, comment="null while nobody has said one"),
    Column("is_complex", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("opened_at", INSTANT, nullable=False),
    Column("resolved_at", INSTANT, nullable=True),
    Column("breached", Boolean, nullable=False),
    Column("imported", Boolean, nullable=False),
    Column("settled_at", INSTANT, nullable=False, comment="before this its running clocks are not judged"),
    Column("known_until", INSTANT, nullable=False, comment="up to when its running clocks have been judged"),
    Column("recount", Boolean, nullable=False, comment="its policies have changed"),
    Column("version", BigInteger, nullable=False),
    Index(None, "store", "opened_at", "conversation_id"),
    Index("ix_conversation_breached", "store", "opened_at", "conversation_id", postgresql_where=text("breached")),
    Index("ix_conversation_recount", "store", "conversation_id", postgresql_where=text("recount")),
    Index("ix_conversation_unresolved", "store", "conversation_id", postgresql_where=text("status <> 'resolved'")),
)

CONVERSATION_FACT = Table(
    "conversation_fact",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("conversation_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("did", Text, nullable=False),
    Column("at", INSTANT, nullable=False),
    Column("data", JSONB, nullable=False),
)
"""The log of a conversation: its clocks follow from it, whatever the order of arrival."""

CLOCK = Table(
    "clock",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("conversation_id", Text, primary_key=True),
    Column("policy", Text, primary_key=True),
    Column("since", INSTANT, primary_key=True, comment="the version of the policy: when it came into force"),
    Column("kind", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("class", Text, nullable=False),
    Column("limit_seconds", BigInteger, nullable=False),
    Column("started_at", INSTANT, nullable=False),
    Column("due_at", INSTANT, nullable=False),
    Column("stopped_at", INSTANT, nullable=True),
    Column("elapsed_us", BigInteger, nullable=False, comment="service time in microseconds"),
    Column("state", Text, nullable=False),
    Column("agent_id", Text, nullable=True),
    Column("judges", Boolean, nullable=False, comment="figures count it: its version was valid when it started"),
    Column("warned", Boolean, nullable=False),
    Column("fired", Boolean, nullable=False),
    Column("alerting", Boolean, nullable=False, comment="told, and not recovered"),
    Column("timer_at", INSTANT, nullable=True, comment="when to judge it; null: only another event changes it"),
    Column("version", BigInteger, nullable=False),
    Index("ix_clock_timer_at", "timer_at", postgresql_where=text("timer_at IS NOT NULL")),
    Index("ix_clock_judged", "store", "policy", "started_at", postgresql_where=text("judges")),
)

FOLLOW_UP = Table(
    "follow_up",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("kind", Text, primary_key=True, comment="complaint or review"),
    Column("id", Text, primary_key=True),
    Column("started_at", INSTANT, nullable=True),
    Column("stopped_at", INSTANT, nullable=True),
    Column("said_at", INSTANT, nullable=True, comment="when the latest word was said"),
    Column("said_id", Text, nullable=True),
    Column("data", JSONB, nullable=False),
    Column("imported", Boolean, nullable=False),
    Column("settled_at", INSTANT, nullable=False, comment="before this it is not judged"),
    Column("known_until", INSTANT, nullable=False, comment="up to when it has been judged"),
    Column("due_at", INSTANT, nullable=True),
    Column("state", Text, nullable=False),
    Column("warned", Boolean, nullable=False),
    Column("fired", Boolean, nullable=False),
    Column("alerting", Boolean, nullable=False),
    Column("timer_at", INSTANT, nullable=True),
    Index("ix_follow_up_timer_at", "timer_at", postgresql_where=text("timer_at IS NOT NULL")),
    Index(None, "store", "kind", "started_at", "id"),
)
"""Complaints until they are settled, bad reviews until they are answered (SRV-3, SRV-8)."""

QUARANTINED = Table(
    "quarantined",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("time", INSTANT, nullable=False),
    Column("quarantined_at", INSTANT, nullable=False),
)
"""Events from the future: they change nothing (D5)."""

VIOLATION = Table(
    "violation",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("violation_id", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("sku", Text, nullable=True),
    Column("points", Double, nullable=False),
    Column("penalised", Boolean, nullable=False),
    Column("appeal_due", INSTANT, nullable=True),
    Column("at", INSTANT, nullable=False),
    Column("recorded_at", INSTANT, nullable=False),
    Column("by", Text, nullable=False),
    Index(None, "store", "at", "violation_id"),
)

COMPETITOR = Table(
    "competitor",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("rival", Text, primary_key=True),
    Column("seen_at", INSTANT, primary_key=True),
    Column("price_cents", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("offer", Text, nullable=True),
    Column("link", Text, nullable=True),
    Column("recorded_at", INSTANT, nullable=False),
    Column("event_id", Text, nullable=False),
)
"""What rivals asked for what the store sells too: evidence for a fallen conversion (ALR-13, ALR-18)."""
