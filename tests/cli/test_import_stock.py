"""`opswire import stock`: SKUs, receipts, adjustments and counts from a file, whole or not at all (D55, D63)."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.importers.stock_file import JSON_LINES, CountOptions, Plan, plan, read_rows
from libs.service.errors import Validation
from libs.service.sheets import CSV
from tests.support.command import Done, opswire
from tests.support.services import Platform, running_services

OPTIONS = CountOptions("file", datetime(2024, 7, 1, 9, tzinfo=UTC))


def planned(text: str, kind: str = CSV, encoding: str = "utf-8") -> Plan:
    return plan(read_rows(kind, text.encode(encoding)), OPTIONS)


# what a row is


def test_each_row_is_what_it_says() -> None:
    made = planned(
        "sku,title,quantity,reason,on_hand,receipt_id\n"
        "A1,裙子,,,,\nA1,,10,,,r-1\nA1,,-2,damaged,,\nA1,,5,,,\nA1,,,,13,\n"
    )
    assert not made.errors
    assert [(method, path, rows) for method, path, _, rows in made.calls] == [
        ("PUT", "/v1/skus", 1),
        ("POST", "/v1/receipts", 1),
        ("POST", "/v1/adjustments", 1),
        ("POST", "/v1/receipts", 1),
        ("POST", "/v1/counts", 1),
    ]
    bodies = [body for _, _, body, _ in made.calls]
    assert bodies[1] == [{"sku": "A1", "receipt_id": "r-1", "quantity": 10}]
    assert bodies[2][0]["adjustment_id"] == "file-3", "the same row is the same adjustment"
    assert bodies[4] == {
        "count_id": "file-4", "warehouse": "main", "as_of": "2024-07-01T09:00:00+00:00", "source": "erp",
        "items": [{"sku": "A1", "on_hand": 13}],
    }  # fmt: skip
    assert made.wanted == {}, "the file itself describes A1"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_chinese_headers_are_understood(encoding: str) -> None:
    made = planned("商品编码,实盘数,仓库\nA1,5,东仓\nA2,0,东仓\nA1,7,main\n", encoding=encoding)
    assert [(body["warehouse"], len(body["items"])) for _, _, body, _ in made.calls] == [("东仓", 2), ("main", 1)]


def test_lines_of_json_are_the_bodies_of_the_calls() -> None:
    lines = (
        {"receipt_id": "r-1", "sku": "A1", "quantity": 3, "occurred_at": "2024-07-01T00:00:00+08:00"},
        {
            "count_id": "c-1",
            "as_of": "2024-07-01T09:00:00Z",
            "source": "person",
            "items": [{"sku": "A1", "on_hand": 3}],
        },
    )
    made = planned("\n".join(json.dumps(line) for line in lines), JSON_LINES)
    assert [body for _, _, body, _ in made.calls][1]["source"] == "person"
    assert made.counts == {"skus": 0, "receipts": 1, "adjustments": 0, "counted": 1}
    assert made.wanted == {"A1": 1}


@pytest.mark.parametrize(
    ("text", "kind", "row", "column"),
    [
        ("sku,quantity\nA1,1\nA 2,1\n", CSV, 2, "sku"),
        ("sku,quantity\nA1,one\n", CSV, 1, "quantity"),
        ("sku,quantity\nA1,0\n", CSV, 1, "quantity"),
        ("sku,on_hand\nA1,-1\n", CSV, 1, "on_hand"),
        ("sku,quantity,reason\nA1,1,stolen\n", CSV, 1, "reason"),
        ("sku,on_hand,quantity\nA1,1,1\n", CSV, 1, "quantity"),
        ("sku,quantity,occurred_at\nA1,1,yesterday\n", CSV, 1, "occurred_at"),
        ('{"sku": "A1", "quantity": 1}\n{"sku": ', JSON_LINES, 2, ""),
        ("[1]", JSON_LINES, 1, ""),
        ('{"sku": "A1", "quantity": 1, "colour": 1}', JSON_LINES, 1, "colour"),
        ('{"count_id": "c", "items": []}', JSON_LINES, 1, "items"),
    ],
)
def test_a_bad_row_is_told_with_its_place(text: str, kind: str, row: int, column: str) -> None:
    (error,) = planned(text, kind).errors
    assert (error.row, error.column) == (row, column)


def test_a_column_that_nobody_knows_is_refused() -> None:
    with pytest.raises(Validation, match="unknown column"):
        planned("sku,colour\nA1,red\n")


# the command


@pytest.fixture(scope="module")
async def platform(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with running_services(database, "orders", "inventory", "kpi", logs=tmp_path_factory.mktemp("logs")) as made:
        yield made


@pytest.fixture
def run(platform: Platform, database: str) -> Any:
    """The command against the running services."""
    settings: dict[str, Any] = {
        f"OPSWIRE_{name.upper()}_URL": platform.topology.url(name) for name in ("orders", "inventory", "kpi")
    }
    settings["OPSWIRE_DATABASE_URL"] = database

    async def run(*arguments: str) -> Done:
        return await asyncio.to_thread(opswire, "import", "stock", *arguments, **settings)

    return run


async def test_a_file_is_brought_in_once_and_a_bad_one_not_at_all(run: Any, platform: Platform, tmp_path: Path) -> None:
    client, demo = platform.client("inventory"), {"store": "demo"}
    file = tmp_path / "stock.csv"
    file.write_text("sku,title,quantity,on_hand\nB1,裙子,,\nB1,,10,\nB1,,,8\n", encoding="utf-8")
    assert (await run(str(file), "--dry-run", "--json")).good().json["skus"] == 1
    assert (await client.get("/v1/stock/B1", params=demo)).status_code == 404, "a dry run changes nothing"
    for _ in range(2):
        told = (await run(str(file), "--json")).good().json
        assert (told["receipts"], told["counted"], told["errors"]) == (1, 1, [])
        level = (await client.get("/v1/stock/B1", params=demo)).json()
        assert level["on_hand"] == 18, "8 when the file was written, and 10 that came in since"
    bad = tmp_path / "bad.csv"
    bad.write_text("sku,quantity\nB1,5\nNONE,1\n", encoding="utf-8")
    before = (await client.get("/v1/stock/B1", params=demo)).json()
    refused = await run(str(bad))
    assert refused.code == 1
    assert "no SKU NONE in the catalogue" in refused.out
    assert (await client.get("/v1/stock/B1", params=demo)).json() == before
