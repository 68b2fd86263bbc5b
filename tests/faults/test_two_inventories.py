"""Two inventory processes on one store at once: callers who hang up, the consumer, expiry, counts (P1, P2, P10).

The proof is computed from the events alone, as a stranger would hear them; what the service shows must be the same.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from cli.dead import opened_bus
from cli.local.processes import free_port
from cli.local.topology import Topology
from cli.verify import examine
from libs.events.codec import Envelope
from libs.events.contracts import StockLevel, StockReserved
from libs.service.auth import add_key
from services.inventory.app import build
from services.inventory.domain import holds
from services.inventory.settings import InventorySettings
from tests.faults.by_events import faults, levels, told
from tests.support.services import Platform, running_services
from tests.support.storefront import PRICE, Storefront, good, order_body, until

SKUS = ("TWO-1", "TWO-2", "TWO-3")
UNITS, BUYERS, ORDERS, STEPS = 60, 12, 8, 6


@dataclass(frozen=True, slots=True)
class Pair:
    """The store `demo` seen through each of the two processes."""

    platforms: Sequence[Platform]

    def shop(self, n: int) -> Storefront:
        return Storefront(self.platforms[n % 2])


@pytest.fixture(scope="module")
async def pair(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    logs = [tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")]
    async with running_services(database, "orders", "inventory", logs=logs[0]) as one, beside(one, logs[1]) as other:
        yield Pair((one, other))


@asynccontextmanager
async def beside(one: Platform, logs: Path) -> AsyncIterator[Platform]:
    """A second inventory of the same installation."""
    topology = Topology({**one.topology.ports, "inventory": free_port()})
    environment = {**one.environment, **topology.environment}
    other = replace(one, topology=topology, environment=environment, logs=logs, processes={}, clients={})
    await other.start("inventory")
    try:
        yield other
    finally:
        await other.close()


async def test_whatever_happens_at_once_the_events_alone_add_up(pair: Pair) -> None:
    await pair.shop(0).stock(UNITS, *SKUS)
    buyers = [Buyer(pair, n) for n in range(BUYERS)]
    await asyncio.gather(*(b.buy() for b in buyers), *(sell_outside(pair, n) for n in range(ORDERS)), count(pair))
    installation = pair.platforms[0].installation
    await until(lambda: nothing_lapses(pair), 20)
    report = await examine(installation, 60)
    assert (report.moving, report.violations) == (None, [])
    async with opened_bus(installation) as bus:
        events = await told(bus, "inventory", "demo")
    assert faults(events) == []
    last = {sku: versions[max(versions)] for sku, versions in levels(events).items()}
    for sku in SKUS:
        shown = await pair.shop(1).level(sku)
        assert {name: shown[name] for name in ("version", "on_hand", "held", "allocated", "short", "available")} == {
            name: getattr(last[sku], name) for name in ("version", "on_hand", "held", "allocated", "short", "available")
        }
    reserved = {e.data.reservation_id for e in events if isinstance(e.data, StockReserved)}
    answers = Counter[int]()
    for buyer in buyers:
        answers += Counter(buyer.answers.values())
        assert {name for name, status in buyer.answers.items() if status == 201} <= reserved
        assert not {name for name, status in buyer.answers.items() if status == 409} & reserved
    assert answers.keys() <= {201, 409}
    assert answers[201] > 20
    assert sum(buyer.hung_up for buyer in buyers) > 10
    assert faults(one_level_lost(events)) != [], "an event that is not told would be seen"


class Buyer:
    """Holds here, changes his mind there; every third call he hangs up before the answer and asks again elsewhere."""

    def __init__(self, pair: Pair, number: int) -> None:
        self.pair = pair
        self.number = number
        self.random = random.Random(number)
        self.answers: dict[str, int] = {}
        self.hung_up = 0

    async def buy(self) -> None:
        for step in range(STEPS):
            name = f"two-{self.number}-{step}"
            lines = [{"sku": self.random.choice(SKUS), "quantity": self.random.randint(1, 2)} for _ in range(2)]
            wish = {"reservation_id": name, "lines": lines, "ttl_seconds": self.random.choice((1, 900))}
            if step % 3 == 0:
                await hang_up(self.pair.platforms[step % 2], "/v1/reservations?store=demo", wish)
                self.hung_up += 1
            answer = await self.pair.shop(step + 1).call("POST", "inventory", "/v1/reservations", wish)
            self.answers[name] = answer.status_code
            if self.random.random() < 0.4:
                await self.pair.shop(step).call("POST", "inventory", f"/v1/reservations/{name}/release", {})


async def hang_up(platform: Platform, path: str, body: object) -> None:
    """Send a call and be gone before its answer."""
    content = json.dumps(body).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", platform.topology.port("inventory"))
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {platform.installation.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    writer.write(head.encode() + content)
    await writer.drain()
    await asyncio.sleep(0.002)
    writer.transport.abort()


async def sell_outside(pair: Pair, n: int) -> None:
    """What a marketplace sold reaches the consumers of both: some is paid and sent, some cancelled."""
    shop, name = pair.shop(0), f"two-tmall-{n}"
    good(await shop.call("POST", "orders", "/v1/orders", order_body(name, (SKUS[n % 3], 2), origin="tmall")))
    if n % 4 == 3:
        await shop.post("orders", f"/v1/orders/{name}/cancel", {"reason": "no", "by": "customer"})
        return
    await shop.pay(name, amount=2 * PRICE)
    if n % 2:
        await shop.ship(name)


async def count(pair: Pair) -> None:
    for n in range(STEPS):
        sku = SKUS[n % 3]
        counted = {"count_id": f"two-{n}", "warehouse": "main", "as_of": datetime.now(UTC).isoformat()}
        lines = [{"sku": sku, "on_hand": UNITS - n}]
        await pair.shop(n).call("POST", "inventory", "/v1/counts", {**counted, "items": lines})
        found = {"adjustment_id": f"two-{n}", "sku": sku, "warehouse": "main", "quantity": 1, "reason": "found"}
        await pair.shop(n + 1).post("inventory", "/v1/adjustments", found)


async def nothing_lapses(pair: Pair) -> bool:
    """Whether every hold of a second has been taken back."""
    async with pair.platforms[0].installation.engine() as engine, engine.connect() as session:
        open_still = "SELECT count(*) FROM inventory.reservation WHERE status = 'held' AND expires_at < now() + '1 min'"
        return not await session.scalar(text(open_still))


def one_level_lost(envelopes: Sequence[Envelope[Any]]) -> Iterator[Envelope[Any]]:
    """The same without one level in the middle."""
    lost = next(e for e in envelopes if isinstance(e.data, StockLevel) and e.data.version == 2)
    return (envelope for envelope in envelopes if envelope.id != lost.id)


async def test_without_the_guarding_line_and_the_last_wall_the_events_tell_of_it(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sabotage twin: who asks whether there is enough is silenced, and the CHECK behind him is dropped."""
    monkeypatch.setattr(holds, "_short", lambda *_: [])
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
            await client.put("/v1/skus/TWO-1", json={"title": "TWO-1", "safety": 0})
            await client.post("/v1/receipts", json={"sku": "TWO-1", "warehouse": "main", "quantity": 2})
            wishes = [{"reservation_id": f"r-{n}", "lines": [{"sku": "TWO-1", "quantity": 1}]} for n in range(5)]
            await asyncio.gather(*(client.post("/v1/reservations", json=wish) for wish in wishes))

        async def seen() -> list[str]:
            return faults(await told(runtime.bus, "inventory", "demo"))

        assert "5 promised of 2" in " ".join(await until(seen, 10))
