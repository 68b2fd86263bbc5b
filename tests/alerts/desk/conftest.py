"""One alerts service a module, a store of its own for each test."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from libs.service.auth import add_key
from services.alerts.app import build
from services.alerts.settings import AlertsSettings
from tests.alerts.conftest import Clock
from tests.alerts.desk.counter import Counter
from tests.support.desk import Desk, desk_of

SCOPES = ["alerts:read", "alerts:write", "service:write"]
_numbers = count(1)


@pytest.fixture(scope="module")
def wall() -> Clock:
    """The module's time, which stands still until a test turns it on."""
    return Clock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture(scope="module")
async def house(database: str, wall: Clock) -> AsyncIterator[Desk]:
    """The service with its loops at rest."""
    runtime, app = build(AlertsSettings(database_url=SecretStr(database), webhook_allow="127.0.0.1"))
    for transactions in (runtime.api, runtime.worker):
        transactions.clock = lambda: wall.now
    runtime.clock = lambda: wall.now
    async with desk_of((runtime, app), SCOPES) as running:
        yield running


@pytest.fixture
async def counter(house: Desk, wall: Clock) -> Counter:
    """A store in Shanghai, where nobody has asked anything yet."""
    store = f"s{next(_numbers)}"
    async with house.runtime.engine.begin() as session:
        await session.execute(
            text(
                "INSERT INTO access.stores (store, name, timezone, currency, language)"
                " VALUES (:store, :store, 'Asia/Shanghai', 'CNY', 'zh')"
            ),
            {"store": store},
        )
        house.keys[store] = (await add_key(session, store, SCOPES)).key
    return Counter(house, wall, store)
