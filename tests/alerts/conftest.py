"""The alerts service on a real database, with a clock that the test turns."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from services.alerts.app import build
from services.alerts.settings import AlertsSettings
from tests.support.desk import Desk, desk_of


@dataclass
class Clock:
    """The time, which stands still until the test turns it."""

    now: datetime

    def turn(self, **by: float) -> datetime:
        """On, by minutes=, hours= ..."""
        self.now += timedelta(**by)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
async def shop(fresh_database: str, clock: Clock) -> AsyncIterator[Desk]:
    """The service with its loops at rest; the clock is the test's."""
    runtime, app = build(AlertsSettings(database_url=SecretStr(fresh_database), webhook_allow="127.0.0.1"))
    for transactions in (runtime.api, runtime.worker):
        transactions.clock = lambda: clock.now
    runtime.clock = lambda: clock.now
    async with desk_of((runtime, app), ["alerts:read", "alerts:write", "service:write"]) as running:
        yield running


async def put(desk: Desk, path: str, body: dict[str, Any], *, store: str = "demo") -> dict[str, Any]:
    """PUT, and the answer; it must be 200."""
    answer = await desk.call("PUT", path, json=body, store=store)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def items(desk: Desk, path: str, *, store: str = "demo") -> list[dict[str, Any]]:
    """The items of a list; it must be 200."""
    answer = await desk.get(path, store=store)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def until_settled(desk: Desk) -> None:
    """Until no message waits for the sender, whose loop runs."""
    for _ in range(600):
        if not await items(desk, "/v1/notifications?status=pending"):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("a message still waits")
