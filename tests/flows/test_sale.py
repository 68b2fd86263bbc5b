"""Many buyers at once for few units, through the storefront's own door: `POST /v1/orders` (INV-4, P1)."""

import asyncio
import random
from collections import Counter

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from libs.service.auth import add_key
from services.inventory.app import build
from services.inventory.domain import holds
from services.inventory.domain.promises import Shortage
from services.inventory.invariants import violations
from services.inventory.settings import InventorySettings
from tests.flows.conftest import verified
from tests.support.services import Platform
from tests.support.storefront import Storefront

BUYERS, UNITS = 500, 50
Lines = list[tuple[str, int]]


def baskets() -> list[Lines]:
    """Five hundred: every fifth names the SKU twice, every third has another SKU before or behind it."""
    rng = random.Random(11)
    found: list[Lines] = []
    for n in range(BUYERS):
        lines = [("HOT", 1)]
        if n % 5 == 0:
            lines.append(("HOT", 1))
        if n % 3 == 0:
            lines.insert(rng.choice((0, len(lines))), ("WARM", 1))
        found.append(lines)
    return found


def wanted(lines: Lines, sku: str) -> int:
    return sum(quantity for name, quantity in lines if name == sku)


async def test_500_buyers_at_once_get_exactly_50_units_and_the_rest_a_clean_no(
    platform: Platform, shop: Storefront
) -> None:
    await shop.stock(UNITS, "HOT")
    await shop.stock(BUYERS, "WARM")
    wishes = {f"sale-{n}": lines for n, lines in enumerate(baskets())}
    answers = dict(
        zip(wishes, await asyncio.gather(*(shop.place(name, *lines) for name, lines in wishes.items())), strict=True)
    )
    assert Counter(answer.status_code for answer in answers.values()).keys() == {201, 409}
    sold = [name for name, answer in answers.items() if answer.status_code == 201]
    assert sum(wanted(wishes[name], "HOT") for name in sold) == UNITS
    for answer in answers.values():
        if answer.status_code == 409:
            assert_clean_no(answer)
    hot, warm = await shop.level("HOT"), await shop.level("WARM")
    assert (hot["held"], hot["available"]) == (UNITS, 0)
    assert warm["held"] == sum(wanted(wishes[name], "WARM") for name in sold)
    assert {order["order_id"] for order in await shop.orders()} >= set(sold)
    assert not {order["order_id"] for order in await shop.orders()} & (wishes.keys() - set(sold))
    for name in sold[:5]:
        assert (await shop.pay(name))["order"]["status"] == "paid"
    await verified(platform)


def assert_clean_no(answer: httpx2.Response) -> None:
    """Says what is short, once, at the first line that names it, and nothing else."""
    problem = answer.json()
    assert problem["code"] == "out_of_stock"
    (error,) = problem["errors"]
    assert (error["sku"], error["code"]) == ("HOT", "short")
    assert error["pointer"] in ("/lines/0/quantity", "/lines/1/quantity")
    assert error["available"] < error["wanted"] <= 2


async def test_the_same_without_the_guarding_line_and_the_last_wall_oversells(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sabotage twin: who asks whether there is enough is silenced, and the CHECK behind him is dropped."""

    def enough(*_: object) -> list[Shortage]:
        return []

    monkeypatch.setattr(holds, "_short", enough)
    runtime, app = build(InventorySettings(database_url=SecretStr(fresh_database)))
    async with runtime.running():
        async with runtime.engine.begin() as session:
            for name in ("ck_level_never_oversold", "ck_level_promised_not_negative"):
                await session.execute(text(f"ALTER TABLE inventory.level DROP CONSTRAINT {name}"))
            await session.execute(
                text(
                    "INSERT INTO access.stores (store, name, timezone, currency, language)"
                    " VALUES ('demo', 'Demo', 'Asia/Shanghai', 'CNY', 'zh')"
                )
            )
            key = (await add_key(session, "demo", ("inventory:read", "inventory:write"))).key
        headers = {"Authorization": f"Bearer {key}"}
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://inventory", headers=headers) as client:
            await client.put("/v1/skus/HOT", json={"title": "HOT", "safety": 0})
            await client.post("/v1/receipts", json={"sku": "HOT", "warehouse": "main", "quantity": 5})
            answers = await asyncio.gather(
                *(
                    client.post(
                        "/v1/reservations",
                        json={"reservation_id": f"r-{n}", "lines": [{"sku": "HOT", "quantity": 1}]},
                    )
                    for n in range(30)
                )
            )
        assert Counter(answer.status_code for answer in answers)[201] > 5
        async with runtime.worker.begin(read_only=True) as tx:
            broken = {violation.invariant for violation in await violations(tx.session)}
        assert "promises do not exceed what is on hand" in broken
