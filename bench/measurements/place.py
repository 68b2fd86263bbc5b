"""Placing orders over HTTP: stock held at inventory, then order, personal data, timers and outbox in one transaction.

Two real services, their relays and consumers run; the limit is FastAPI checking the same body and giving the same
answer with nothing behind it.
"""

from contextlib import AsyncExitStack
from functools import partial

from bench.claims import Claim, Outcome, claim_of
from bench.goals import NOTHING_BEHIND
from bench.load import Json
from bench.measurements.reserve import SKUS, SPREAD_SKUS, stock_up
from bench.rounds import interleave
from bench.samples import order_body
from bench.shooter import Shooter
from bench.stage import Stage

OURS = "opswire"
SECONDS = 2.0


async def measure(stage: Stage) -> Outcome:
    """64 clients, then 16."""
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(stage.services("orders", "inventory", kafka=True))
        await stock_up(services, [SPREAD_SKUS.replace("{k}", str(n)) for n in range(SKUS)])
        port, pid = await stack.enter_async_context(stage.web("bench.peers.bare_order:app"))
        body = order_body("o-{n}", SPREAD_SKUS)
        ours = Shooter(
            stage, services.port("orders"), services.pid("orders"),
            Json("/v1/orders?store=demo", body, services.key, modulus=SKUS), SECONDS,
            also=(services.pid("inventory"),),
        )  # fmt: skip
        peer = Shooter(stage, port, pid, Json("/v1/orders", body, modulus=SKUS), SECONDS)
        claims = [*await placed(64, ours, peer), *await placed(16, ours, peer)]
        note = f"{await _outbox(services.database_url, stage)} events of orders waited in the outbox at the end"
    return Outcome(tuple(claims), notes=(note,))


async def placed(clients: int, ours: Shooter, peer: Shooter) -> list[Claim]:
    """Rate, slowest answers and cost."""
    rounds = await interleave(
        {OURS: partial(ours.shoot, clients), NOTHING_BEHIND: partial(peer.shoot, clients)}, ours.stage.rounds
    )
    name, judged = f"{clients} clients, {SKUS} SKUs", clients == 64
    return [
        claim_of(name, "orders/s", "per_second", rounds, goals=["place.rate", "place.bare"] if judged else []),
        claim_of(f"{name}: p99", "ms", "p99_ms", rounds, goals=["place.p99"] if judged else []),
        claim_of(f"{name}: processor time of orders and inventory", "us/order", "cpu_us", rounds),
    ]


async def _outbox(database_url: str, stage: Stage) -> str:
    return stage.sql(database_url, "select count(*) from orders.outbox").strip()
