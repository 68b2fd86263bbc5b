"""Reservations over HTTP, one worker: a hot SKU and spread ones, against a raw echo and the two usual ways to write it.

Ours writes for each answer the reservation, its ledger entry, the level and the outbox rows, and promises exactly what
is there, which is counted afterwards. The ORM writes as many rows; the one UPDATE writes nothing but the stock.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

from bench.claims import Claim, Outcome, claim_of
from bench.goals import ECHO, FEWER_CLIENTS, ONE_UPDATE, ORM, SPREAD
from bench.load import Json
from bench.rounds import Contender, interleave
from bench.shooter import Shooter
from bench.stage import CannotMeasure, Running, Stage

OURS = "opswire"
SKUS = 500
PLENTY = 1_000_000_000
HOT, SPREAD_SKUS = "HOT", "S{k}"
IN_ONE_CALL = 100

_PEER_TABLES = """
create schema bench;
create table bench.stock (sku text primary key, on_hand bigint not null, held bigint not null, check (held <= on_hand));
create table bench.reservation
 (reservation_id text primary key, sku text not null, quantity bigint not null, expires_at timestamptz not null);
create table bench.movement
 (id bigint generated always as identity primary key, sku text not null, quantity bigint not null, cause text not null);
create table bench.outbox (id bigint generated always as identity primary key, type text not null, data jsonb not null);
insert into bench.stock values ('HOT', 1000000000, 0);
"""


async def measure(stage: Stage) -> Outcome:
    """Every count of clients is a set of interleaved rounds."""
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(stage.services("inventory", kafka=True))
        await stock_up(service, [HOT, *(SPREAD_SKUS.replace("{k}", str(n)) for n in range(SKUS))])
        ours = Shooter(
            stage, service.port("inventory"), service.pid("inventory"), wish(HOT, service.key), may_refuse=True
        )
        peers = await _peers(stage, stack)
        claims = [await alone(ours, peers)]
        for clients in (64, 256):
            claims += await together(clients, ours, peers)
        claims += [await crowd(ours), await spread(ours, service.key)]
        note = await exactness(service)
    generator = f"the load generator used {peers[ECHO].busiest_generator:.2f} of a core while it drove the raw echo"
    return Outcome(tuple(claims), notes=(note, generator))


async def _peers(stage: Stage, stack: AsyncExitStack) -> dict[str, Shooter]:
    database = await stage.database()
    stage.sql(database, _PEER_TABLES)
    applications = {ECHO: "bench.peers.echo:app", ORM: "bench.peers.orm:app", ONE_UPDATE: "bench.peers.one_update:app"}
    peers = {}
    for name, application in applications.items():
        port, pid = await stack.enter_async_context(stage.web(application, BENCH_DATABASE=database))
        peers[name] = Shooter(stage, port, pid, wish(HOT))
    return peers


async def alone(ours: Shooter, peers: Mapping[str, Shooter]) -> Claim:
    """One client waits for each answer."""
    rounds = await interleave(_contenders(1, ours, peers), ours.stage.rounds)
    return claim_of("one hot SKU, 1 client: median wait", "ms", "p50_ms", rounds, goals=["reserve.alone"])


async def together(clients: int, ours: Shooter, peers: Mapping[str, Shooter]) -> list[Claim]:
    """Many clients on one SKU."""
    rounds = await interleave(_contenders(clients, ours, peers), ours.stage.rounds)
    name = f"one hot SKU, {clients} clients"
    judged = clients == 64
    return [
        claim_of(
            name, "answers/s", "per_second", rounds,
            goals=["reserve.rate", "reserve.echo", "reserve.orm"] if judged else [],
        ),
        claim_of(f"{name}: p99", "ms", "p99_ms", rounds, goals=["reserve.p99"] if judged else []),
        claim_of(f"{name}: processor time of the service", "us/answer", "cpu_us", rounds),
    ]  # fmt: skip


async def crowd(ours: Shooter) -> Claim:
    """1,024 clients against 64 of the same service."""
    rounds = await interleave(
        {OURS: partial(ours.shoot, 1024), FEWER_CLIENTS: partial(ours.shoot, 64)}, ours.stage.rounds
    )
    refused = sum(sample["refused"] for sample in rounds[OURS])
    dropped = sum(sample["dropped"] for sample in rounds[OURS])
    note = f"with 1,024 clients {refused:,.0f} calls were answered 503 and {dropped:,.0f} connections closed unanswered"
    return claim_of("one hot SKU, 1,024 clients", "answers/s", "per_second", rounds, goals=["reserve.crowd"], note=note)


async def spread(ours: Shooter, key: str) -> Claim:
    """A hot SKU against as many reservations of 500 SKUs."""
    everywhere = partial(ours.shoot, 64, wish(SPREAD_SKUS, key))
    rounds = await interleave({OURS: partial(ours.shoot, 64), SPREAD: everywhere}, ours.stage.rounds)
    return claim_of("hot against spread, 64 clients", "answers/s", "per_second", rounds, goals=["reserve.hot"])


def _contenders(clients: int, ours: Shooter, peers: Mapping[str, Shooter]) -> dict[str, Contender]:
    return {name: partial(one.shoot, clients) for name, one in {OURS: ours, **peers}.items()}


def wish(sku: str, key: str = "") -> Json:
    """A reservation of one unit for an hour; with a key it is for our service."""
    body = f'{{"reservation_id":"r-{{n}}","lines":[{{"sku":"{sku}","quantity":1}}],"ttl_seconds":3600}}'
    return Json("/v1/reservations?store=demo" if key else "/v1/reservations", body, key, modulus=SKUS)


async def stock_up(service: Running, skus: list[str], units: int = PLENTY, safety: int = 0) -> None:
    """SKUs with so many units each."""
    async with service.client("inventory") as client:
        for n in range(0, len(skus), IN_ONE_CALL):
            some = skus[n : n + IN_ONE_CALL]
            named = [{"sku": sku, "title": sku, "price_cents": 7800, "safety": safety} for sku in some]
            told = await client.put("/v1/skus", json=named)
            got = await client.post("/v1/receipts", json=[{"sku": sku, "quantity": units} for sku in some])
            if told.status_code != 200 or got.status_code != 201:
                raise CannotMeasure(f"stock could not be received: {told.text} {got.text}")


async def exactness(service: Running) -> str:
    """Units held of the hot SKU, and reservations that hold them: they must agree."""
    async with service.client("inventory") as client:
        (held,) = [t for t in (await client.get(f"/v1/stock/{HOT}")).json()["reasons"] if t["term"] == "held"]
    units, holds = -held["quantity"], held["item_count"]
    return f"{units:,} units of the hot SKU are held by {holds:,} reservations of one unit"
