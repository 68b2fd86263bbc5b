"""`opswire import traffic`: any kind of file, checked before it is sent; the same again changes nothing (D63)."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import xlsxwriter

from cli.importers.traffic_file import JSON_LINES, Source, read_events
from libs.service.sheets import CSV, XLSX
from tests.support.command import opswire
from tests.support.services import Platform, running_services

CHINESE = """类型,时间,访客编号,渠道,来源,页面路径,页面类型,商品编码,机器人
浏览,2024-07-01 10:00,v-1,付费推广,抖音,/p/A001,商品页,A001,否
加购,2024-07-01 10:05,v-1,付费推广,抖音,,,A001,
浏览,2024-07-01 11:00,v-2,社交,,/,首页,,
浏览,2024-07-01 11:00,机器,社交,,/,首页,,是
""".replace("机器,社交", "v-3,社交")
SOURCE = Source("f", "demo", ZoneInfo("Asia/Shanghai"), "i")
YORK = Source("f", "demo", ZoneInfo("America/New_York"), "i")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_table_with_chinese_headers_and_words_is_the_short_form(encoding: str) -> None:
    events, wrong = read_events(CSV, CHINESE.encode(encoding), SOURCE)
    assert wrong == []
    assert events[0] == {
        "id": "f-1",
        "type": "page.viewed",
        "time": "2024-07-01T10:00:00+08:00",
        "visitor_id": "v-1",
        "channel": "paid",
        "source": "抖音",
        "url_path": "/p/A001",
        "page_kind": "product",
        "sku": "A001",
        "is_bot": False,
        "importid": "i",
    }
    assert [event["type"] for event in events] == ["page.viewed", "cart.added", "page.viewed", "page.viewed"]


def test_a_workbook_and_json_lines_are_the_same_events() -> None:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"default_date_format": "yyyy-mm-dd hh:mm"}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["id", "type", "visitor_id", "url_path", "page_kind", "time"])
        sheet.write_row(1, 0, ["e-1", "page.viewed", "v-1", "/", "home"])
        sheet.write_datetime(1, 5, datetime(2024, 7, 1, 10))  # noqa: DTZ001  # a workbook's times have no zone
    line = {"id": "e-1", "type": "page.viewed", "visitor_id": "v-1", "url_path": "/", "page_kind": "home"}
    lines = json.dumps({**line, "time": "2024-07-01T10:00:00+08:00"}).encode()
    assert read_events(XLSX, buffer.getvalue(), SOURCE) == read_events(JSON_LINES, lines, SOURCE)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("浏览,2024-07-01 10:00,v 1,付费推广,,/,首页,,", "visitor_id"),
        ("浏览,gestern,v-1,付费推广,,/,首页,,", "time"),
        ("浏览,2024-07-01 10:00,v-1,电视,,/,首页,,", "channel"),
        ("买,2024-07-01 10:00,v-1,,,/,首页,,", "type"),
        ("浏览,2024-07-01 10:00,v-1,,,/,首页,,也许", "is_bot"),
        ("浏览,2024-07-01 10:00,v-1,,,,首页,,", "url_path"),
    ],
)
def test_what_is_wrong_is_told_with_row_and_column(row: str, column: str) -> None:
    _, wrong = read_events(CSV, (CHINESE + row).encode(), SOURCE)
    assert [(one.row, one.column) for one in wrong] == [(5, column)]


def test_a_time_that_the_stores_clocks_skipped_is_refused() -> None:
    table = "type,time,visitor_id,url_path,page_kind\npage.viewed,2024-03-10 02:30,v,/,home\n"
    _, (wrong,) = read_events(CSV, table.encode(), YORK)
    assert (wrong.row, wrong.column, wrong.message) == (1, "time", "does not exist in America/New_York")


@pytest.fixture(scope="module")
async def platform(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with running_services(database, "orders", "inventory", "kpi", logs=tmp_path_factory.mktemp("logs")) as made:
        yield made


async def test_a_file_is_imported_once_however_often_it_is_sent(
    platform: Platform, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "traffic.csv"
    file.write_bytes(CHINESE.encode("gb18030"))
    settings: dict[str, Any] = {
        f"OPSWIRE_{name.upper()}_URL": platform.topology.url(name) for name in ("orders", "inventory", "kpi")
    }
    settings["OPSWIRE_DATABASE_URL"] = database
    for arguments in (["--dry-run"], [], []):
        done = await asyncio.to_thread(opswire, "import", "traffic", str(file), "--json", *arguments, **settings)
        assert done.code == 0, done.err
        assert json.loads(done.out)["events"] == 4
    answer = await platform.client("kpi").get(
        "/v1/kpis/uv", params={"from": "2024-07-01", "to": "2024-07-01", "by": "channel", "store": "demo"}
    )
    body = answer.json()
    assert {p["dimensions"]["channel"]: p["value"] for p in body["series"]} == {"paid": 1, "social": 1}
    assert body["excluded"] == {"bots": 1, "staff": 0}
    file.write_text(CHINESE.replace("付费推广", "电视"), encoding="utf-8")
    refused = await asyncio.to_thread(opswire, "import", "traffic", str(file), "--json", **settings)
    assert refused.code == 1
    assert [error["row"] for error in json.loads(refused.out)["errors"]] == [1, 2]
