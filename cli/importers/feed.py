"""Sends an import to the front doors: in chunks, with progress, and waits until what was sent has been applied.

Every call may be repeated, so a service that is started again meanwhile only costs the time that takes.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from cli.importers.online_retail import Plan, Record
from cli.installation import Installation
from cli.output import CommandFailed
from cli.platform_client import answered, front_door
from libs.events.contracts.base import TOPICS

CHUNK_BYTES = 2_000_000
LIST_CHUNK = 2_000
SETTLE_SECONDS = 600.0
PATIENCE_SECONDS = 60.0
"""How long a service may be away, once the import has begun."""
AGAIN_SECONDS = 0.5
PASSING = (429, 502, 503, 504)
LONG = httpx2.Timeout(120.0, connect=5.0)
JSON_LINES = {"content-type": "application/x-ndjson"}

Progress = Callable[[str, int], None]
"""Told what was done, and how many lines of the file that was."""


@dataclass(frozen=True, slots=True)
class Feed:
    """The front doors of one store under one import."""

    store: str
    import_id: str
    orders: httpx2.AsyncClient
    inventory: httpx2.AsyncClient
    kpi: httpx2.AsyncClient
    alerts: httpx2.AsyncClient

    @property
    def query(self) -> dict[str, str]:
        return {"store": self.store, "import_id": self.import_id}

    async def run(self, plan: Plan, done: Progress) -> dict[str, int]:
        """Send everything. Stock that was found comes first and write-offs last, so that no sale runs short for a
        moment that never was; the figures are measured when all of it has been applied.
        """
        await self.begin()
        await self._put_skus(plan.skus)
        await self._post_lists("/v1/receipts", plan.receipts)
        await self._post_lists("/v1/adjustments", plan.found)
        counts = await self._post_orders(plan.orders, done)
        await self.applied(self.inventory, "inventory", "orders")
        await self._post_lists("/v1/adjustments", plan.write_offs)
        await self.applied(self.kpi, "kpi", "orders")
        await self.applied(self.kpi, "kpi", "catalog")
        await self.end()
        return counts

    async def begin(self) -> None:
        """Open the import: the figures that it touches are measured when it ends (D6)."""
        answered(await self.kpi.post("/v1/imports", params={"store": self.store}, json={"import_id": self.import_id}))

    async def end(self) -> None:
        """Close the import."""
        end = f"/v1/imports/{self.import_id}/end"
        answered(await _patiently(self.kpi, "POST", end, params={"store": self.store}))

    async def send_orders(self, content: bytes, media_type: str, **params: str) -> httpx2.Response:
        """A file of orders, or a part of one, to its front door; the answer, whatever it is."""
        given: dict[str, Any] = {"params": {**self.query, **params}, "content": content}
        return await _patiently(
            self.orders, "POST", "/v1/imports/orders", headers={"content-type": media_type}, **given
        )

    async def send_service(self, batch: Sequence[Record]) -> httpx2.Response:
        """Customer-service events to their front door; the answer, whatever it is."""
        headers = {"content-type": "application/cloudevents-batch+json"}
        body = json.dumps(batch, ensure_ascii=False).encode()
        params = {"store": self.store}
        return await _patiently(self.alerts, "POST", "/v1/events", params=params, content=body, headers=headers)

    async def send_stock(self, method: str, path: str, body: Any, **params: str) -> httpx2.Response:
        """Something about stock to inventory's front door; the answer, whatever it is."""
        return await _patiently(self.inventory, method, path, params={**self.query, **params}, json=body)

    async def send_traffic(self, events: Sequence[Record]) -> None:
        """Events in the short form, at most a thousand; raises what the front door says against them."""
        answered(
            await _patiently(self.kpi, "POST", "/v1/events", params={"store": self.store}, json=list(events)),
        )

    async def _put_skus(self, skus: Sequence[Record]) -> None:
        for chunk in _lists(skus):
            answered(await _patiently(self.inventory, "PUT", "/v1/skus", params=self.query, json=chunk))

    async def _post_lists(self, path: str, records: Sequence[Record]) -> None:
        for chunk in _lists(records):
            answered(await _patiently(self.inventory, "POST", path, params=self.query, json=chunk))

    async def _post_orders(self, records: Sequence[Record], done: Progress) -> dict[str, int]:
        counts: dict[str, int] = {}
        for chunk, lines in _chunks(records):
            given: dict[str, Any] = {"params": self.query, "content": chunk, "headers": JSON_LINES}
            answer = answered(await _patiently(self.orders, "POST", "/v1/imports/orders", **given))
            for name in ("new", "changed", "unchanged", "returns", "refunds"):
                counts[name] = counts.get(name, 0) + int(answer[name])
            done("orders", lines)
        return counts

    async def applied(self, consumer: httpx2.AsyncClient, service: str, topic: str) -> None:
        """Wait until `service` has applied everything that lies on a topic. Raises CommandFailed after ten minutes."""
        owner = TOPICS[topic].owner
        async with asyncio.timeout(SETTLE_SECONDS):
            calm = 0
            while calm < 3:
                await asyncio.sleep(0.5)
                waiting = await _metric(getattr(self, owner), "opswire_outbox_pending_seconds", service=owner)
                lag = await _metric(consumer, "opswire_consumer_lag_events", consumer=service, topic=topic)
                calm = calm + 1 if waiting == 0 and lag == 0 else 0


async def _patiently(client: httpx2.AsyncClient, method: str, path: str, **options: Any) -> httpx2.Response:
    """The answer, asked again while the service is away or asks for patience."""
    async for is_last in _turns():
        try:
            answer = await client.request(method, path, timeout=LONG, **options)
        except httpx2.TransportError:
            if is_last:
                raise
        else:
            if is_last or answer.status_code not in PASSING:
                return answer
    raise AssertionError("the last turn returns or raises")


async def _turns() -> AsyncIterator[bool]:
    """Turns until patience ends, each with whether it is the last."""
    until = monotonic() + PATIENCE_SECONDS
    while monotonic() < until:
        yield False
        await asyncio.sleep(AGAIN_SECONDS)
    yield True


async def _metric(client: httpx2.AsyncClient, name: str, **labels: str) -> float | None:
    """A gauge of a service by its name and labels; None where it was not measured yet."""
    page = await _patiently(client, "GET", "/metrics")
    if not page.is_success:
        raise CommandFailed(f"{client.base_url} does not show its metrics: {page.status_code}")
    for family in text_string_to_metric_families(page.text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def _lists(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    for n in range(0, len(records), LIST_CHUNK):
        yield records[n : n + LIST_CHUNK]


def _chunks(records: Iterable[Record]) -> Iterator[tuple[bytes, int]]:
    """JSON lines up to a size a call, with how many lines of the file they stand for."""
    lines: list[bytes] = []
    size = count = 0
    for record in records:
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
        if size + len(line) > CHUNK_BYTES and lines:
            yield b"\n".join(lines), count
            lines, size, count = [], 0, 0
        lines.append(line)
        size += len(line) + 1
        count += len(record.get("lines", ())) or 1
    if lines:
        yield b"\n".join(lines), count


@asynccontextmanager
async def open_feed(installation: Installation, store: str, import_id: str) -> AsyncIterator[Feed]:
    """A feed into a running platform."""
    async with AsyncExitStack() as stack:
        doors: list[Any] = [
            await stack.enter_async_context(front_door(installation, name))
            for name in ("orders", "inventory", "kpi", "alerts")
        ]
        yield Feed(store, import_id, *doors)
