"""How long an event takes: to the bus, and to a person.

To the bus: `emit` in a transaction to the acknowledgement of Kafka, or of the PostgreSQL bus. To a person: the call
that makes a stock level fall under its safety level (one reservation over HTTP) to the signed message at a webhook,
through inventory, its relay, the bus, alerts and its sender; a second webhook that never answers gets every message
too. Idle, and while the kpi service works off a long topic at full speed beside them (it is stopped and continued).
"""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import httpx2

from bench.claims import Claim, Outcome, claim_of
from bench.goals import BARE_CHAIN, IDLE
from bench.machine import cpu_seconds
from bench.measurements.reserve import stock_up
from bench.receiver import SECRET, Receiver
from bench.rounds import Contender, Sample, interleave
from bench.series import quantile
from bench.stage import CannotMeasure, Running, Stage, installation, new_prefix
from bench.waiting import Waiting

OURS, ON_POSTGRES, LOADED = "opswire", "opswire, PostgreSQL bus", "opswire, loaded"
PUBLISHED = 150
A_ROUND = 40
BACKLOG = 400_000
PAUSE_SECONDS = 0.02
LOST_SECONDS = 30.0
UNITS = SAFETY = 10


async def measure(stage: Stage) -> Outcome:
    """First the way to the bus, then the way to the webhook."""
    async with Receiver().listening() as receiver:
        published = await to_the_bus(stage, receiver)
        delivered, notes = await to_a_person(stage, receiver)
    return Outcome((*published, *delivered), notes=tuple(notes))


# to the bus


async def to_the_bus(stage: Stage, receiver: Receiver) -> list[Claim]:
    """emit to acknowledged, both buses, against a bare producer."""
    prefix = new_prefix()
    on_kafka = installation(await stage.database(), stage.kafka, prefix)
    on_postgres = installation(await stage.database())

    async def emit(environment: dict[str, str]) -> Sample:
        sample: Sample = await stage.worker("bench.workers.publish_latency", str(PUBLISHED), environment=environment)
        return sample

    await emit(on_kafka)  # makes the topics
    rounds = await interleave(
        {
            OURS: partial(emit, on_kafka),
            BARE_CHAIN: partial(_bare, stage, receiver, "produced"),
            ON_POSTGRES: partial(emit, on_postgres),
        },
        stage.rounds,
    )
    return [
        claim_of("emit to published: median", "ms", "p50_ms", rounds, goals=["publish.p50"]),
        claim_of("emit to published: p99", "ms", "p99_ms", rounds, goals=["publish.p99"]),
    ]


async def _bare(stage: Stage, receiver: Receiver, step: str) -> Sample:
    arguments = (stage.kafka, receiver.url, str(PUBLISHED))
    figures = await stage.worker("bench.peers.chain", *arguments)
    return {"p50_ms": figures[f"{step}_p50_ms"], "p99_ms": figures[f"{step}_p99_ms"]}


# to a person


async def to_a_person(stage: Stage, receiver: Receiver) -> tuple[list[Claim], list[str]]:
    """Low stock to webhook: idle and loaded on Kafka, idle on the PostgreSQL bus, the bare chain beside them."""
    waiting = await Waiting.prepare(stage, BACKLOG, stage.kafka)
    async with AsyncExitStack() as stack:
        silent = await stack.enter_async_context(Receiver(answers=False).listening())
        on_kafka = await stack.enter_async_context(
            stage.services(
                "inventory", "alerts", database_url=waiting.template, kafka=True, prefix=waiting.prefix,
                OPSWIRE_WEBHOOK_ALLOW="127.0.0.1",
            )
        )  # fmt: skip
        on_postgres = await stack.enter_async_context(
            stage.services("inventory", "alerts", OPSWIRE_WEBHOOK_ALLOW="127.0.0.1")
        )
        kafka = await stack.enter_async_context(falling(on_kafka, receiver, silent, "K"))
        postgres = await stack.enter_async_context(falling(on_postgres, receiver, silent, "P"))
        load = await stack.enter_async_context(catching_up(stage, on_kafka, waiting.prefix))
        contenders: dict[str, Contender] = {
            OURS: kafka.run,
            LOADED: partial(load.beside, kafka),
            BARE_CHAIN: partial(_bare, stage, receiver, "posted"),
            ON_POSTGRES: postgres.run,
        }
        rounds = await interleave(contenders, stage.rounds)
    return _claims(rounds), _notes(receiver, rounds)


def _claims(rounds: dict[str, list[Sample]]) -> list[Claim]:
    loaded = {LOADED: rounds[LOADED], IDLE: rounds[OURS]}
    beside = {name: samples for name, samples in rounds.items() if name != LOADED}
    what = "low stock to webhook"
    return [
        claim_of(
            f"{what}: median", "ms", "p50_ms", beside, goals=["low_stock", "webhook.p50", "webhook.chain"]
        ),
        claim_of(f"{what}: p99", "ms", "p99_ms", beside, goals=["webhook.p99"]),
        claim_of(f"{what} under load: median", "ms", "p50_ms", loaded),
        claim_of(f"{what} under load: p99", "ms", "p99_ms", loaded, goals=["webhook.loaded"]),
    ]  # fmt: skip


def _notes(receiver: Receiver, rounds: dict[str, list[Sample]]) -> list[str]:
    busy = quantile(sorted(sample["kpi_cores"] for sample in rounds[LOADED]), 0.5)
    return [
        f"{receiver.verify():,} messages, each with a good signature; {receiver.repeats} came twice;"
        " a webhook that never answers stood beside it all the time",
        f"under load the kpi service used {busy:.2f} of a core beside inventory, alerts, Kafka and PostgreSQL",
    ]


@dataclass
class Falling:
    """SKUs of one installation, each of which falls under its safety level once."""

    client: httpx2.AsyncClient
    receiver: Receiver
    skus: Iterator[str]

    async def run(self) -> Sample:
        """A round: one after the other, each waited for."""
        waits = sorted([await self._fall(sku) for sku in itertools.islice(self.skus, A_ROUND)])
        return {"p50_ms": quantile(waits, 0.5), "p99_ms": quantile(waits, 0.99)}

    async def _fall(self, sku: str) -> float:
        arrived = self.receiver.expect(sku)
        wish = {"reservation_id": f"r-{sku}", "lines": [{"sku": sku, "quantity": 1}], "ttl_seconds": 3600}
        began = perf_counter()
        answer = await self.client.post("/v1/reservations", json=wish)
        if answer.status_code != 201:
            raise CannotMeasure(f"the reservation was answered with {answer.status_code}: {answer.text[:200]}")
        try:
            async with asyncio.timeout(LOST_SECONDS):
                wait = 1000 * (await arrived - began)
        except TimeoutError:
            raise CannotMeasure(f"no message about {sku} within {LOST_SECONDS:.0f} s") from None
        await asyncio.sleep(PAUSE_SECONDS)
        return wait


@asynccontextmanager
async def falling(service: Running, receiver: Receiver, silent: Receiver, prefix: str) -> AsyncIterator[Falling]:
    """Two channels, and SKUs that hold exactly their safety level."""
    skus = [f"{prefix}{n:04}" for n in range(2 * A_ROUND * 8)]
    async with service.client("alerts") as alerts:
        for name, target in (("people", receiver), ("silent", silent)):
            body = {"kind": "webhook", "url": target.url, "secret": SECRET, "language": "en"}
            answer = await alerts.put(f"/v1/channels/{name}", json=body)
            if answer.status_code != 200:
                raise CannotMeasure(f"the channel was answered with {answer.status_code}: {answer.text[:200]}")
    await stock_up(service, skus, units=UNITS, safety=SAFETY)
    async with service.client("inventory") as client:
        falling_skus = Falling(client, receiver, iter(skus))
        await falling_skus.run()  # connections, caches, the first commits
        yield falling_skus


@dataclass
class CatchingUp:
    """The kpi service with a long way to go, stopped until it is wanted."""

    pid: int

    async def beside(self, other: Falling) -> Sample:
        """The other's round while it works."""
        os.kill(self.pid, signal.SIGCONT)
        try:
            await asyncio.sleep(1.0)
            cpu, began = cpu_seconds(self.pid), perf_counter()
            sample = await other.run()
            return {**sample, "kpi_cores": (cpu_seconds(self.pid) - cpu) / (perf_counter() - began)}
        finally:
            os.kill(self.pid, signal.SIGSTOP)


@asynccontextmanager
async def catching_up(stage: Stage, beside: Running, prefix: str) -> AsyncIterator[CatchingUp]:
    """The kpi service of the same installation; it can end only while it may run."""
    async with stage.services("kpi", database_url=beside.database_url, kafka=True, prefix=prefix) as running:
        load = CatchingUp(running.pid("kpi"))
        os.kill(load.pid, signal.SIGSTOP)
        try:
            yield load
        finally:
            os.kill(load.pid, signal.SIGCONT)
