"""What every test may ask for. The fixtures themselves live in tests/support."""

import pytest

from tests.support.fixtures import (
    database,
    empty_database,
    fresh_database,
    kafka,
    own_kafka,
    own_postgres,
    postgres,
    running,
    topic_prefix,
)
from tests.support.guardian import open_run
from tests.support.network import allow_loopback_only

__all__ = [
    "database",
    "empty_database",
    "fresh_database",
    "kafka",
    "own_kafka",
    "own_postgres",
    "postgres",
    "running",
    "topic_prefix",
]


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the place where the run's processes meet, before xdist starts its workers."""
    open_run()
    allow_loopback_only()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for a broker is marked `kafka`, so that `-m "not kafka"` leaves it out."""
    for item in items:
        if {"kafka", "own_kafka"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)
