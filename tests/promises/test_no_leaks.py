"""P12: no secret and no personal data in events, logs, alerts, exports or errors.

Canaries go in through every door that takes such things, in calls that are accepted and in calls that are refused; then
everything that can be looked at is searched: answers, logs, metrics and every column of the database.
"""

import asyncio
import base64
import hmac
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.service.database import create_engine
from tests.support.services import Platform, running_services

NAME, STREET, PHONE, MAIL = "金丝雀甲乙", "金丝雀大道七十七号", "13912345678", "canary.bird@nest.example"
TOKEN, SECRET = "canarytoken0123456789", "SECcanary0123456789abcdef"
PERSONAL = (NAME, STREET, PHONE, MAIL)
CONSIGNEE = {"name": NAME, "phone": PHONE, "province": "浙江", "city": "杭州", "address": STREET}
ORDER = {"origin": "shopify", "currency": "CNY", "lines": [{"sku": "S-1", "quantity": 1, "unit_price_cents": 100}]}
ZSTD = b"\x28\xb5\x2f\xfd"

OWN_PLACE = {"alerts.channel"}
"""Where a channel's address and secret are kept, because they are used."""


@dataclass
class Seen:
    """All that was put out, by where."""

    platform: Platform
    engine: AsyncEngine
    pages: dict[str, bytes] = field(default_factory=dict)

    async def call(self, service: str, method: str, path: str, json: Any = None, **headers: str) -> int:
        """Call as an operator without the right to personal data; keep what is answered."""
        client = self.platform.client(service, self.key)
        answer = await client.request(method, path, json=json, params={"store": "demo"}, headers=headers)
        self.pages[f"{service} {method} {path} #{len(self.pages)}"] = answer.content + str(answer.headers).encode()
        return answer.status_code

    key: str = ""


@pytest.fixture(scope="module")
async def seen(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seen]:
    """All services, after the canaries went through them."""
    logs: Path = tmp_path_factory.mktemp("logs")
    engine = create_engine(database)
    async with running_services(database, logs=logs, OPSWIRE_LOG_LEVEL="debug") as platform:
        scopes = ("orders:read", "orders:write", "inventory:read", "inventory:write", "traffic:write", "kpi:read")
        key = await platform.add_key("*", *scopes, "kpi:write", "alerts:read", "alerts:write", "reports:read")
        shown = Seen(platform, engine, key=key)
        await _orders(shown)
        await _traffic(shown)
        await _alerts(shown)
        for service in platform.processes:
            await shown.call(service, "GET", "/metrics")
        yield shown
    await engine.dispose()


async def _orders(seen: Seen) -> None:
    accepted = {**ORDER, "order_id": "canary-1", "customer_id": PHONE, "consignee": CONSIGNEE}
    assert await seen.call("orders", "POST", "/v1/orders", accepted, **{"Idempotency-Key": "canary"}) == 201
    assert await seen.call("orders", "POST", "/v1/orders", accepted, **{"Idempotency-Key": "canary"}) == 201
    by_mail = {**ORDER, "order_id": "canary-2", "customer_id": MAIL, "consignee": CONSIGNEE}
    assert await seen.call("orders", "POST", "/v1/orders", by_mail) == 201
    for bad in ({"lines": NAME}, {"consignee": [NAME, PHONE]}, {"currency": STREET}, {"total_cents": MAIL}):
        assert await seen.call("orders", "POST", "/v1/orders", {**accepted, **bad}) in (409, 422)
    await seen.call(
        "orders", "POST", "/v1/orders/canary-1/cancel", {"reason": f"call {PHONE} or {MAIL}", "by": "customer"}
    )
    await seen.call("orders", "POST", "/v1/orders/canary-2/amend", {"consignee": CONSIGNEE}, **{"If-Match": "*"})
    await _webhooks(seen)
    for path in ("/v1/orders/canary-1", "/v1/orders", "/v1/review-queue", f"/v1/orders?customer_id={PHONE}"):
        await seen.call("orders", "GET", path)


async def _webhooks(seen: Seen) -> None:
    """The same through a shop's door: a message that becomes an order, one that cannot, one that is not genuine."""
    address = {"name": NAME, "phone": PHONE, "province": "浙江", "city": "杭州", "address1": STREET}
    told = {
        "id": 77,
        "created_at": "2024-07-01T10:00:00+08:00",
        "total_price": "1.00",
        "currency": "CNY",
        "email": MAIL,
        "note": f"call {PHONE}",
        "customer": {"id": 7, "email": MAIL, "phone": PHONE},
        "shipping_address": address,
        "line_items": [{"id": 1, "sku": "S-1", "quantity": 1, "price": "1.00"}],
    }
    assert await seen.call("orders", "PUT", "/v1/webhook-sources/shopify", {"secrets": [SECRET]}) == 201
    await seen.call("orders", "GET", "/v1/webhook-sources/shopify")
    for body, status in ((told, 200), ({**told, "id": 78, "total_price": MAIL, "currency": NAME}, 200), (told, 401)):
        assert await _shopify(seen, body, SECRET if status == 200 else "another") == status
    await _until_mapped(seen)
    assert await seen.call("orders", "GET", "/v1/orders/shopify:77") == 200
    await seen.call("orders", "GET", "/v1/webhook-deliveries")


async def _shopify(seen: Seen, body: dict[str, Any], secret: str) -> int:
    content = json.dumps(body, ensure_ascii=False).encode()
    signature = base64.b64encode(hmac.digest(secret.encode(), content, "sha256")).decode()
    headers = {
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Event-Id": f"e-{body['id']}",
        "X-Shopify-Hmac-SHA256": signature,
    }
    client = seen.platform.client("orders", seen.key)
    answer = await client.post("/v1/webhooks/shopify/demo", content=content, headers=headers)
    seen.pages[f"webhook {body['id']} {answer.status_code}"] = answer.content
    return answer.status_code


async def _until_mapped(seen: Seen) -> None:
    client = seen.platform.client("orders", seen.key)
    async with asyncio.timeout(20):
        while True:
            listed = (await client.get("/v1/webhook-deliveries", params={"store": "demo"})).json()["items"]
            if {row["status"] for row in listed} == {"mapped", "failed"}:
                return
            await asyncio.sleep(0.2)


async def _traffic(seen: Seen) -> None:
    view = {
        "id": "canary-view",
        "type": "page.viewed",
        "time": "2024-07-01T10:00:00+08:00",
        "visitor_id": "v-1",
        "customer_id": PHONE,
        "url_path": f"/p/S-1?phone={PHONE}&mail={MAIL}",
        "page_kind": "product",
    }
    assert await seen.call("kpi", "POST", "/v1/events", [view]) == 202
    await seen.call("kpi", "POST", "/v1/events", [{**view, "id": "bad", "time": PHONE}, {**view, "sku": {"a": MAIL}}])


async def _alerts(seen: Seen) -> None:
    channel = {"kind": "webhook", "url": f"https://127.0.0.1/hook?access_token={TOKEN}", "secret": SECRET}
    await seen.call("alerts", "PUT", "/v1/channels/canary", channel)
    robot = {"kind": "dingtalk", "url": f"https://oapi.dingtalk.com/robot/send?access_token={TOKEN}", "secret": SECRET}
    await seen.call("alerts", "PUT", "/v1/channels/robot", robot)
    incident = {"title": "page crash", "description": f"ask {PHONE} or {MAIL}", "severity": "warning"}
    await seen.call("alerts", "POST", "/v1/incidents", incident)
    for path in ("/v1/channels", "/v1/channels/canary", "/v1/incidents", "/v1/notifications"):
        await seen.call("alerts", "GET", path)


def _canaries(content: bytes, canaries: tuple[str, ...]) -> list[str]:
    escaped = {canary: canary.encode("ascii", "backslashreplace") for canary in canaries}
    return [c for c in canaries if c.encode() in content or escaped[c] in content or c.encode("utf-16-le") in content]


async def test_answers_hold_no_personal_data_and_no_secret(seen: Seen) -> None:
    found = {place: hit for place, page in seen.pages.items() if (hit := _canaries(page, (*PERSONAL, TOKEN, SECRET)))}
    assert found == {}


async def test_logs_hold_no_personal_data_no_secret_and_no_key(seen: Seen) -> None:
    keys = (seen.key, seen.platform.installation.key)
    for log in seen.platform.logs.glob("*.log"):
        assert _canaries(log.read_bytes(), (*PERSONAL, TOKEN, SECRET, *keys)) == [], log.name


async def test_no_column_of_the_database_holds_personal_data_or_a_key(seen: Seen) -> None:
    keys = (seen.key, seen.platform.installation.key)
    found: dict[str, list[str]] = {}
    async with seen.engine.connect() as session:
        async for table, column, content in _contents(session):
            canaries = (*PERSONAL, *keys) if table in OWN_PLACE else (*PERSONAL, TOKEN, SECRET, *keys)
            if hit := _canaries(content, canaries):
                found.setdefault(f"{table}.{column}", []).extend(set(hit))
    assert found == {}


async def _contents(session: AsyncConnection) -> AsyncIterator[tuple[str, str, bytes]]:
    """Every value of every column: bytes as they are and unpacked, anything else as text."""
    columns = await session.execute(
        text(
            "SELECT table_schema || '.' || table_name AS name, column_name AS field, data_type AS kind"
            " FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'"
        )
    )
    for name, column, kind in columns.all():
        expression = f'"{column}"' if kind == "bytea" else f'"{column}"::text'
        for value in await session.scalars(text(f"SELECT {expression} FROM {name} WHERE {expression} IS NOT NULL")):
            for content in _unpacked(value.encode() if isinstance(value, str) else bytes(value)):
                yield name, column, content


def _unpacked(value: bytes) -> Iterator[bytes]:
    yield value
    if value.startswith(ZSTD):
        yield zstandard.ZstdDecompressor().decompress(value, max_output_size=1 << 26)


async def test_the_search_finds_what_is_there(seen: Seen) -> None:
    """The sabotage twin: the canaries that are meant to be kept are found, so the search is not blind."""
    packed = zstandard.ZstdCompressor().compress(f"x{NAME}y".encode())
    assert _canaries(list(_unpacked(packed))[1], PERSONAL) == [NAME]
    assert _canaries(rb'{"name": "\u91d1\u4e1d\u96c0\u7532\u4e59"}', PERSONAL) == [NAME]
    places = set()
    async with seen.engine.connect() as session:
        async for table, _, content in _contents(session):
            if _canaries(content, ("canary-1", TOKEN)):
                places.add(table)
    assert {"bus.record", "orders.orders"} <= places
    masked = re.compile(b"139\\*{4}5678")
    assert [place for place, page in seen.pages.items() if masked.search(page)], "masked numbers are shown"
