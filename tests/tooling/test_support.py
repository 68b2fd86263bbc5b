"""The test fixtures keep what they promise."""

import asyncio
import os
import socket

import asyncpg
import pytest

from cli.local.postgres import LocalPostgres
from tests.support.broker import OwnBroker
from tests.support.fixtures import missing_for_kafka, require_kafka
from tests.support.network import OutsideConnection, is_local


async def _connect(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url.replace("+asyncpg", ""))


async def test_a_module_has_a_database_of_its_own(database: str, empty_database: str) -> None:
    names = set()
    for url in (database, empty_database):
        connection = await _connect(url)
        names.add(await connection.fetchval("select current_database()"))
        await connection.close()
    assert len(names) == 2


async def test_a_killed_server_keeps_what_it_had_committed(own_postgres: LocalPostgres) -> None:
    connection = await _connect(own_postgres.url())
    await connection.execute("create table kept (n int)")
    await connection.execute("insert into kept values (7)")
    own_postgres.kill()
    connection.terminate()
    own_postgres.start()
    connection = await _connect(own_postgres.url())
    assert await connection.fetchval("select n from kept") == 7
    await connection.close()


async def test_a_server_does_not_let_in_without_its_password(own_postgres: LocalPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host="127.0.0.1", port=own_postgres.port, user="postgres", password="guess")


async def test_the_shared_broker_answers(kafka: str) -> None:
    host, port = kafka.split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.close()
    await writer.wait_closed()


def test_a_killed_broker_comes_back_at_its_address(own_kafka: OwnBroker) -> None:
    address = own_kafka.address
    own_kafka.kill()
    assert own_kafka.start() == address


def test_a_test_reaches_this_machine_only() -> None:
    with socket.socket() as outside, pytest.raises(OutsideConnection):
        outside.connect(("192.0.2.1", 80))


@pytest.mark.parametrize(
    ("target", "local"),
    [
        (("127.0.0.1", 80), True),
        (("::1", 80, 0, 0), True),
        ("/tmp/socket", True),
        (("10.0.0.1", 80), False),
        (("example.org", 80), False),
    ],
)
def test_loopback_and_sockets_of_this_machine_are_local(target: object, local: bool) -> None:
    assert is_local(target) is local


def test_a_missing_broker_is_a_failure_in_ci_and_skipped_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "java" in missing_for_kafka(lambda _: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="java"):
        require_kafka()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="java"):
        require_kafka()
    assert "CI" not in os.environ
