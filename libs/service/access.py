"""Schema `access`, the one that all services share: stores, keys, people, the installation, the audit log (D4)."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    Table,
    Text,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from libs.service.database import metadata

ACCESS = metadata("access")
_INSTANT = DateTime(timezone=True)

stores = Table(
    "stores",
    ACCESS,
    Column("store", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("created_at", _INSTANT, nullable=False, server_default=func.now()),
    Column("changed_at", _INSTANT, nullable=False, server_default=func.now()),
)

keys = Table(
    "keys",
    ACCESS,
    Column("id", Text, primary_key=True),
    Column("hash", LargeBinary, nullable=False, comment="SHA-256 of the whole key"),
    Column("store", Text, nullable=False, comment="a store, or * for operators"),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("is_public", Boolean, nullable=False, server_default=false(), comment="write-only, for the beacon"),
    Column("note", Text, nullable=False, server_default=""),
    Column("created_at", _INSTANT, nullable=False, server_default=func.now()),
    Column("expires_at", _INSTANT),
    Column("revoked_at", _INSTANT),
    Column("last_used_at", _INSTANT),
)

people = Table(
    "people",
    ACCESS,
    Column("person", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("stores", ARRAY(Text), nullable=False),
    Column("handle", Text),
    Column("mobile", Text),
    Column("deputy", Text),
    Column("hours", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("absent", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("changed_at", _INSTANT, nullable=False, server_default=func.now()),
)

installation = Table(
    "installation",
    ACCESS,
    Column("id", Text, primary_key=True),
    Column("secret", LargeBinary, nullable=False, comment="the internal key is derived from it (D50)"),
    Column("pseudonym_key", LargeBinary, nullable=False, comment="keys the hashes that replace phones and mails (D7)"),
    Column("created_at", _INSTANT, nullable=False, server_default=func.now()),
    Index("uq_installation_one", text("(true)"), unique=True),
)

audit_log = Table(
    "audit",
    ACCESS,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", _INSTANT, nullable=False),
    Column("store", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("actor", Text, nullable=False, comment="key:ID, person:ID, rule:ID or service:NAME"),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("before", JSONB),
    Column("after", JSONB),
    Index(None, "store", "object", "at"),
)

WRITERS = {"orders": ("stores",), "alerts": ("people",)}
"""Which service's requests may write which shared table; everything else of `access` is written by `opswire` alone."""
