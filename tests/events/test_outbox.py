"""The outbox and its relay on real PostgreSQL: state and events commit together, and nothing waits for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.events.bus import BusRefused, BusUnavailable, Message
from libs.events.codec import from_record
from libs.events.contracts import TopicBeat
from libs.events.outbox import Relay, emptied, waiting_message
from libs.events.transaction import Transactions, utc_now
from tests.events.witness import TABLES, Witness, event, running_witness


@pytest.fixture
async def witness(empty_database: str) -> AsyncIterator[Witness]:
    async with running_witness(empty_database) as running:
        yield running


def relay_of(witness: Witness) -> Relay:
    return Relay(
        service="witness",
        role="none",
        engine=witness.engine,
        bus=witness.bus,
        outbox=TABLES.outbox,
        clock=utc_now,
        beats={"orders": emptied},
        read_limit=10,
    )


@asynccontextmanager
async def relaying(witness: Witness) -> AsyncIterator[Relay]:
    relay = relay_of(witness)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def emit(witness: Witness, *numbers: int) -> None:
    async with witness.transactions.begin("demo") as tx:
        for n in numbers:
            tx.emit(event(n).data)


async def orders_on_the_bus(witness: Witness) -> list[str]:
    envelopes = [from_record(record) for record in await witness.records()]
    return [e.data.order_id for e in envelopes if not isinstance(e.data, TopicBeat)]


async def waiting(witness: Witness) -> int:
    async with witness.engine.connect() as session:
        count = await session.scalar(text("SELECT count(*) FROM witness.outbox"))
        assert count is not None
        return int(count)


async def until_sent(witness: Witness) -> None:
    for _ in range(200):
        if not await waiting(witness):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the outbox was not emptied")


async def test_what_was_emitted_reaches_the_bus_in_order_and_leaves_the_outbox(witness: Witness) -> None:
    async with relaying(witness) as relay:
        witness.transactions.committed = relay.wake
        await emit(witness, *range(35))
        await until_sent(witness)
    assert sorted(await orders_on_the_bus(witness)) == sorted(f"o-{n}" for n in range(35))


async def test_a_transaction_that_fails_emits_nothing(witness: Witness) -> None:
    async def fail() -> None:
        async with witness.transactions.begin("demo") as tx:
            tx.emit(event(1).data)
            raise RuntimeError("the state could not be saved")

    with pytest.raises(RuntimeError):
        await fail()
    assert await waiting(witness) == 0


async def test_a_transaction_that_commits_late_is_not_overtaken(witness: Witness) -> None:
    """Ids are given out before commits: a cursor would miss the slow transaction's event."""
    slow_wrote, fast_sent = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with witness.engine.begin() as session:
            await session.execute(
                text("INSERT INTO witness.outbox (topic, key, value, headers) SELECT :t, :k, :v, :h"),
                _row(witness),
            )
            slow_wrote.set()
            await fast_sent.wait()

    async with relaying(witness):
        task = asyncio.create_task(slow())
        await slow_wrote.wait()
        await emit(witness, 2)
        await until_sent(witness)
        fast_sent.set()
        await task
        await until_sent(witness)
    assert sorted(await orders_on_the_bus(witness)) == ["o-1", "o-2"]


def _row(witness: Witness) -> dict[str, object]:
    from libs.events.codec import to_message
    from libs.events.outbox import _encode

    message = to_message(event(1))
    return {"t": message.topic, "k": message.key, "v": message.value, "h": _encode(message.headers)}


async def test_a_relay_that_dies_before_deleting_repeats_and_the_identity_stays(
    witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await emit(witness, 1)
    async with witness.engine.connect() as session:
        row = (await session.execute(text("SELECT topic, key, value, headers FROM witness.outbox"))).one()
    await witness.bus.publish([waiting_message(row)])
    async with relaying(witness):
        await until_sent(witness)
    envelopes = [e for e in map(from_record, await witness.records()) if not isinstance(e.data, TopicBeat)]
    assert len(envelopes) == 2
    assert len({(e.store, e.source, e.id) for e in envelopes}) == 1


async def test_a_relay_that_deletes_first_and_dies_loses_what_it_was_to_publish(
    witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sabotage twin: publish and delete change places."""

    async def die(_messages: object) -> None:
        raise BusRefused("killed here")

    async def delete_first(relay: Relay, connection: AsyncConnection) -> datetime:
        rows = (await connection.execute(text("SELECT * FROM witness.outbox"))).all()
        await connection.execute(text("DELETE FROM witness.outbox"))
        await relay.bus.publish([waiting_message(row) for row in rows])
        return relay.clock()

    await emit(witness, 1)
    with monkeypatch.context() as sabotage:
        sabotage.setattr(witness.bus, "publish", die)
        sabotage.setattr(Relay, "_drain", delete_first)
        with pytest.raises(BusRefused):
            await relay_of(witness).run()
    async with relaying(witness):
        await until_sent(witness)
    assert await orders_on_the_bus(witness) == []


async def test_the_relay_as_it_is_loses_nothing_there(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def die(_messages: object) -> None:
        raise BusRefused("killed here")

    await emit(witness, 1)
    with monkeypatch.context() as killed:
        killed.setattr(witness.bus, "publish", die)
        with pytest.raises(BusRefused):
            await relay_of(witness).run()
    async with relaying(witness):
        await until_sent(witness)
    assert await orders_on_the_bus(witness) == ["o-1"]


async def test_a_bus_that_is_away_delays_and_loses_nothing(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 2
    publish = witness.bus.publish

    async def flaky(messages: list[Message]) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise BusUnavailable("the broker is away")
        await publish(messages)

    monkeypatch.setattr(witness.bus, "publish", flaky)
    await emit(witness, 1)
    async with relaying(witness):
        await until_sent(witness)
    assert await orders_on_the_bus(witness) == ["o-1"]


async def test_a_bus_that_refuses_for_good_ends_the_relay(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(messages: list[Message]) -> None:
        raise BusRefused("no such topic")

    monkeypatch.setattr(witness.bus, "publish", refuse)
    await emit(witness, 1)
    with pytest.raises(BusRefused):
        await asyncio.wait_for(relay_of(witness).run(), 10)
    assert await waiting(witness) == 1


async def test_the_relay_beats_on_its_topics_only_up_to_a_read_that_left_nothing(witness: Witness) -> None:
    before = utc_now()
    await emit(witness, 1)
    async with relaying(witness):
        await until_sent(witness)
        await asyncio.sleep(0.3)
    beats = [e.data.until for e in map(from_record, await witness.records()) if isinstance(e.data, TopicBeat)]
    assert beats
    assert all(before <= until <= utc_now() for until in beats)


async def test_one_relay_works_at_a_time_and_the_next_takes_over(witness: Witness) -> None:
    async with relaying(witness), relaying(witness):
        await emit(witness, 1)
        await until_sent(witness)
    async with relaying(witness):
        await emit(witness, 2)
        await until_sent(witness)
    assert sorted(await orders_on_the_bus(witness)) == ["o-1", "o-2"]


async def test_read_only_transactions_cannot_write(witness: Witness) -> None:
    transactions: Transactions = witness.transactions
    from sqlalchemy.exc import DBAPIError

    with pytest.raises(DBAPIError, match="read-only"):
        async with transactions.begin("demo", read_only=True) as tx:
            tx.emit(event(1).data)
