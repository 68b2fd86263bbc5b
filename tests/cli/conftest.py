"""A database with a store, and commands that work on it."""

from collections.abc import Callable

import pytest

from cli.local.postgres import run_psql
from tests.support.command import Done, opswire

Command = Callable[..., Done]


def plain(url: str) -> str:
    return url.replace("+asyncpg", "")


@pytest.fixture(scope="module")
def store(database: str) -> str:
    """The id of a store of the module's database."""
    run_psql(
        plain(database),
        "insert into access.stores (store, name, timezone, currency, language)"
        " values ('demo', 'Demo', 'Asia/Shanghai', 'CNY', 'zh') on conflict do nothing",
    )
    return "demo"


@pytest.fixture
def command(database: str) -> Command:
    """`opswire` on the module's database."""

    def run(*arguments: str) -> Done:
        return opswire(*arguments, OPSWIRE_DATABASE_URL=database)

    return run
