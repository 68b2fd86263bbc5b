"""Fixtures of the bus suite."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.bus.kinds import Buses, install_bus, opened
from tests.support.databases import new_database

BOTH = ["postgres", pytest.param("kafka", marks=pytest.mark.kafka)]


@pytest.fixture(scope="module")
async def bus_database() -> AsyncIterator[str]:
    """A database of this module alone, with nothing in it but the bus."""
    databases: Iterator[str] = new_database()
    url = next(databases)
    await install_bus(url)
    yield url
    next(databases, None)


@pytest.fixture(params=BOTH)
def server(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A bus that is there: its kind and its address."""
    return request.param, request.getfixturevalue("kafka" if request.param == "kafka" else "bus_database")


@pytest.fixture
async def buses(server: tuple[str, str], topic_prefix: str) -> AsyncIterator[Buses]:
    """Either bus, on topics of this test alone."""
    async with opened(*server, topic_prefix) as found:
        yield found


@pytest.fixture
async def postgres_buses(bus_database: str, topic_prefix: str) -> AsyncIterator[Buses]:
    async with opened("postgres", bus_database, topic_prefix) as found:
        yield found


@pytest.fixture
async def kafka_buses(kafka: str, topic_prefix: str) -> AsyncIterator[Buses]:
    async with opened("kafka", kafka, topic_prefix) as found:
        yield found
