"""The database: engine, metadata, roles and row-level security, the same for every service."""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import MetaData, TextClause
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

API_GROUP, WORKER_GROUP = "opswire_api", "opswire_worker"
"""Every service's roles are members of these: what is shared (`access`, the PostgreSQL bus) is granted to them."""

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

_SERVER_SETTINGS = {
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": "30000",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "60000",
}


def metadata(schema: str) -> MetaData:
    """The metadata of one service: its schema, and names for constraints that migrations can rely on."""
    return MetaData(schema=schema, naming_convention=NAMING)


def api_role(service: str) -> str:
    """The role of requests: sees the rows of one store."""
    return f"{service}_api"


def worker_role(service: str) -> str:
    """The role of consumers, relays and tickers: sees the rows of every store."""
    return f"{service}_worker"


def async_url(url: str) -> str:
    """The address with the asyncpg driver, however it was written (`postgres://`, `postgresql://`)."""
    parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    return parsed.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def create_engine(url: str, *, name: str = "opswire", pool_size: int = 12, max_overflow: int = 4) -> AsyncEngine:
    """A pool with every timeout set, whose errors do not repeat values; it connects at first use. Times are in UTC."""
    return create_async_engine(
        async_url(url),
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=5,
        pool_recycle=1800,
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args={
            "timeout": 5,
            "command_timeout": 60,
            "server_settings": {**_SERVER_SETTINGS, "application_name": name},
        },
    )


class Operations(Protocol):
    """What of alembic's `op` is used here."""

    def execute(self, sqltext: str | TextClause) -> None: ...


def enable_row_security(op: Operations, schema: str, *tables: str, store_column: str = "store") -> None:
    """For a migration: `<schema>_api` sees and writes only rows of its transaction's store, `<schema>_worker` all.

    The owner himself is bound too; a migration that moves data does it `SET LOCAL ROLE <schema>_worker`.
    """
    for table in tables:
        for statement in _policies(schema, table, store_column):
            op.execute(statement)


def drop_tables(op: Operations, schema: str) -> None:
    """For the first revision's `downgrade`: drop every table of the schema but alembic's own."""
    op.execute(
        "DO $$ DECLARE name text; BEGIN FOR name IN SELECT tablename FROM pg_tables"
        f" WHERE schemaname = '{schema}' AND tablename <> 'alembic_version'"
        f" LOOP EXECUTE format('DROP TABLE {schema}.%I CASCADE', name); END LOOP; END $$"
    )


def _policies(schema: str, table: str, store_column: str) -> Sequence[str]:
    own = f"{store_column} = current_setting('opswire.store', true)"
    name = f"{schema}.{table}"
    return (
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY own_store ON {name} TO {api_role(schema)} USING ({own}) WITH CHECK ({own})",
        f"CREATE POLICY every_store ON {name} TO {worker_role(schema)} USING (true) WITH CHECK (true)",
    )
