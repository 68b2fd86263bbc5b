"""The fixtures that every test may ask for; `tests/conftest.py` hands them out."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NoReturn

import pytest

from cli.local.postgres import LocalPostgres
from tests.support import databases
from tests.support.broker import OwnBroker
from tests.support.folders import folder_for_servers
from tests.support.guardian import TEST_POSTGRES, shared_server
from tests.support.services import Platform, running_services

GIVEN_KAFKA = "OPSWIRE_TEST_KAFKA"


@pytest.fixture(scope="session")
def postgres() -> str:
    """Address of a server on which databases may be made."""
    return databases.address(databases.server_url())


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Address of a database with every migration run, of this module alone."""
    yield from databases.new_database(databases.migrated_template())


@pytest.fixture
def fresh_database() -> Iterator[str]:
    """Like `database`, but of one test alone."""
    yield from databases.new_database(databases.migrated_template())


@pytest.fixture
def empty_database() -> Iterator[str]:
    """Address of a database without any table, of one test alone."""
    yield from databases.new_database()


@pytest.fixture
def own_postgres() -> Iterator[LocalPostgres]:
    """A server of this test alone, which it may stop, kill and start again."""
    with folder_for_servers() as folder:
        server = LocalPostgres(folder, settings={**TEST_POSTGRES, "max_connections": "100"}, sync_files=False)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def kafka() -> str:
    """Bootstrap address of a real Apache Kafka broker, shared by the run: use a topic prefix of your own."""
    given = os.environ.get(GIVEN_KAFKA)
    if given:
        return given
    require_kafka()
    return shared_server("kafka")


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[OwnBroker]:
    """A broker of this test alone, which it may stop, kill and start again."""
    require_kafka()
    broker = OwnBroker(tmp_path / "kafka")
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


Running = Callable[..., AbstractAsyncContextManager[Platform]]


@pytest.fixture
def running(database: str, tmp_path: Path) -> Running:
    """Start services as processes: `async with running("orders", "inventory") as platform:`; none named: all five.

    `database_url=` for another database than the module's, `kafka=` and `topic_prefix=` for the Kafka bus, and
    `OPSWIRE_...=` for settings of all of them.
    """

    def start(*services: str, database_url: str = database, **given: str) -> AbstractAsyncContextManager[Platform]:
        return running_services(database_url, *services, logs=tmp_path, **given)

    return start


@pytest.fixture
def topic_prefix() -> str:
    """Keeps the topics of one test apart on the shared broker."""
    return f"t{uuid.uuid4().hex[:12]}."


def require_kafka() -> None:
    """Skip where the broker cannot run; where CI=true that is a failure, so that no test is left out unseen."""
    missing = missing_for_kafka()
    if not missing:
        return
    leave_out(f"no real Kafka broker: {', '.join(missing)} not found (Debian: openjdk-17-jre-headless, maven)")


def require_program(name: str, package: str) -> str:
    """The path of a program of Debian's; skip where it is missing, as `require_kafka` does."""
    found = shutil.which(name)
    if found is None:
        leave_out(f"no {name} (Debian: {package})")
    return found


def leave_out(message: str) -> NoReturn:
    """Skip; a failure where CI=true."""
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def missing_for_kafka(find: Callable[[str], str | None] = shutil.which) -> list[str]:
    """The programs that the broker of deploy/kafka lacks; Maven is needed only while the jars are not there."""
    jars = Path(__file__).resolve().parents[2] / "deploy" / "kafka" / "libs" / ".pom"
    needed = ["java"] if jars.exists() else ["java", "mvn"]
    return [program for program in needed if find(program) is None or not _answers(program)]


def _answers(program: str) -> bool:
    """Debian leaves a `java` that only says what to install on some systems."""
    done = subprocess.run([program, "-version"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return done.returncode == 0
