"""Traffic over HTTP in batches of 100, one worker that only takes it in, acknowledged by the bus before each answer."""

from contextlib import AsyncExitStack
from functools import partial

from bench.claims import Claim, Outcome, claim_of
from bench.goals import ECHO, SEND_EACH
from bench.load import Json
from bench.rounds import Contender, interleave
from bench.shooter import Shooter
from bench.stage import Running, Stage, new_prefix

OURS, ON_POSTGRES = "opswire", "opswire, PostgreSQL bus"
BATCH = 100
CLIENTS = 16
VISITORS = 5_000
"""Who are about; each sends views again and again."""

SECONDS = 2.0

_VIEW = (
    '{"id":"e-{n}-%d","type":"page.viewed","time":"2024-07-01T10:00:00+08:00","visitor_id":"v-{k}-%d","channel":"paid",'
    '"url_path":"/p/A001","page_kind":"product","sku":"A001","session_id":"s-11"}'
)
BODY = "[" + ",".join(_VIEW % (n, n) for n in range(BATCH)) + "]"


async def measure(stage: Stage) -> Outcome:
    """Both buses, the usual way to write it, and the echo that reads the same bytes."""
    async with AsyncExitStack() as stack:
        prefix = new_prefix()
        on_kafka = await stack.enter_async_context(
            stage.services("kpi", kafka=True, prefix=prefix, OPSWIRE_KPI_CONSUME="false")
        )
        on_postgres = await stack.enter_async_context(stage.services("kpi", OPSWIRE_KPI_CONSUME="false"))
        peer = await stack.enter_async_context(
            stage.web("bench.peers.send_each:app", BENCH_KAFKA=stage.kafka, BENCH_TOPIC=prefix + "traffic")
        )
        echo = await stack.enter_async_context(stage.web("bench.peers.echo:app"))
        contenders = {
            OURS: _ours(stage, on_kafka),
            SEND_EACH: Shooter(stage, *peer, _batches("/v1/events"), SECONDS, events_a_call=BATCH),
            ON_POSTGRES: _ours(stage, on_postgres),
            ECHO: Shooter(stage, *echo, _batches("/v1/events"), SECONDS, events_a_call=BATCH),
        }
        return Outcome(tuple(await _claims(contenders)))


async def _claims(shooters: dict[str, Shooter]) -> list[Claim]:
    contenders: dict[str, Contender] = {name: partial(one.shoot, CLIENTS) for name, one in shooters.items()}
    rounds = await interleave(contenders, shooters[OURS].stage.rounds)
    name = f"batches of {BATCH}, {CLIENTS} clients"
    return [
        claim_of(name, "events/s", "per_second", rounds, goals=["ingest.rate", "ingest.send"]),
        claim_of(f"{name}: p99 of a batch", "ms", "p99_ms", rounds),
        claim_of(f"{name}: processor time of the worker", "us/event", "cpu_us", rounds),
    ]


def _ours(stage: Stage, service: Running) -> Shooter:
    requests = _batches("/v1/events?store=demo", service.key)
    return Shooter(stage, service.port("kpi"), service.pid("kpi"), requests, SECONDS, events_a_call=BATCH)


def _batches(path: str, key: str = "") -> Json:
    """Bodies of 100 views, other ids in each."""
    return Json(path, BODY, key, modulus=VISITORS // BATCH)
