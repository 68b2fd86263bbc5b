"""Migrations in process: every service's schema, `access` and the bus, under one lock, as often as one likes.

Develop with `python -m libs.service.migration new orders "what it adds"`: it writes the difference between the
service's tables and a fresh database as the next revision.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.events.locks import advisory_lock
from libs.service.access import WRITERS
from libs.service.database import API_GROUP, WORKER_GROUP, api_role, create_engine, worker_role

_ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("orders", "inventory", "kpi", "alerts", "reporting")


class MissingMigration(Exception):
    """The database is not at the version that this code needs; the message is the one line to print."""


def migrations_of(schema: str) -> Path:
    """Where the revisions of a schema lie."""
    return _ROOT / "libs/service/migrations" if schema == "access" else _ROOT / "services" / schema / "migrations"


async def migrate(url: str, service: str, *, folder: Path | None = None) -> list[str]:
    """Bring `access` and the schema of `service` to their newest version; the revisions applied are returned.

    Safe to call from several processes at once: one works, the others wait and find nothing to do.
    """
    engine = create_engine(url, name="migrate", pool_size=2, max_overflow=0)
    try:
        async with advisory_lock(engine, "migrate", poll_seconds=0.1):
            return await _migrate(engine, service, folder or migrations_of(service))
    finally:
        await engine.dispose()


async def migrate_all(url: str) -> Mapping[str, list[str]]:
    """Bring every schema and the tables of the PostgreSQL bus to their newest version."""
    applied: dict[str, list[str]] = {}
    for service in SERVICES:
        if (migrations_of(service) / "env.py").exists():
            applied[service] = await migrate(url, service)
    return applied


async def pending(engine: AsyncEngine, schema: str, *, folder: Path | None = None) -> tuple[str | None, str | None]:
    """(version of the database, version that this code needs) of one schema."""
    needed = _script(folder or migrations_of(schema)).get_current_head()
    async with engine.connect() as connection:
        return await connection.run_sync(lambda c: _current(c, schema)), needed


async def require_migrated(engine: AsyncEngine, schema: str, *, folder: Path | None = None) -> None:
    """Raises MissingMigration with one clear line."""
    present, needed = await pending(engine, schema, folder=folder)
    if present != needed:
        raise MissingMigration(
            f"schema {schema} is at version {present or 'none'}, this program needs {needed}: run `opswire migrate`"
        )


async def _migrate(engine: AsyncEngine, service: str, folder: Path) -> list[str]:
    applied: list[str] = []
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = '10min'"))
        for statement in _roles(service):
            await connection.execute(text(statement))
        for schema, path in (("access", migrations_of("access")), (service, folder)):
            await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
            for statement in _default_rights(schema):
                await connection.execute(text(statement))
            applied += await connection.run_sync(_upgrade, schema, path)
        for statement in _rights(service):
            await connection.execute(text(statement))
    return applied


def _config(folder: Path, **attributes: Any) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(attributes)
    return config


def _script(folder: Path) -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(folder))


def _current(connection: Connection, schema: str) -> str | None:
    exists = connection.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": f"{schema}.alembic_version"})
    if not exists:
        return None
    return MigrationContext.configure(connection, opts={"version_table_schema": schema}).get_current_revision()


def _upgrade(connection: Connection, schema: str, folder: Path) -> list[str]:
    before = _current(connection, schema)
    command.upgrade(_config(folder, connection=connection, schema=schema), "head")
    head = _script(folder).get_current_head()
    if before == head:
        return []
    revisions = _script(folder).iterate_revisions(head, before or "base")
    return [f"{schema}:{revision.revision}" for revision in reversed(list(revisions))]


def run_migrations(metadata: MetaData) -> None:
    """The whole of a service's `migrations/env.py`."""
    schema = metadata.schema
    assert schema is not None, "metadata names its schema"
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        version_table_schema=schema,
        include_schemas=True,
        include_name=lambda name, kind, _parents: name == schema if kind == "schema" else True,
        include_object=lambda thing, name, kind, _reflected, _other: (
            not (kind == "table" and name == "alembic_version")
        ),
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _roles(service: str) -> Sequence[str]:
    """Roles belong to the whole cluster: another database may be making them at this very moment."""
    names = (API_GROUP, WORKER_GROUP, api_role(service), worker_role(service))
    return [
        *(_make_role(name) for name in names),
        _member(API_GROUP, api_role(service)),
        _member(WORKER_GROUP, worker_role(service)),
        *(_member(name, "CURRENT_USER") for name in names),
    ]


def _make_role(name: str) -> str:
    return (
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN"
        f" CREATE ROLE {name} NOLOGIN; END IF;"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )


def _member(group: str, member: str) -> str:
    who = "current_user" if member == "CURRENT_USER" else f"'{member}'"
    return (
        f"DO $$ BEGIN IF NOT pg_has_role({who}, '{group}', 'USAGE') THEN GRANT {group} TO {member}; END IF;"
        " EXCEPTION WHEN unique_violation THEN NULL; END $$"
    )


def _default_rights(schema: str) -> Sequence[str]:
    """What a service's roles may do with its tables from the moment they are made; a migration may take it back."""
    if schema == "access":
        return [f"GRANT USAGE ON SCHEMA access TO {API_GROUP}, {WORKER_GROUP}"]
    both = f"{api_role(schema)}, {worker_role(schema)}"
    return [
        f"GRANT USAGE ON SCHEMA {schema} TO {both}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {both}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE ON SEQUENCES TO {both}",
    ]


def _rights(service: str) -> Sequence[str]:
    both = f"{api_role(service)}, {worker_role(service)}"
    return [
        f"REVOKE INSERT, UPDATE, DELETE ON {service}.alembic_version FROM {both}",
        *(f"GRANT INSERT, UPDATE ON access.{table} TO {api_role(service)}" for table in WRITERS.get(service, ())),
    ]
