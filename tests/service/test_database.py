"""Schemas, roles and row-level security: stores are kept apart by the database itself (P7)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.events.transaction import Transactions
from libs.service.access import ACCESS
from libs.service.audit import audit
from libs.service.database import async_url, create_engine
from libs.service.migration import (
    MissingMigration,
    differences,
    downgrade,
    migrate,
    pending,
    require_migrated,
    revision_code,
)
from tests.service.example.app import MIGRATIONS
from tests.service.example.tables import METADATA, SHARED, notes


@pytest.fixture(scope="module")
async def engine(example_database: str) -> AsyncIterator[AsyncEngine]:
    """As the owner."""
    made = create_engine(example_database)
    yield made
    await made.dispose()


def _transactions(engine: AsyncEngine, role: str) -> Transactions:
    return Transactions(engine, service="example", role=role, outbox=SHARED.events.outbox)


@pytest.fixture
def api(engine: AsyncEngine) -> Transactions:
    """Requests."""
    return _transactions(engine, "example_api")


@pytest.fixture
def worker(engine: AsyncEngine) -> Transactions:
    """Consumers and tickers."""
    return _transactions(engine, "example_worker")


NOTE = {"text": "x", "weight": 1, "version": 1}


async def test_five_processes_may_migrate_at_once(empty_database: str) -> None:
    calls = [migrate(empty_database, "example", folder=MIGRATIONS) for _ in range(5)]
    applied = sorted(await asyncio.gather(*calls), reverse=True)
    assert applied == [["access:0001", "example:0001"], [], [], [], []]


async def test_the_revisions_and_the_tables_say_the_same(engine: AsyncEngine) -> None:
    assert await differences(engine, METADATA) == []
    assert await differences(engine, ACCESS) == []
    assert "create_table" not in await revision_code(engine, METADATA)


async def test_up_down_up(empty_database: str) -> None:
    await migrate(empty_database, "example", folder=MIGRATIONS)
    await downgrade(empty_database, "example", folder=MIGRATIONS)
    await downgrade(empty_database, "access")
    assert await migrate(empty_database, "example", folder=MIGRATIONS) == ["access:0001", "example:0001"]
    made = create_engine(empty_database)
    assert await differences(made, METADATA) == []
    await made.dispose()


async def test_a_missing_migration_is_named(empty_database: str, tmp_path: Path) -> None:
    made = create_engine(empty_database)
    with pytest.raises(MissingMigration, match="schema access is at version none, this program needs 0001"):
        await require_migrated(made, "access")
    await migrate(empty_database, "example", folder=MIGRATIONS)
    await require_migrated(made, "example", folder=MIGRATIONS)
    assert await pending(made, "access") == ("0001", "0001")
    await made.dispose()


async def test_a_failing_migration_leaves_nothing(empty_database: str, tmp_path: Path) -> None:
    versions = tmp_path / "versions"
    versions.mkdir()
    (tmp_path / "env.py").write_text((MIGRATIONS / "env.py").read_text())
    first = (MIGRATIONS / "versions" / "0001_first_tables.py").read_text()
    (versions / "0001_broken.py").write_text(
        first.replace("    enable_row", '    op.execute("nonsense")\n    enable_row')
    )
    with pytest.raises(DBAPIError):
        await migrate(empty_database, "example", folder=tmp_path)
    made = create_engine(empty_database)
    async with made.connect() as session:
        assert await session.scalar(text("SELECT to_regclass('example.notes')")) is None
        assert await session.scalar(text("SELECT to_regclass('access.keys')")) is None
    await made.dispose()


async def test_an_installation_has_one_secret_however_often_it_is_migrated(example_database: str) -> None:
    await migrate(example_database, "example", folder=MIGRATIONS)
    made = create_engine(example_database)
    async with made.connect() as session:
        assert await session.scalar(text("SELECT count(*) FROM access.installation")) == 1
    await made.dispose()


async def test_a_request_sees_and_writes_its_store_alone(api: Transactions, worker: Transactions) -> None:
    for store in ("a", "b"):
        async with api.begin(store) as tx:
            await tx.session.execute(insert(notes).values(store=store, note_id="n", written_at=tx.now, **NOTE))
    async with api.begin("a") as tx:
        assert (await tx.session.scalars(select(notes.c.store))).all() == ["a"]
        changed = await tx.session.execute(text("UPDATE example.notes SET text = 'y'"))
        assert changed.rowcount == 1
    async with worker.begin() as tx:
        assert sorted((await tx.session.scalars(select(notes.c.store))).all()) == ["a", "b"]


async def test_a_request_cannot_write_a_row_of_another_store(api: Transactions) -> None:
    with pytest.raises(DBAPIError, match="row-level security"):
        async with api.begin("a") as tx:
            await tx.session.execute(insert(notes).values(store="b", note_id="x", written_at=tx.now, **NOTE))


async def test_a_request_without_a_store_sees_nothing(api: Transactions) -> None:
    async with api.begin() as tx:
        assert (await tx.session.scalars(select(notes.c.store))).all() == []


async def test_without_the_policy_the_stores_would_mix(engine: AsyncEngine, api: Transactions) -> None:
    """The sabotage twin of the tests above."""
    async with engine.begin() as session:
        await session.execute(text("ALTER TABLE example.notes DISABLE ROW LEVEL SECURITY"))
    try:
        async with api.begin("a") as tx:
            assert set((await tx.session.scalars(select(notes.c.store))).all()) > {"a"}
    finally:
        async with engine.begin() as session:
            await session.execute(text("ALTER TABLE example.notes ENABLE ROW LEVEL SECURITY"))


async def test_every_table_with_a_store_has_a_policy(engine: AsyncEngine) -> None:
    async with engine.connect() as session:
        unprotected = await session.scalars(
            text(
                "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'store'"
                " WHERE c.relnamespace = 'example'::regnamespace AND c.relkind = 'r'"
                " AND NOT (c.relrowsecurity AND c.relforcerowsecurity) AND c.relname <> 'parking'"
            )
        )
        assert unprotected.all() == []


@pytest.mark.parametrize("role", ["example_api", "example_worker"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE example.mine (a int)",
        "DROP TABLE example.notes",
        "ALTER TABLE example.notes DISABLE ROW LEVEL SECURITY",
        "UPDATE example.alembic_version SET version_num = '9'",
        "INSERT INTO access.keys (id, hash, store, scopes) VALUES ('x', 'x', '*', '{admin}')",
        "UPDATE access.keys SET scopes = '{admin}'",
        "UPDATE access.stores SET name = 'x'",
        "DELETE FROM access.audit",
        "UPDATE access.audit SET actor = 'x'",
        "TRUNCATE access.audit",
    ],
)
async def test_a_services_roles_own_nothing_and_reach_no_further(
    engine: AsyncEngine, role: str, statement: str
) -> None:
    with pytest.raises(DBAPIError):
        async with _transactions(engine, role).begin("a") as tx:
            await tx.session.execute(text(statement))


async def test_the_audit_log_is_append_only_even_for_its_owner(engine: AsyncEngine, api: Transactions) -> None:
    async with api.begin("a") as tx:
        await audit(tx, "key:ab", "changed", "note:n", {"text": "x"}, {"text": "y", "phone": "13800005678"})
    for statement in ("UPDATE access.audit SET actor = 'x'", "DELETE FROM access.audit", "TRUNCATE access.audit"):
        with pytest.raises(DBAPIError, match="append only"):
            async with engine.begin() as session:
                await session.execute(text(statement))
    async with api.begin("a") as tx:
        row = (await tx.session.execute(text("SELECT * FROM access.audit WHERE object = 'note:n'"))).one()
    assert (row.store, row.service, row.actor, row.action) == ("a", "example", "key:ab", "changed")
    assert (row.before, row.after) == ({"text": "x"}, {"text": "y", "phone": "***"})
    async with api.begin("b") as tx:
        assert (await tx.session.execute(text("SELECT * FROM access.audit"))).all() == []


async def test_a_change_that_is_rolled_back_is_not_audited(api: Transactions) -> None:
    async def change() -> None:
        async with api.begin("a") as tx:
            await audit(tx, "key:ab", "changed", "note:never")
            raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError, match="rolled back"):
        await change()
    async with api.begin("a") as tx:
        assert (await tx.session.execute(text("SELECT 1 FROM access.audit WHERE object = 'note:never'"))).all() == []


async def test_every_connection_has_its_timeouts(engine: AsyncEngine) -> None:
    async with engine.connect() as session:
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            assert await session.scalar(text(f"SHOW {name}")) != "0"
        assert await session.scalar(text("SHOW timezone")) == "UTC"


@pytest.mark.parametrize(
    "written", ["postgres://u:p%40ss@h:1/d", "postgresql://u:p%40ss@h:1/d", "postgresql+asyncpg://u:p%40ss@h:1/d"]
)
def test_an_address_is_taken_however_it_is_written(written: str) -> None:
    assert async_url(written) == "postgresql+asyncpg://u:p%40ss@h:1/d"
