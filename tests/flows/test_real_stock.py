"""A slice of a real shop's file: cancellations and write-offs come out as returns and adjustments (D51, D58, INV-6)."""

import asyncio
import csv
import gzip
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cli.verify import examine
from tests.support.command import opswire
from tests.support.guardian import ROOT
from tests.support.services import Platform, running_services
from tests.support.storefront import good

FILE = ROOT.parent / "shared" / "data" / "orders_online_retail_2010-12_2011-09.csv.gz"
OUTLIER = "23166"
"""74,215 units sold to one customer and cancelled 16 minutes later."""
SKUS = (OUTLIER, "22242", "21143", "85064", "22777", "79163", "21275")
"""The others have sales, cancellations, write-offs and stock that was found."""

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"{FILE} is not there")

Row = dict[str, str]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """The lines of the file about these SKUs."""
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["StockCode"] in SKUS]


@pytest.fixture(scope="module")
async def platform(database: str, rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """The slice, brought in."""
    folder = tmp_path_factory.mktemp("retail")
    file = folder / "slice.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    async with running_services(database, "orders", "inventory", "kpi", logs=folder) as made:
        settings: dict[str, Any] = {
            f"OPSWIRE_{name.upper()}_URL": made.topology.url(name) for name in ("orders", "inventory", "kpi")
        }
        command = ("import", "online-retail", str(file), "--json")
        (await asyncio.to_thread(opswire, *command, OPSWIRE_DATABASE_URL=database, **settings)).good()
        yield made


async def ledger(platform: Platform, sku: str) -> list[dict[str, Any]]:
    """Every entry of a SKU, oldest first."""
    found: list[dict[str, Any]] = []
    query = {"store": "online-retail", "sku": sku, "limit": "500"}
    while True:
        page = good(await platform.client("inventory").get("/v1/movements", params=query))
        found += page["items"]
        if page["next_cursor"] is None:
            return found[::-1]
        query["cursor"] = page["next_cursor"]


def changes(entries: list[dict[str, Any]]) -> Counter[str]:
    """Units that came into the house (or left it, below 0), by kind and reason."""
    house = {"on_hand", "held", "allocated", "locked"}
    found: Counter[str] = Counter()
    for entry in entries:
        change = (entry["to_state"] in house) - (entry["from_state"] in house)
        name = f"{entry['kind']} {entry['reason']}" if entry["reason"] else entry["kind"]
        found[name] += change * entry["quantity"]
    return found


def units(rows: list[Row], sku: str) -> tuple[int, int]:
    """(cancelled, written off) by the file itself."""
    mine = [(row["InvoiceNo"], int(row["Quantity"])) for row in rows if row["StockCode"] == sku]
    cancelled = -sum(quantity for invoice, quantity in mine if invoice.startswith("C"))
    return cancelled, -sum(quantity for invoice, quantity in mine if quantity < 0 and not invoice.startswith("C"))


@pytest.mark.parametrize("sku", SKUS)
async def test_cancellations_are_returns_and_write_offs_are_adjustments(
    platform: Platform, rows: list[Row], sku: str
) -> None:
    cancelled, written_off = units(rows, sku)
    moved = changes(await ledger(platform, sku))
    assert moved["returned"] + moved["adjusted unmatched_return"] == cancelled
    assert -moved["adjusted write_off"] == written_off
    level = good(await platform.client("inventory").get(f"/v1/stock/{sku}", params={"store": "online-retail"}))
    assert level["on_hand"] == sum(moved.values()) >= 0
    assert (level["held"], level["allocated"], level["short"], level["returning"]) == (0, 0, 0, 0)


async def test_the_outlier_leaves_no_trace_in_the_level(platform: Platform) -> None:
    entries = await ledger(platform, OUTLIER)
    (shipped,) = [entry for entry in entries if entry["kind"] == "shipped" and entry["quantity"] == 74_215]
    (back,) = [entry for entry in entries if entry["kind"] == "returned" and entry["quantity"] == 74_215]
    assert (shipped["at"], back["at"]) == ("2011-01-18T10:01:00+00:00", "2011-01-18T10:17:00+00:00")
    assert back["to_state"] == "on_hand"
    both = [entry for entry in entries if entry["quantity"] == 74_215 and entry["kind"] != "received"]
    assert sum(changes(both).values()) == 0
    others = changes([entry for entry in entries if entry not in both])
    level = good(await platform.client("inventory").get(f"/v1/stock/{OUTLIER}", params={"store": "online-retail"}))
    assert level["on_hand"] == sum(others.values())


async def test_afterwards_the_ledger_is_whole(platform: Platform) -> None:
    report = await examine(platform.installation, 30)
    assert report.violations == []
    assert (report.dead_letters, report.parked) == (0, 0)
