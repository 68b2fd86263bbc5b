"""`opswire dead` on the PostgreSQL bus: what could not be handled is seen, and comes back."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from cli.local.postgres import run_psql
from libs.events.bus import Record
from libs.events.contracts.base import TOPICS, Topic, dead
from libs.events.dead_letters import dead_letter
from libs.events.postgres import PostgresBus
from tests.cli.conftest import Command, plain

T = TypeVar("T")
NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)


def on_bus(database: str, work: Callable[[PostgresBus], Awaitable[T]]) -> T:
    async def run() -> T:
        bus = PostgresBus(database)
        await bus.start()
        try:
            return await work(bus)
        finally:
            await bus.close()

    return asyncio.run(run())


def broken(value: bytes, store: str = "demo") -> Record:
    headers = (("ce_store", store.encode()), ("ce_type", b"order.paid.v1"), ("ce_id", b"e-1"))
    return Record("orders", 3, 17, f"{store}/o-1".encode(), value, headers)


@pytest.fixture(scope="module")
def letters(database: str) -> None:
    """Two dead letters of inventory: one of text, one of bytes that are none; the first one's stream is parked."""

    async def bury(bus: PostgresBus) -> None:
        await bus.ensure_topics([TOPICS["orders"], Topic(dead("orders"), "inventory", 1, "", "")])
        await bus.publish(
            [
                dead_letter(broken(b'{"order_id": 1}'), consumer="inventory", reason="order_id: not text", at=NOON),
                dead_letter(broken(b"\xff\x00", "other"), consumer="inventory", reason="not UTF-8", at=NOON),
            ]
        )

    on_bus(database, bury)
    run_psql(
        plain(database),
        "insert into inventory.parking (topic, store, type, in_a_row, failed, handled, parked_at)"
        " values ('orders', 'demo', 'order.paid.v1', 101, 101, 0, now())",
    )


def orders_on_the_bus(database: str) -> list[Record]:
    async def read(bus: PostgresBus) -> list[Record]:
        bounds = await bus.bounds("orders")
        return [r for partition, (first, _) in bounds.items() for r in await bus.read("orders", partition, first, 100)]

    return on_bus(database, read)


@pytest.mark.usefixtures("letters")
def test_dead_letters_are_listed_with_their_reason(command: Command) -> None:
    listed = command("dead", "list", "--json").good().json
    assert listed["total"] == 2
    assert {item["id"]: item["reason"] for item in listed["items"]} == {
        "orders:0": "order_id: not text",
        "orders:1": "not UTF-8",
    }
    assert [item["store"] for item in command("dead", "list", "--store", "other", "--json").json["items"]] == ["other"]
    assert command("dead", "list", "--topic", "kpi", "--json").good().json["items"] == []
    assert command("dead", "list", "--topic", "nothing").code == 1


@pytest.mark.usefixtures("letters")
def test_a_dead_letter_is_shown_with_its_raw_value(command: Command) -> None:
    text = command("dead", "show", "orders:0", "--json").good().json
    assert (text["value"], text["consumer"], text["key"]) == ('{"order_id": 1}', "inventory", "demo/o-1")
    assert command("dead", "show", "orders:1", "--json").good().json["value_base64"] == "/wA="
    assert command("dead", "show", "orders:2").code == 1
    assert command("dead", "show", "nonsense").code == 1


@pytest.mark.usefixtures("letters")
def test_a_requeued_letter_is_the_original_again_and_its_stream_is_released(command: Command, database: str) -> None:
    assert [stream["store"] for stream in command("dead", "list", "--json").json["parked"]] == ["demo"]
    done = command("dead", "requeue", "orders:0", "--json").good().json
    assert done["requeued"] == ["orders:0"]
    assert "order" in done["warning"]
    original = broken(b'{"order_id": 1}')
    assert [(r.key, r.value, r.headers) for r in orders_on_the_bus(database)] == [
        (original.key, original.value, original.headers)
    ]
    assert command("dead", "list", "--json").json["parked"] == []


@pytest.mark.usefixtures("letters")
def test_all_of_a_topic_come_back_only_when_asked_for(command: Command, database: str) -> None:
    before = len(orders_on_the_bus(database))
    assert command("dead", "requeue").code == 1
    assert command("dead", "requeue", "--all").code == 1
    assert command("dead", "requeue", "orders:0", "--all", "--topic", "orders").code == 1
    command("dead", "requeue", "--all", "--topic", "orders", "--store", "other").good()
    assert len(orders_on_the_bus(database)) == before + 1
