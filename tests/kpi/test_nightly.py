"""The nightly proof: once a night, and a wrong row is a number on a graph."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from services.kpi.metrics import REBUILD_DRIFT, REBUILD_PROVEN
from services.kpi.nightly import HOUR, last_night, prove_nightly
from services.kpi.rebuild import carry_out
from tests.kpi.stage import Stage, stage
from tests.kpi.test_on_postgres import view

NIGHT = datetime(2026, 1, 5, HOUR, tzinfo=UTC)


@pytest.fixture
async def shop(fresh_database: str) -> AsyncIterator[Stage]:
    async with stage(fresh_database, f"n{uuid.uuid4().hex[:8]}") as staged:
        yield staged


def test_the_proof_is_due_once_a_day() -> None:
    assert last_night(NIGHT) == NIGHT
    assert last_night(NIGHT - timedelta(seconds=1)) == NIGHT - timedelta(days=1)


async def test_a_night_asks_for_one_rebuild_and_its_drift_is_a_metric(shop: Stage) -> None:
    shop.now = NIGHT - timedelta(hours=2)
    assert not await prove_nightly(shop.transactions), "nothing has happened yet"
    event = view(shop, "v", shop.now, "e")
    await shop.consume([event])
    assert not await prove_nightly(shop.transactions), "the first day is not over"
    await shop.run("UPDATE kpi.figure SET value = 'paid' WHERE grain = 'day' AND by = 'channel'")
    shop.now = NIGHT + timedelta(minutes=1)
    assert await prove_nightly(shop.transactions)
    assert not await prove_nightly(shop.transactions), "one a night"
    await carry_out(shop.transactions)
    await prove_nightly(shop.transactions)
    assert REBUILD_DRIFT._value.get() > 0
    assert REBUILD_PROVEN._value.get() == shop.now.timestamp()
    shop.now = NIGHT + timedelta(days=1)
    assert await prove_nightly(shop.transactions)
    await carry_out(shop.transactions)
    await prove_nightly(shop.transactions)
    assert REBUILD_DRIFT._value.get() == 0
