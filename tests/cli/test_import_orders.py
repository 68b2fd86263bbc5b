"""`opswire import orders`: files of any size, checked before anything is sent (D54, D83)."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from cli.importers.parts import JSON_LINES, split
from libs.service.sheets import CSV, XLSX
from tests.support.command import Done, opswire
from tests.support.services import Platform, running_services

HEADER = "订单号,下单时间,付款时间,商品编码,数量,单价,平台\n"


def table(*orders: str, sku: str = "A001", quantity: object = 1) -> str:
    rows = [f"{name},2024-06-01 10:00,2024-06-01 10:05,{sku},{quantity},78.50,天猫\n" for name in orders]
    return HEADER + "".join(rows)


# parts


def test_rows_of_an_order_stay_together_and_keep_their_numbers() -> None:
    body = "".join(f"o-{n % 3},2024-06-01 10:00,,A{n},1,1,天猫\n\n" for n in range(9))
    parts = split(CSV, (HEADER + body).encode("gb18030"), size=150)
    assert [list(part.rows) for part in parts] == [[1, 7, 13], [3, 9, 15], [5, 11, 17]], "blank rows count too"
    assert all(part.content.decode().startswith(HEADER) for part in parts)
    assert (parts[1].row(2), parts[1].row(0), parts[1].row(99)) == (9, 0, 0)


def test_lines_of_an_order_stay_together() -> None:
    lines = [{"order_id": f"o-{n % 2}", "n": n} for n in range(6)]
    content = b"\n".join(json.dumps(line).encode() for line in lines) + b"\n{broken"
    parts = split(JSON_LINES, content, size=60)
    assert [list(part.rows) for part in parts] == [[1, 3, 5], [2, 4, 6], [7]]
    assert parts[2].content == b"{broken", "what cannot be read is sent, to be refused by its number"


def test_a_workbook_goes_as_a_table() -> None:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["order_id", "placed_at", "sku", "quantity", "unit_price"])
    sheet.write_row(1, 0, [536365, "2024-06-01T10:00", 71053, 6, 3.39])
    book.close()
    (part,) = split(XLSX, file.getvalue())
    rows = list(csv.reader(io.StringIO(part.content.decode())))
    assert rows[1] == ["536365", "2024-06-01T10:00", "71053", "6", "3.39"]


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
        return await asyncio.to_thread(opswire, "import", "orders", *arguments, **settings)

    return run


async def test_a_file_is_checked_then_imported_and_again_changes_nothing(
    run: Any, platform: Platform, tmp_path: Path
) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(table("c-1", "c-2", "c-1").encode("gb18030"))
    dry = (await run(str(file), "--dry-run", "--json")).good().json
    assert (dry["rows"], dry["orders"], dry["new"], dry["imported"]) == (3, 2, 2, False)
    done = (await run(str(file), "--json")).good().json
    assert (done["new"], done["imported"], done["errors"]) == (2, True, [])
    order = (await platform.client("orders").get("/v1/orders/c-1", params={"store": "demo"})).json()
    assert (order["status"], order["total_cents"], order["origin"]) == ("paid", 15_700, "天猫")
    again = (await run(str(file), "--json")).good().json
    assert (again["new"], again["unchanged"]) == (0, 2)


async def test_a_bad_row_is_named_and_nothing_is_imported_unless_the_good_ones_are_wanted(
    run: Any, platform: Platform, tmp_path: Path
) -> None:
    file, errors = tmp_path / "orders.csv", tmp_path / "refused.csv"
    file.write_text(table("d-1") + table("d-2", quantity="many").removeprefix(HEADER))
    refused = await run(str(file), "--errors", str(errors))
    assert refused.code == 1
    assert "quantity" in refused.out
    assert "nothing was imported" in refused.out
    rows = list(csv.reader(io.StringIO(errors.read_text("utf-8-sig"))))
    assert [(row[0], row[-1]) for row in rows] == [("订单号", "错误"), ("d-2", "quantity: not a whole number")]
    orders = platform.client("orders")
    assert (await orders.get("/v1/orders/d-1", params={"store": "demo"})).status_code == 404
    assert (await run(str(file), "--dry-run")).code == 1
    partly = (await run(str(file), "--partial", "--json")).good().json
    assert (partly["new"], partly["error_count"], partly["errors"][0]["row"]) == (1, 1, 2)
    assert (await orders.get("/v1/orders/d-1", params={"store": "demo"})).status_code == 200


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("orders.txt", b"x", "name it"),
        ("orders.xlsx", b"PK broken", "mend the file"),
        ("orders.csv", b"", "mend the file"),
        ("orders.csv", b"colour\nred\n", "unknown column"),
        ("orders.csv", b"order_id\no-1\n", "the column is missing"),
    ],
)
async def test_a_file_that_is_none_is_told_so(run: Any, tmp_path: Path, name: str, content: bytes, said: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    done = await run(str(file))
    assert (done.code, said in done.err) == (1, True), done.err


async def test_an_order_from_the_future_shows_with_its_money_in_the_completeness(
    run: Any, platform: Platform, tmp_path: Path
) -> None:
    """Quarantined, not lost: nobody counts it, everybody can see it (D5, D64)."""
    file = tmp_path / "orders.csv"
    file.write_text(table("e-1") + "e-2,2034-06-01 10:00,2034-06-01 10:05,A001,1,78.50,天猫\n")
    done = (await run(str(file), "--json")).good().json
    assert (done["new"], done["quarantined_count"]) == (1, 1)
    answer = await platform.client("kpi").get("/v1/completeness", params={"store": "demo"})
    (orders,) = [topic for topic in answer.json()["topics"] if topic["topic"] == "orders"]
    assert (orders["quarantined"], orders["quarantined_cents"]) == (1, 7_850)
