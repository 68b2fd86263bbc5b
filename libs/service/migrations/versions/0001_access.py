"""Stores, keys, people, the installation and the audit log."""

import hashlib
import secrets

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from libs.service.auth import INTERNAL_KEY_ID, INTERNAL_SCOPES, internal_key
from libs.service.database import API_GROUP, WORKER_GROUP

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
NOW = sa.func.now()


def upgrade() -> None:
    _stores_and_people()
    _keys()
    _installation()
    _audit()
    _rights()
    _secrets()


def downgrade() -> None:
    for table in ("audit", "installation", "keys", "people", "stores"):
        op.drop_table(table, schema="access")
    op.execute("DROP FUNCTION access.refuse_change()")


def _stores_and_people() -> None:
    op.create_table(
        "stores",
        sa.Column("store", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False, server_default=NOW),
        sa.Column("changed_at", INSTANT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("store", name="pk_stores"),
        schema="access",
    )
    op.create_table(
        "people",
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("stores", ARRAY(sa.Text), nullable=False),
        sa.Column("handle", sa.Text),
        sa.Column("mobile", sa.Text),
        sa.Column("deputy", sa.Text),
        sa.Column("hours", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("absent", JSONB, nullable=False, server_default=sa.text("'[]'::jsonb")),
        sa.Column("changed_at", INSTANT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("person", name="pk_people"),
        schema="access",
    )


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False, comment="SHA-256 of the whole key"),
        sa.Column("store", sa.Text, nullable=False, comment="a store, or * for operators"),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        sa.Column(
            "is_public", sa.Boolean, nullable=False, server_default=sa.false(), comment="write-only, for the beacon"
        ),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", INSTANT, nullable=False, server_default=NOW),
        sa.Column("expires_at", INSTANT),
        sa.Column("revoked_at", INSTANT),
        sa.Column("last_used_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        schema="access",
    )


def _installation() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False, comment="the internal key is derived from it (D50)"),
        sa.Column(
            "pseudonym_key",
            sa.LargeBinary,
            nullable=False,
            comment="keys the hashes that replace phones and mails (D7)",
        ),
        sa.Column("created_at", INSTANT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_installation"),
        schema="access",
    )
    op.execute("CREATE UNIQUE INDEX uq_installation_one ON access.installation ((true))")


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("store", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False, comment="key:ID, person:ID, rule:ID or service:NAME"),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("before", JSONB),
        sa.Column("after", JSONB),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        schema="access",
    )
    op.create_index("ix_audit_store_object_at", "audit", ["store", "object", "at"], schema="access")
    op.execute(
        "CREATE FUNCTION access.refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the audit log is append only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON access.audit"
        " FOR EACH STATEMENT EXECUTE FUNCTION access.refuse_change()"
    )


def _rights() -> None:
    op.execute(f"GRANT SELECT ON access.stores, access.people TO {API_GROUP}")
    op.execute(f"GRANT SELECT ON access.stores, access.people, access.keys, access.installation TO {WORKER_GROUP}")
    op.execute(f"GRANT UPDATE (last_used_at) ON access.keys TO {WORKER_GROUP}")
    op.execute(f"GRANT SELECT, INSERT ON access.audit TO {API_GROUP}, {WORKER_GROUP}")
    _policies("stores", "store = current_setting('opswire.store', true)")
    _policies("people", "current_setting('opswire.store', true) = ANY (stores)")
    _policies("audit", "store = current_setting('opswire.store', true)")


def _policies(table: str, own: str) -> None:
    op.execute(f"ALTER TABLE access.{table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_store ON access.{table} TO {API_GROUP} USING ({own}) WITH CHECK ({own})")
    op.execute(f"CREATE POLICY every_store ON access.{table} TO {WORKER_GROUP} USING (true) WITH CHECK (true)")


def _secrets() -> None:
    secret = secrets.token_bytes(32)
    op.get_bind().execute(
        sa.text("INSERT INTO access.installation (id, secret, pseudonym_key) VALUES (:id, :secret, :pseudonym_key)"),
        {"id": secrets.token_hex(16), "secret": secret, "pseudonym_key": secrets.token_bytes(32)},
    )
    op.get_bind().execute(
        sa.text("INSERT INTO access.keys (id, hash, store, scopes, note) VALUES (:id, :hash, '*', :scopes, :note)"),
        {
            "id": INTERNAL_KEY_ID,
            "hash": hashlib.sha256(internal_key(secret).encode()).digest(),
            "scopes": list(INTERNAL_SCOPES),
            "note": "from orders to inventory",
        },
    )
