"""Delivers messages from leased rows, outside any transaction: at least once, and a dead target delays nobody (P6)."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import httpx2

from libs.events.contracts import NotificationFailed, NotificationFolded, NotificationSent
from libs.events.contracts.base import Event
from libs.events.crash import crash_point
from libs.events.failures import Verdict, decide
from libs.events.transaction import Transaction, Transactions
from services.alerts.channels import KINDS, mail
from services.alerts.channels.base import Notification, Outcome, Request, Result
from services.alerts.domain.gates import TROUBLE_AFTER, Gate, admit, after
from services.alerts.domain.incidents import Finding, matter_key
from services.alerts.handlers.finding import found, recovered
from services.alerts.metrics import DELIVERIES, DELIVERY_SECONDS
from services.alerts.rules.running import DELIVERY_FAILING
from services.alerts.store import gates, ledger
from services.alerts.store.ledger import PER_CHANNEL, Channel, Delivery, Settled
from services.alerts.targets import AllowList, Refused, resolve

AT_ONCE = 64
LEASE = timedelta(seconds=60)
IDLE_SECONDS = 0.05
ATTEMPTS = 15
"""With the waits between them, about half a day."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 3600.0
MOST_ANSWER_BYTES = 64 * 1024

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one call to a target carries: one message, or several as a digest."""

    channel: Channel
    deliveries: Sequence[Delivery]

    @property
    def place(self) -> Place:
        return self.channel.store, self.channel.name

    def notification(self, console: str) -> Notification:
        """Under the name of its first message."""
        return Notification(self.deliveries[0].notification_id, [d.body for d in self.deliveries], console)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that was made, the answer as it came (empty where there was none), and what it means."""

    request: Request
    outcome: Outcome
    status: int | None = None
    answer: bytes = b""


class Sender:
    """The loop that sends what waits in the delivery ledger. `console`: the address people read on at."""

    def __init__(
        self, transactions: Transactions, allowed: AllowList, *, timeout_seconds: float, console: str = ""
    ) -> None:
        self.transactions = transactions
        self.allowed = allowed
        self.timeout_seconds = timeout_seconds
        self.console = console.rstrip("/")
        self._busy: Counter[Place] = Counter()

    async def run(self) -> None:
        """Send for ever."""
        async with self.client() as client, asyncio.TaskGroup() as group:
            while True:
                taken = await self._take()
                for parcel in taken:
                    self._busy[parcel.place] += 1
                    group.create_task(self._deliver(parcel, client))
                if not taken:
                    await asyncio.sleep(IDLE_SECONDS)

    def client(self) -> httpx2.AsyncClient:
        """One that follows nobody elsewhere."""
        return httpx2.AsyncClient(timeout=self.timeout_seconds, follow_redirects=False)

    async def _take(self) -> list[Parcel]:
        free = AT_ONCE - self._busy.total()
        if free <= 0:
            return []
        busy = {place for place, under_way in self._busy.items() if under_way >= PER_CHANNEL}
        taken: list[Parcel] = []
        with _passing_trouble():
            async with self.transactions.begin() as tx:
                waiting = await ledger.list_waiting(busy=busy, limit=free, tx=tx)
                locked = await gates.lock_gates(waiting, tx)
                for channel, count in waiting.items():
                    taken += await self._pass(channel, count, locked, tx)
                await gates.save_gates(locked.values(), tx)
        if taken:
            crash_point("sender.after_lease")
        return taken

    async def _pass(self, channel: Channel, waiting: int, locked: dict[str, Gate], tx: Transaction) -> list[Parcel]:
        """What the gate before a channel's target lets through now; the rest waits until it opens."""
        target = gates.target_of(channel)
        most = PER_CHANNEL - self._busy[channel.store, channel.name]
        locked[target], let = admit(locked[target], KINDS[channel.kind].limit, waiting, most, tx.now)
        if let.opens_at is not None:
            await ledger.defer_deliveries(channel, let.opens_at, tx)
            return []
        leased = await ledger.lease_deliveries(channel, limit=let.calls * let.messages, lease=LEASE, tx=tx)
        return [Parcel(channel, leased[n : n + let.messages]) for n in range(0, len(leased), let.messages)]

    async def _deliver(self, parcel: Parcel, client: httpx2.AsyncClient) -> None:
        try:
            with _passing_trouble():
                exchange = await self.attempt(parcel.channel, parcel.notification(self.console), client)
                crash_point("sender.after_send")
                await self._settle(parcel, exchange.outcome)
        finally:
            self._busy[parcel.place] -= 1

    async def attempt(self, channel: Channel, notification: Notification, client: httpx2.AsyncClient) -> Exchange:
        """Tell a target once, and say what became of it; never raises for what the target does."""
        kind = KINDS[channel.kind]
        request = kind.render(channel, notification, self.transactions.clock())
        try:
            with DELIVERY_SECONDS.labels(channel.kind).time():
                address = await resolve(request.url, self.allowed)
                if "smtp" in kind.schemes:
                    return Exchange(request, await mail.send(request, address, self.timeout_seconds))
                answer = await self._post(request, address, client)
        except Refused as error:
            return Exchange(request, Outcome(Result.REFUSED, str(error)))
        except (httpx2.HTTPError, OSError, TimeoutError) as error:
            return Exchange(request, Outcome(Result.AGAIN, type(error).__name__))
        outcome = kind.classify(answer.status_code, answer.content, answer.headers)
        return Exchange(request, outcome, answer.status_code, answer.content[:MOST_ANSWER_BYTES])

    async def _post(self, request: Request, address: str, client: httpx2.AsyncClient) -> httpx2.Response:
        """Connect to the address that was checked, whatever the name resolves to a moment later."""
        parts = urlsplit(request.url)
        literal = f"[{address}]" if ":" in address else address
        pinned = urlunsplit(parts._replace(netloc=f"{literal}:{parts.port}" if parts.port else literal))
        headers = {**request.headers, "host": parts.netloc}
        extensions = {"sni_hostname": parts.hostname} if parts.scheme == "https" else {}
        async with asyncio.timeout(self.timeout_seconds):
            return await client.post(pinned, content=request.body, headers=headers, extensions=extensions)

    async def _settle(self, parcel: Parcel, outcome: Outcome) -> None:
        DELIVERIES.labels(outcome.result.value).inc(len(parcel.deliveries))
        async with self.transactions.begin() as tx:
            (gate,) = (await gates.lock_gates([parcel.channel], tx)).values()
            then = after(gate, outcome, tx.now)
            await gates.save_gates([then], tx)
            for delivery in parcel.deliveries:
                settled = settled_by(outcome, delivery, parcel.deliveries[0], tx.now)
                await ledger.settle_delivery(delivery, settled, tx)
                if settled.due_at is None:
                    tx.emit(_event(delivery, settled), store=delivery.store)
            await _judge(parcel.channel, outcome, gate, then, tx)
        crash_point("sender.after_settle")


async def _judge(channel: Channel, outcome: Outcome, before: Gate, then: Gate, tx: Transaction) -> None:
    """A target that takes nothing is a problem of its own, told through the other channels."""
    about = {"channel": channel.name}
    if outcome.result is Result.SENT and before.failures:
        await recovered(channel.store, matter_key(DELIVERY_FAILING, about), [DELIVERY_FAILING.id], tx.now, tx)
    if outcome.result is Result.REFUSED or then.failures == TROUBLE_AFTER:
        figures = {"failures": then.failures, "error": outcome.detail}
        await found(Finding(DELIVERY_FAILING, about, figures, tx.now), channel.store, tx)


@contextmanager
def _passing_trouble() -> Iterator[None]:
    """Let a database that is away for a moment pass: what was leased is taken again when its lease runs out."""
    try:
        yield
    except Exception as error:
        if decide(error) is not Verdict.RETRY:
            raise


def settled_by(outcome: Outcome, delivery: Delivery, first: Delivery, now: datetime) -> Settled:
    """What the answer means for a message; those of a digest behind its `first` are folded into that."""
    detail = outcome.detail or None
    if outcome.result is Result.AGAIN and delivery.attempts < ATTEMPTS:
        due_at = now + timedelta(seconds=wait_seconds(delivery.attempts, outcome))
        return Settled("pending", detail, due_at=due_at)
    if outcome.result is not Result.SENT:
        return Settled("failed", detail or "refused")
    if delivery is not first:
        return Settled("folded", detail, reason=f"digest {first.notification_id}")
    return Settled("sent", detail)


def wait_seconds(attempts: int, outcome: Outcome) -> float:
    """How long to wait after so many attempts: doubling, with jitter, at least what the target asked for."""
    backoff = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (attempts - 1)) * random.uniform(0.75, 1.25)
    return max(backoff, outcome.after_seconds or 0.0)


def _event(delivery: Delivery, settled: Settled) -> Event:
    about = {
        "notification_id": delivery.notification_id,
        "channel": delivery.channel,
        "alert_id": delivery.alert_id,
        "incident_id": delivery.incident_id,
        "attempt": delivery.attempts,
    }
    if settled.status == "sent":
        return NotificationSent.model_validate(about)
    if settled.status == "folded":
        return NotificationFolded.model_validate({**about, "reason": settled.reason})
    return NotificationFailed.model_validate({**about, "error": settled.error, "is_final": True})
