"""`opswire import service`: conversations of another system, checked before anything is sent (D63, D83)."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cli.importers.service_file import JSON_LINES, plan
from libs.service.errors import Problem
from libs.service.sheets import CSV
from tests.support.command import Done, opswire
from tests.support.services import Platform, running_services

HEADER = "type,time,conversation_id,customer_id,topic_class,via,message_id,agent_id,is_automatic,score\n"
OPENED = "conversation.opened,2024-06-01T10:00:00+08:00,{0},c-9,pre_sale,chat,,,,\n"
BOT = "message.replied,2024-06-01T10:00:01+08:00,{0},,,,m-1,,是,\n"
REPLIED = "message.replied,2024-06-01T10:05:00+08:00,{0},,,,m-2,7,否,\n"
RATED = "rating.given,2024-06-01T11:00:00+08:00,{0},,,,,,,4\n"


def read(content: str, kind: str = CSV) -> Any:
    return plan(kind, content.encode(), store="demo", import_id="i-1")


def test_a_table_becomes_events_each_conversations_together_in_the_order_of_its_times() -> None:
    body = RATED.format("a") + REPLIED.format("b") + OPENED.format("a") + BOT.format("b") + OPENED.format("b")
    made = read(HEADER + body)
    assert made.errors == []
    told = [(event["data"]["conversation_id"], event["type"]) for event in made.events]
    assert told == [
        ("a", "conversation.opened.v1"),
        ("a", "rating.given.v1"),
        ("b", "conversation.opened.v1"),
        ("b", "message.replied.v1"),
        ("b", "message.replied.v1"),
    ]
    assert [event["data"].get("is_automatic") for event in made.events[3:]] == [True, False]
    assert made.events[1]["data"]["score"] == 4
    assert {(event["source"], event["importid"]) for event in made.events} == {("/imports/i-1", "i-1")}


def test_lines_keep_their_ids_and_sources() -> None:
    line = {"id": "x-1", "source": "/crm", "type": "message.received.v1", "time": "2024-06-01T10:00:00+08:00"}
    made = read(json.dumps({**line, "data": {"conversation_id": "c", "message_id": "m"}}) + "\n\n", JSON_LINES)
    (event,) = made.events
    assert (event["id"], event["source"], event["specversion"]) == ("x-1", "/crm", "1.0")


def test_every_bad_row_is_named_with_its_place() -> None:
    body = OPENED.format("a") + OPENED.format("b").replace("+08:00", "") + RATED.format("a").replace(",4", ",6")
    made = read(HEADER + body)
    assert [(error.row, error.column) for error in made.errors] == [(2, "/time"), (3, "/data/score")]
    lines = read('{"type": "order.paid.v1"}\n{broken\n[1]', JSON_LINES)
    assert [(error.row, error.column) for error in lines.errors] == [(1, "/type"), (2, ""), (3, "")]


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(Problem, match="unknown column"):
        read("type,time,mood\n")


# the command


@pytest.fixture(scope="module")
async def platform(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with running_services(database, "kpi", "alerts", logs=tmp_path_factory.mktemp("logs")) as made:
        yield made


async def test_a_file_is_imported_recorded_and_told_to_nobody_and_again_changes_nothing(
    platform: Platform, database: str, tmp_path: Path
) -> None:
    urls = {f"OPSWIRE_{name.upper()}_URL": platform.topology.url(name) for name in ("kpi", "alerts")}

    async def run(*arguments: str) -> Done:
        settings: dict[str, Any] = {**urls, "OPSWIRE_DATABASE_URL": database}
        return await asyncio.to_thread(opswire, "import", "service", *arguments, **settings)

    file = tmp_path / "service.csv"
    file.write_bytes((HEADER + OPENED.format("a") + BOT.format("a") + REPLIED.format("a") + RATED.format("a")).encode())
    dry = (await run(str(file), "--dry-run", "--json")).good().json
    assert (dry["events"], dry["accepted"], dry["errors"]) == (4, 0, [])
    done = (await run(str(file), "--json")).good().json
    assert done["accepted"] == 4
    alerts = platform.client("alerts")
    shown = (await alerts.get("/v1/conversations/a", params={"store": "demo"})).json()
    assert [(c["kind"], c["state"], c["elapsed_seconds"]) for c in shown["clocks"]] == [("first_response", "met", 300)]
    assert shown["rating"] == 4
    (await run(str(file), "--json")).good()
    again = (await alerts.get("/v1/conversations/a", params={"store": "demo"})).json()
    assert again["clocks"] == shown["clocks"]
    file.write_text(HEADER + OPENED.format("a").replace("pre_sale", "vip"))
    refused = await run(str(file))
    assert refused.code == 1
    assert "/data/topic_class" in refused.out
