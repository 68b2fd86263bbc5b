"""Migrations in process: every service's schema, `access` and the bus, under one lock, as often as one likes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.events.bus_schema import create_bus_schema
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
    """Bring `access`, the bus and the schema of `service` to their newest version; the revisions applied are returned.

    Safe to call from several processes at once: one works, the others wait and find nothing to do. All or nothing.
    """
    applied = await _under_lock(url, {service: folder or migrations_of(service)})
    return [revision for revisions in applied.values() for revision in revisions]


async def migrate_all(url: str) -> Mapping[str, list[str]]:
    """Bring every schema to its newest version, all or nothing; schema -> revisions applied."""
    folders = {service: migrations_of(service) for service in SERVICES}
    return await _under_lock(url, {service: path for service, path in folders.items() if (path / "env.py").exists()})


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


async def differences(engine: AsyncEngine, metadata: MetaData) -> list[Any]:
    """What the tables in code and in the database differ by (`alembic check`); empty when all is well."""
    async with engine.connect() as connection:
        return await connection.run_sync(lambda c: list(compare_metadata(_comparison(c, metadata), metadata)))


async def downgrade(url: str, service: str, *, folder: Path | None = None) -> None:
    """Take every revision of a service's schema back (tests: up, down, up)."""
    engine = create_engine(url, name="migrate", pool_size=2, max_overflow=0)
    try:
        async with engine.begin() as connection:
            place = folder or migrations_of(service)
            await connection.run_sync(lambda c: command.downgrade(_config(place, connection=c, schema=service), "base"))
    finally:
        await engine.dispose()


async def revision_code(engine: AsyncEngine, metadata: MetaData) -> str:
    """The body of `upgrade()` that would bring the database to `metadata`."""
    async with engine.connect() as connection:
        found = await connection.run_sync(lambda c: produce_migrations(_comparison(c, metadata), metadata))
    assert found.upgrade_ops is not None, "alembic always gives one"
    return render_python_code(found.upgrade_ops)


async def _under_lock(url: str, folders: Mapping[str, Path]) -> dict[str, list[str]]:
    engine = create_engine(url, name="migrate", pool_size=2, max_overflow=0)
    try:
        async with advisory_lock(engine, "migrate", poll_seconds=0.1):
            async with engine.begin() as connection:
                await connection.execute(text("SET LOCAL statement_timeout = '10min'"))
                return await _migrate(connection, folders)
    finally:
        await engine.dispose()


async def _migrate(connection: AsyncConnection, folders: Mapping[str, Path]) -> dict[str, list[str]]:
    await _each(connection, _groups())
    applied = {"access": await _schema(connection, "access", migrations_of("access"))}
    await connection.run_sync(create_bus_schema)
    for service, folder in folders.items():
        await _each(connection, _roles(service))
        applied[service] = await _schema(connection, service, folder)
        await _each(connection, _rights(service))
    return applied


async def _schema(connection: AsyncConnection, schema: str, folder: Path) -> list[str]:
    await _each(connection, [f"CREATE SCHEMA IF NOT EXISTS {schema}", *_default_rights(schema)])
    return await connection.run_sync(_upgrade, schema, folder)


async def _each(connection: AsyncConnection, statements: Sequence[str]) -> None:
    for statement in statements:
        await connection.execute(text(statement))


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
    context.configure(connection=context.config.attributes["connection"], **_options(metadata))
    with context.begin_transaction():
        context.run_migrations()


def _comparison(connection: Connection, metadata: MetaData) -> MigrationContext:
    return MigrationContext.configure(connection, opts=_options(metadata))


def _options(metadata: MetaData) -> dict[str, Any]:
    schema = metadata.schema
    assert schema is not None, "metadata names its schema"
    return {
        "target_metadata": metadata,
        "version_table_schema": schema,
        "include_schemas": True,
        "include_name": lambda name, kind, _parents: name == schema if kind == "schema" else True,
        "compare_type": True,
    }


def _groups() -> Sequence[str]:
    """Roles belong to the whole server: another database may be making them at this very moment."""
    groups = (API_GROUP, WORKER_GROUP)
    return [*(_make_role(name) for name in groups), *(_member(name, "CURRENT_USER") for name in groups)]


def _roles(service: str) -> Sequence[str]:
    api, worker = api_role(service), worker_role(service)
    return [
        _make_role(api),
        _make_role(worker),
        _member(API_GROUP, api),
        _member(WORKER_GROUP, worker),
        _member(api, "CURRENT_USER"),
        _member(worker, "CURRENT_USER"),
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
