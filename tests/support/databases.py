"""Databases for tests: every module gets its own, cloned from a template that all migrations have been run on."""

import asyncio
import hashlib
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL, make_url

from cli.local.postgres import run_psql
from tests.support.guardian import ROOT, only_one, shared_server

GIVEN = "OPSWIRE_TEST_DATABASE_URL"
SCHEMA_SOURCES = ("libs/**/*.py", "services/*/migrations/**/*.py", "services/*/tables.py")


def server_url() -> URL:
    """A server on which databases may be made: the one given by OPSWIRE_TEST_DATABASE_URL, else the run's own."""
    return make_url(os.environ.get(GIVEN) or shared_server("postgres"))


def address(url: URL) -> str:
    """The URL as the services take it, password included."""
    return url.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def run_sql(url: URL, *statements: str) -> str:
    """Run statements, each on its own, from outside any event loop; gives what they print."""
    return run_psql(url.set(drivername="postgresql").render_as_string(hide_password=False), *statements)


def new_database(template: str = "template0") -> Iterator[str]:
    """A database of a name of its own, dropped afterwards however many connections were forgotten."""
    server = server_url()
    name = f"opswire_{uuid.uuid4().hex[:16]}"
    run_sql(server, f'create database "{name}" template "{template}"')
    try:
        yield address(server.set(database=name))
    finally:
        run_sql(server, f'drop database if exists "{name}" with (force)')


def migrated_template() -> str:
    """The name of the template with every migration run, made if these sources have none yet on this server."""
    server = server_url()
    name = f"opswire_template_{schema_digest()}"
    with only_one("template"):
        known = run_sql(server, f"select 1 from pg_database where datname = '{name}'")
        if not known:
            _build_template(server, name)
    return name


def _build_template(server: URL, name: str) -> None:
    draft = f"{name}_{uuid.uuid4().hex[:8]}"
    run_sql(server, f'create database "{draft}" template template0')
    migrate(address(server.set(database=draft)))
    # cut off whatever still listens there: a template must be free of connections when it is cloned
    run_sql(
        server,
        f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{draft}'",
        f'alter database "{draft}" rename to "{name}"',
    )


def migrate(url: str) -> None:
    """Run every migration on a database. Migrations run their own event loop, so they get a thread of their own."""
    from libs.service.migration import migrate_all

    problems: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(migrate_all(url))
        except BaseException as problem:  # noqa: BLE001 - raised again below
            problems.append(problem)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if problems:
        raise problems[0]


def schema_digest() -> str:
    """Changes whenever a file does that could change the schema."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in SCHEMA_SOURCES for path in ROOT.glob(pattern)}):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + _content(path) + b"\0")
    return digest.hexdigest()[:12]


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
