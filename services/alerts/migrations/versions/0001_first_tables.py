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
        "campaign",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("plan", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("store", "campaign", name=op.f("pk_campaign")),
        schema="alerts",
    )
    op.create_index(op.f("ix_campaign_store_ends_at"), "campaign", ["store", "ends_at"], unique=False, schema="alerts")
    op.create_table(
        "campaign_lock",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("locked", sa.BigInteger(), nullable=False, comment="the most that was locked for it"),
        sa.PrimaryKeyConstraint("store", "campaign", "sku", name=op.f("pk_campaign_lock")),
        schema="alerts",
    )
    op.create_table(
        "change",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="price, title, listed, sold_out, competitor, count, report ..."
        ),
        sa.Column("subject", sa.Text(), nullable=False, comment="a SKU; a report; a warehouse"),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change")),
        schema="alerts",
    )
    op.create_index(op.f("ix_change_store_at"), "change", ["store", "at"], unique=False, schema="alerts")
    op.create_index(
        op.f("ix_change_store_subject_kind_at"),
        "change",
        ["store", "subject", "kind", "at"],
        unique=False,
        schema="alerts",
    )
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
        sa.Column("format", sa.Text(), nullable=False, comment="own, or alertmanager: how a webhook is written"),
        sa.Column(
            "quiet",
            postgresql.JSONB(
                none_as_null=True,
            ),
            nullable=True,
            comment="hours in which only the critical is told",
        ),
        sa.Column("timezone", sa.Text(), nullable=False, comment="of the hours of routes and quiet"),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("store", "name", name=op.f("pk_channel")),
        schema="alerts",
    )
    op.create_table(
        "clock",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column(
            "since",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the version of the policy: when it came into force",
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("limit_seconds", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("elapsed_us", sa.BigInteger(), nullable=False, comment="service time in microseconds"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column(
            "judges", sa.Boolean(), nullable=False, comment="figures count it: its version was valid when it started"
        ),
        sa.Column("warned", sa.Boolean(), nullable=False),
        sa.Column("fired", sa.Boolean(), nullable=False),
        sa.Column("alerting", sa.Boolean(), nullable=False, comment="told, and not recovered"),
        sa.Column(
            "timer_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when to judge it; null: only another event changes it",
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store", "conversation_id", "policy", "since", "kind", "number", name=op.f("pk_clock")),
        schema="alerts",
    )
    op.create_index(
        "ix_clock_judged",
        "clock",
        ["store", "policy", "started_at"],
        unique=False,
        schema="alerts",
        postgresql_where=sa.text("judges"),
    )
    op.create_index(
        "ix_clock_timer_at",
        "clock",
        ["timer_at"],
        unique=False,
        schema="alerts",
        postgresql_where=sa.text("timer_at IS NOT NULL"),
    )
    op.create_table(
        "competitor",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("rival", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("price_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("offer", sa.Text(), nullable=True),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("store", "sku", "rival", "seen_at", name=op.f("pk_competitor")),
        schema="alerts",
    )
    op.create_table(
        "conversation",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("customer_tier", sa.Text(), nullable=True),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("sku", sa.Text(), nullable=True),
        sa.Column("via", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("class", sa.Text(), nullable=True, comment="null while nobody has said one"),
        sa.Column("is_complex", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("breached", sa.Boolean(), nullable=False),
        sa.Column("imported", sa.Boolean(), nullable=False),
        sa.Column(
            "settled_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="before this its running clocks are not judged",
        ),
        sa.Column(
            "known_until",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="up to when its running clocks have been judged",
        ),
        sa.Column("recount", sa.Boolean(), nullable=False, comment="its policies have changed"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store", "conversation_id", name=op.f("pk_conversation")),
        schema="alerts",
    )
    op.create_index(
        "ix_conversation_breached",
        "conversation",
        ["store", "opened_at", "conversation_id"],
        unique=False,
        schema="alerts",
        postgresql_where=sa.text("breached"),
    )
    op.create_index(
        "ix_conversation_recount",
        "conversation",
        ["store", "conversation_id"],
        unique=False,
        schema="alerts",
        postgresql_where=sa.text("recount"),
    )
    op.create_index(
        op.f("ix_conversation_store_opened_at_conversation_id"),
        "conversation",
        ["store", "opened_at", "conversation_id"],
        unique=False,
        schema="alerts",
    )
    op.create_index(
        "ix_conversation_unresolved",
        "conversation",
        ["store", "conversation_id"],
        unique=False,
        schema="alerts",
        postgresql_where=sa.text("status <> 'resolved'"),
    )
    op.create_table(
        "conversation_fact",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("did", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("store", "conversation_id", "event_id", "source", name=op.f("pk_conversation_fact")),
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
        "follow_up",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="complaint or review"),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=True, comment="when the latest word was said"),
        sa.Column("said_id", sa.Text(), nullable=True),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("imported", sa.Boolean(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=False, comment="before this it is not judged"),
        sa.Column("known_until", sa.DateTime(timezone=True), nullable=False, comment="up to when it has been judged"),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("warned", sa.Boolean(), nullable=False),
        sa.Column("fired", sa.Boolean(), nullable=False),
        sa.Column("alerting", sa.Boolean(), nullable=False),
        sa.Column("timer_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("store", "kind", "id", name=op.f("pk_follow_up")),
        schema="alerts",
    )
    op.create_index(
        op.f("ix_follow_up_store_kind_started_at_id"),
        "follow_up",
        ["store", "kind", "started_at", "id"],
        unique=False,
        schema="alerts",
    )
    op.create_index(
        "ix_follow_up_timer_at",
        "follow_up",
        ["timer_at"],
        unique=False,
        schema="alerts",
        postgresql_where=sa.text("timer_at IS NOT NULL"),
    )
    op.create_table(
        "gate",
        sa.Column("target", sa.Text(), nullable=False, comment="digest of kind and address"),
        sa.Column("tokens", sa.Double(), nullable=False, comment="calls that may be made now"),
        sa.Column("filled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False, comment="in a row"),
        sa.Column("closed_until", sa.DateTime(timezone=True), nullable=True, comment="left alone until then"),
        sa.PrimaryKeyConstraint("target", name=op.f("pk_gate")),
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
        sa.Column("muted", sa.Text(), nullable=True, comment="the silence or incident because of which nobody is told"),
        sa.Column("level", sa.Integer(), nullable=False, comment="how often it has gone up"),
        sa.Column(
            "escalate_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it goes up unless somebody acknowledges it",
        ),
        sa.Column(
            "cause_due_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="by when the cause of a figure that fell is recorded",
        ),
        sa.Column("evidence", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("store", "incident_id", name=op.f("pk_incident")),
        schema="alerts",
    )
    op.create_index(
        op.f("ix_incident_cause_due_at"),
        "incident",
        ["cause_due_at"],
        unique=False,
        schema="alerts",
        postgresql_where=sa.text("cause_due_at IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_incident_escalate_at"),
        "incident",
        ["escalate_at"],
        unique=False,
        schema="alerts",
        postgresql_where=sa.text("escalate_at IS NOT NULL"),
    )
    op.create_index(
        "ix_incident_muted",
        "incident",
        ["store"],
        unique=False,
        schema="alerts",
        postgresql_where=sa.text("muted IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_incident_store_opened_at_incident_id"),
        "incident",
        ["store", "opened_at", "incident_id"],
        unique=False,
        schema="alerts",
    )
    op.create_index(
        op.f("ix_incident_store_status_opened_at_incident_id"),
        "incident",
        ["store", "status", "opened_at", "incident_id"],
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
        "measured",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False, comment="'' for the store, else channel=paid and the like"),
        sa.Column("grain", sa.Text(), nullable=False, comment="w1 ... w24, or day"),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("measures", postgresql.JSONB(), nullable=False, comment="what rules read of it; zeros are left out"),
        sa.PrimaryKeyConstraint("store", "about", "grain", "ends_at", name=op.f("pk_measured")),
        schema="alerts",
    )
    op.create_index(op.f("ix_measured_ends_at"), "measured", ["ends_at"], unique=False, schema="alerts")
    op.create_table(
        "order_seen",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("store", "order_id", name=op.f("pk_order_seen")),
        schema="alerts",
    )
    op.create_index(op.f("ix_order_seen_seen_at"), "order_seen", ["seen_at"], unique=False, schema="alerts")
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
        "pulse",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "minutes", sa.BigInteger(), nullable=False, comment="a bit for each minute of the hour that had an event"
        ),
        sa.PrimaryKeyConstraint("store", "topic", "hour", name=op.f("pk_pulse")),
        schema="alerts",
    )
    op.create_index(op.f("ix_pulse_hour"), "pulse", ["hour"], unique=False, schema="alerts")
    op.create_table(
        "quarantined",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("quarantined_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "key", name=op.f("pk_quarantined")),
        schema="alerts",
    )
    op.create_table(
        "seen",
        sa.Column("key", sa.LargeBinary(), nullable=False, comment="16 bytes of store, source and id"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_seen")),
        schema="alerts",
    )
    op.create_table(
        "sku",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="goods", nullable=False),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("price_cents", sa.BigInteger(), nullable=True),
        sa.Column("cost_cents", sa.BigInteger(), nullable=True),
        sa.Column("lead_days", sa.Integer(), nullable=True),
        sa.Column(
            "said_at", sa.DateTime(timezone=True), nullable=True, comment="when the catalogue last said something of it"
        ),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False, comment="of its level"),
        sa.Column("on_hand", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("available", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("safety", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stocked_at", sa.DateTime(timezone=True), nullable=True, comment="when it was first on hand"),
        sa.Column("sold_at", sa.DateTime(timezone=True), nullable=True, comment="when it was last ordered"),
        sa.PrimaryKeyConstraint("store", "sku", name=op.f("pk_sku")),
        schema="alerts",
    )
    op.create_table(
        "spend",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column(
            "key", sa.Text(), nullable=False, comment="channel, source, campaign, plan, SKU, creative and period"
        ),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=True),
        sa.Column("plan", sa.Text(), nullable=True),
        sa.Column("sku", sa.Text(), nullable=True),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
        sa.Column("spend_cents", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store", "key", name=op.f("pk_spend")),
        schema="alerts",
    )
    op.create_index(op.f("ix_spend_store_campaign"), "spend", ["store", "campaign"], unique=False, schema="alerts")
    op.create_index(op.f("ix_spend_store_day"), "spend", ["store", "day"], unique=False, schema="alerts")
    op.create_table(
        "tally",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="placed, paid, refund, dispute, complaint, bad_review ..."
        ),
        sa.Column("value", sa.Text(), nullable=False, comment="'' for the store, else a SKU, or a payment method"),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("cents", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store", "kind", "value", "hour", name=op.f("pk_tally")),
        schema="alerts",
    )
    op.create_index(op.f("ix_tally_hour"), "tally", ["hour"], unique=False, schema="alerts")
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
        "timer",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False, comment="which must be complete up to due_at before it fires"),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("about", postgresql.JSONB(), nullable=False),
        sa.Column("figures", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("store", "rule", "key", name=op.f("pk_timer")),
        schema="alerts",
    )
    op.create_index(op.f("ix_timer_topic_due_at"), "timer", ["topic", "due_at"], unique=False, schema="alerts")
    op.create_table(
        "violation",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("violation_id", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=True),
        sa.Column("points", sa.Double(), nullable=False),
        sa.Column("penalised", sa.Boolean(), nullable=False),
        sa.Column("appeal_due", sa.DateTime(timezone=True), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("store", "violation_id", name=op.f("pk_violation")),
        schema="alerts",
    )
    op.create_index(
        op.f("ix_violation_store_at_violation_id"),
        "violation",
        ["store", "at", "violation_id"],
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
    enable_row_security(
        op,
        "alerts",
        "campaign",
        "campaign_lock",
        "change",
        "channel",
        "clock",
        "competitor",
        "conversation",
        "conversation_fact",
        "delivery",
        "document",
        "follow_up",
        "idempotency",
        "incident",
        "measured",
        "order_seen",
        "pulse",
        "quarantined",
        "sku",
        "spend",
        "tally",
        "target",
        "timeline",
        "timer",
        "violation",
    )


def downgrade() -> None:
    drop_tables(op, "alerts")
