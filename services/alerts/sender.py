"""Delivers messages from leased rows, outside any transaction: at least once, and a dead target delays nobody (P6)."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2

from libs.events.contracts import NotificationFailed, NotificationSent
from libs.events.crash import crash_point
from libs.events.failures import Verdict, decide
from libs.events.transaction import Transactions
from services.alerts.channels import KINDS
from services.alerts.channels.base import Outcome, Request, Result
from services.alerts.metrics import DELIVERIES, DELIVERY_SECONDS
from services.alerts.store import ledger
from services.alerts.store.ledger import PER_CHANNEL, Channel, Delivery
from services.alerts.targets import AllowList, Refused, resolve

AT_ONCE = 64
LEASE = timedelta(seconds=60)
IDLE_SECONDS = 0.05
ATTEMPTS = 15
"""With the waits between them, about half a day."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 3600.0

Place = tuple[str, str]


class Sender:
    """The loop that sends what waits in the delivery ledger."""

    def __init__(self, transactions: Transactions, allowed: AllowList, *, timeout_seconds: float) -> None:
        self.transactions = transactions
        self.allowed = allowed
        self.timeout_seconds = timeout_seconds
        self._busy: Counter[Place] = Counter()

    async def run(self) -> None:
        """Send for ever."""
        async with (
            httpx2.AsyncClient(timeout=self.timeout_seconds, follow_redirects=False) as client,
            asyncio.TaskGroup() as group,
        ):
            while True:
                taken = await self._take()
                for delivery in taken:
                    self._busy[delivery.store, delivery.channel] += 1
                    group.create_task(self._deliver(delivery, client))
                if not taken:
                    await asyncio.sleep(IDLE_SECONDS)

    async def _take(self) -> list[Delivery]:
        free = AT_ONCE - self._busy.total()
        if free <= 0:
            return []
        busy = {place for place, under_way in self._busy.items() if under_way >= PER_CHANNEL}
        taken: list[Delivery] = []
        with _passing_trouble():
            async with self.transactions.begin() as tx:
                taken = await ledger.lease_deliveries(limit=free, lease=LEASE, busy=busy, tx=tx)
        if taken:
            crash_point("sender.after_lease")
        return taken

    async def _deliver(self, delivery: Delivery, client: httpx2.AsyncClient) -> None:
        try:
            with _passing_trouble():
                async with self.transactions.begin(read_only=True) as tx:
                    channel = await ledger.load_channel(delivery.store, delivery.channel, tx)
                outcome = await self.attempt(channel, delivery.notification_id, delivery.body, client)
                crash_point("sender.after_send")
                await self._settle(delivery, outcome)
        finally:
            self._busy[delivery.store, delivery.channel] -= 1

    async def attempt(self, channel: Channel, notification_id: str, body: Any, client: httpx2.AsyncClient) -> Outcome:
        """Send one message once, and say what became of it; never raises for what the target does."""
        kind = KINDS[channel.kind]
        request = kind.render(channel, notification_id, body, self.transactions.clock())
        try:
            with DELIVERY_SECONDS.labels(channel.kind).time():
                answer = await self._post(request, client)
        except Refused as error:
            return Outcome(Result.REFUSED, str(error))
        except (httpx2.HTTPError, OSError, TimeoutError) as error:
            return Outcome(Result.AGAIN, type(error).__name__)
        return kind.classify(answer.status_code, answer.content)

    async def _post(self, request: Request, client: httpx2.AsyncClient) -> httpx2.Response:
        """Connect to the address that was checked, whatever the name resolves to a moment later."""
        parts = urlsplit(request.url)
        address = await resolve(request.url, self.allowed)
        literal = f"[{address}]" if ":" in address else address
        pinned = urlunsplit(parts._replace(netloc=f"{literal}:{parts.port}" if parts.port else literal))
        headers = {**request.headers, "host": parts.netloc}
        extensions = {"sni_hostname": parts.hostname} if parts.scheme == "https" else {}
        async with asyncio.timeout(self.timeout_seconds):
            return await client.post(pinned, content=request.body, headers=headers, extensions=extensions)

    async def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        DELIVERIES.labels(outcome.result.value).inc()
        again = outcome.result is Result.AGAIN and delivery.attempts < ATTEMPTS
        status = "sent" if outcome.result is Result.SENT else "pending" if again else "failed"
        async with self.transactions.begin() as tx:
            await ledger.settle_delivery(
                delivery,
                status=status,
                error=outcome.detail or None,
                due_at=tx.now + timedelta(seconds=wait_seconds(delivery.attempts, outcome)) if again else None,
                tx=tx,
            )
            if not again:
                tx.emit(_event(delivery, outcome), store=delivery.store)
        crash_point("sender.after_settle")


@contextmanager
def _passing_trouble() -> Iterator[None]:
    """Let a database that is away for a moment pass: what was leased is taken again when its lease runs out."""
    try:
        yield
    except Exception as error:
        if decide(error) is not Verdict.RETRY:
            raise


def wait_seconds(attempts: int, outcome: Outcome) -> float:
    """How long to wait after so many attempts: doubling, with jitter, at least what the target asked for."""
    backoff = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (attempts - 1)) * random.uniform(0.75, 1.25)
    return max(backoff, outcome.after_seconds or 0.0)


def _event(delivery: Delivery, outcome: Outcome) -> NotificationSent | NotificationFailed:
    about = {
        "notification_id": delivery.notification_id,
        "channel": delivery.channel,
        "alert_id": delivery.alert_id,
        "incident_id": delivery.incident_id,
        "attempt": delivery.attempts,
    }
    if outcome.result is Result.SENT:
        return NotificationSent.model_validate(about)
    return NotificationFailed.model_validate({**about, "error": outcome.detail or "refused", "is_final": True})
