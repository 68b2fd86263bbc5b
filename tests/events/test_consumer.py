"""The consumer's promises on real PostgreSQL: nothing lost, nothing twice, one bad event never blocks a partition."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from libs.events import consumer as consumers
from libs.events import journal as journals
from libs.events import watermark
from libs.events.bus import BusUnavailable, Record
from libs.events.codec import Envelope
from libs.events.consumer import Consumer, Reactions, on
from libs.events.contracts import PaymentFailed
from libs.events.dead_letters import described, requeued
from libs.events.failures import Stop, Transient
from libs.events.parking import Tally
from libs.events.transaction import Transaction
from tests.events.witness import JOURNAL, START, TABLES, Witness, beat, event, running_witness


@pytest.fixture
async def witness(empty_database: str) -> AsyncIterator[Witness]:
    async with running_witness(empty_database) as running:
        yield running


async def test_an_event_published_twice_counts_once(witness: Witness) -> None:
    await witness.publish(event(1), event(2), event(1))
    await witness.catch_up(witness.consumer())
    await witness.publish(event(2))
    await witness.catch_up(witness.consumer())
    assert await witness.witnessed() == ["o-1", "o-2"]


async def test_without_the_memory_of_identities_a_repeat_counts_twice(
    witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def everything(_session: Any, _table: Any, keys: Any) -> set[bytes]:
        return set(keys)

    monkeypatch.setattr(journals, "remember", everything)
    await witness.publish(event(1))
    await witness.catch_up(witness.consumer())
    await witness.publish(event(1))
    await witness.catch_up(witness.consumer())
    assert await witness.witnessed() == ["o-1", "o-1"]


async def fetched_by_two(witness: Witness) -> None:
    """Two members that fetched the same records, at once; the handlers see every event, repeats included."""
    await witness.publish(*(event(n) for n in range(40)))
    records = await witness.records()
    members = [witness.consumer(self_deduplicating=frozenset({"orders"})) for _ in range(4)]
    await asyncio.gather(*(member.apply(records) for member in members))


async def test_two_members_with_the_same_records_apply_them_once(witness: Witness) -> None:
    await fetched_by_two(witness)
    assert len(await witness.witnessed()) == 40


async def test_without_the_position_fence_the_same_records_count_for_each_member(
    witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "_ahead", lambda arrived, positions, applied: list(arrived))
    monkeypatch.setattr(consumers.Consumer, "_keep", _keep_nothing)
    await fetched_by_two(witness)
    assert len(await witness.witnessed()) == 160


async def _keep_nothing(self: Consumer, fresh: Any, tx: Any) -> None:
    """The journal's primary key would be the next wall."""


async def test_a_poisonous_event_is_buried_alone_with_its_reason_and_bytes(witness: Witness) -> None:
    await witness.publish(*(event(n, reason="poison" if n == 13 else "declined") for n in range(30)))
    await witness.catch_up(witness.consumer())
    await witness.relay_once()
    assert len(await witness.witnessed()) == 29
    (letter,) = await witness.records("orders.dead")
    original = next(r for r in await witness.records() if b"o-13" in r.value)
    assert letter.value == original.value
    assert described(letter)["reason"] == "Poison: o-13"
    assert described(letter)["consumer"] == "witness"
    assert requeued(letter).headers == original.headers
    assert requeued(letter).topic == "orders"


async def test_bytes_that_are_no_event_are_buried_and_the_rest_flows(witness: Witness) -> None:
    from libs.events.bus import Message

    await witness.publish(event(1))
    await witness.bus.publish([Message("orders", b"demo/o-2", b"\xff{", ())])
    await witness.publish(event(3))
    await witness.catch_up(witness.consumer())
    assert await witness.witnessed() == ["o-1", "o-3"]


async def test_a_store_that_floods_is_parked_and_the_others_are_served(witness: Witness) -> None:
    flood = [event(n, store="bad", reason="poison") for n in range(120)]
    await witness.publish(*flood)
    await witness.catch_up(witness.consumer())
    await witness.publish(event(500, store="bad"), event(501, store="good"))
    await witness.catch_up(witness.consumer())
    assert await witness.witnessed() == ["o-501"]
    async with witness.engine.connect() as session:
        parked = (
            await session.execute(text("SELECT store, type FROM witness.parking WHERE parked_at IS NOT NULL"))
        ).all()
    assert [tuple(row) for row in parked] == [("bad", "payment.failed.v1")]


async def test_without_the_limit_a_flood_is_never_parked(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sabotage twin: every event of the flood is tried, one by one, and so is the good one behind it."""
    monkeypatch.setattr(Tally, "_over", lambda _tally: False)
    await witness.publish(*(event(n, store="bad", reason="poison") for n in range(120)))
    await witness.publish(event(500, store="bad"), event(501, store="good"))
    await witness.catch_up(witness.consumer())
    assert await witness.witnessed() == ["o-500", "o-501"]


async def test_floods_of_several_stores_stop_the_partition(witness: Witness) -> None:
    for store in ("a", "b", "c"):
        await witness.publish(*(event(n, store=store, reason="poison") for n in range(102)))
    with pytest.raises(Stop, match="3 stores are parked"):
        await witness.catch_up(witness.consumer())


async def test_an_unknown_version_of_a_wanted_event_stops_before_anything_is_skipped(witness: Witness) -> None:
    from libs.events.codec import to_message

    message = to_message(event(1))
    newer = tuple((n, b"payment.failed.v2" if n == "ce_type" else v) for n, v in message.headers)
    await witness.bus.publish([message._replace(headers=newer)])
    with pytest.raises(Stop, match="deploy consumers first"):
        await witness.catch_up(witness.consumer())


async def test_what_is_only_away_for_a_moment_is_tried_again_and_buries_nothing(witness: Witness) -> None:
    attempts = 0

    async def shaky(envelope: Envelope[PaymentFailed], tx: Transaction) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 4:
            raise Transient("the neighbour is away")

    await witness.publish(event(1))
    await witness.catch_up(witness.consumer(Reactions(on(PaymentFailed, shaky))))
    await witness.relay_once()
    assert attempts == 4
    assert await witness.records("orders.dead") == []


class Shaky:
    """A subscription that is away twice before it gives what there is."""

    def __init__(self, records: list[Record]) -> None:
        self.records = records
        self.failures = 2

    async def fetch(self, *, max_records: int, timeout: float) -> list[Record]:
        if self.failures:
            self.failures -= 1
            raise BusUnavailable("the connection was lost")
        records, self.records = self.records, []
        return records


async def test_a_bus_that_is_away_for_a_moment_does_not_end_the_consumer(witness: Witness) -> None:
    await witness.publish(event(1))
    consumer, shaky = witness.consumer(), Shaky(await witness.records())
    fetched = [await consumer._fetch(shaky) for _ in range(3)]  # type: ignore[arg-type]  # all that is used of it
    assert [len(records) for records in fetched] == [0, 0, 1]
    assert consumer.stalled_since is None


async def test_a_minute_without_progress_ends_the_process(witness: Witness) -> None:
    async def away(envelope: Envelope[PaymentFailed], tx: Transaction) -> None:
        witness.clock.forward(25)
        raise Transient("the neighbour is away")

    await witness.publish(event(1))
    with pytest.raises(Stop, match="no progress"):
        await witness.catch_up(witness.consumer(Reactions(on(PaymentFailed, away))))


async def test_a_handler_that_fails_leaves_nothing_behind(witness: Witness) -> None:
    await witness.publish(event(1, reason="poison"))
    await witness.catch_up(witness.consumer())
    assert await witness.witnessed() == []
    async with witness.engine.connect() as session:
        assert await session.scalar(text("SELECT count(*) FROM witness.journal")) == 0


async def test_the_journal_gives_back_every_accepted_record(witness: Witness) -> None:
    await witness.publish(*(event(n) for n in range(20)), event(3))
    await witness.catch_up(witness.consumer())
    found: list[bytes] = []
    async with witness.engine.connect() as session:
        async for segment in journals.read_segments(session, JOURNAL, topics=["orders"]):
            found += [record.value for record in segment]
    assert sorted(found) == sorted({record.value for record in await witness.records()})


async def test_a_beat_proves_completeness_only_when_every_partition_was_passed(witness: Witness) -> None:
    await witness.publish(*(event(n) for n in range(40)))
    await witness.bus.publish([beat(START)])
    records = await witness.records()
    beat_at = next(r for r in records if b"ce_type" and r.key.startswith(b"*/"))
    others = [r for r in records if r.partition != beat_at.partition]
    own = [r for r in records if r.partition == beat_at.partition]
    consumer = witness.consumer()
    await consumer.apply(own)
    assert await known_until(witness) == {"orders": None}
    await consumer.apply(others)
    witness.clock.forward(5)
    await consumer._settle_now_and_then()
    assert await known_until(witness) == {"orders": START}


async def known_until(witness: Witness) -> dict[str, Any]:
    async with witness.engine.connect() as session:
        return await watermark.load_watermarks(session, TABLES.watermark, "witness")


def test_the_oldest_and_the_newest_unproven_beat_are_kept() -> None:
    beats = [watermark.Pending(START + timedelta(seconds=n), {0: 10 * n}) for n in range(1, 5)]
    until, kept = watermark.settle(None, beats, {0: 5})
    assert (until, kept) == (None, (beats[0], beats[-1]))
    until, kept = watermark.settle(until, kept, {0: 12})
    assert (until, kept) == (START + timedelta(seconds=1), (beats[-1],))


async def test_a_log_that_was_replaced_stops_the_consumer(witness: Witness) -> None:
    await witness.publish(event(1))
    await witness.catch_up(witness.consumer())
    async with witness.engine.begin() as session:
        await session.execute(text("UPDATE witness.position SET last_record = '\\x00' WHERE next_offset > 0"))
    with pytest.raises(Stop, match="another log"):
        await witness.consumer()._positions([("orders", n) for n in range(4)])


async def test_a_log_shorter_than_the_position_stops_the_consumer(witness: Witness) -> None:
    await witness.publish(event(1))
    await witness.catch_up(witness.consumer())
    async with witness.engine.begin() as session:
        await session.execute(text("UPDATE witness.position SET next_offset = 99 WHERE next_offset > 0"))
    with pytest.raises(Stop, match="acknowledged records are gone"):
        await witness.consumer()._positions([("orders", n) for n in range(4)])
