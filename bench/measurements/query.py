"""Questions about a year of figures over HTTP, one client, against SQL that reads the same figure rows and no more."""

from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter

import asyncpg
import httpx2

from bench.claims import Claim, Outcome, claim_of
from bench.rounds import Sample, interleave
from bench.series import quantile
from bench.stage import CannotMeasure, Stage
from bench.waiting import Waiting

OURS, SQL = "opswire", "SQL of the same rows"
EVENTS, DAYS, SKUS = 60_000, 365, 500
CALLS = 20
YEAR = {"from": "2024-07-01", "to": "2025-06-30"}
ROWS = "select bucket, value, shard, measures from kpi.figure where store = 'demo' and grain = $1 and by = $2"

Ask = Callable[[], Awaitable[None]]


async def measure(stage: Stage) -> Outcome:
    """A year of page views is folded once, then asked for."""
    waiting = await Waiting.prepare(stage, EVENTS, "", days=DAYS)
    await waiting.catch_up(waiting.template)
    connection = await asyncpg.connect(waiting.template.replace("+asyncpg", ""))
    try:
        async with (
            stage.services("kpi", database_url=waiting.template) as service,
            service.client("kpi") as client,
        ):
            by_channel = await _asked(
                "a year by channel and day", partial(_call, client, "day", "channel"),
                partial(_read, connection, "day", "channel"), stage.rounds, "query.channel",
            )  # fmt: skip
            by_sku = await _asked(
                f"a year by SKU ({SKUS}) and month", partial(_call, client, "month", "sku"),
                partial(_read, connection, "month", "sku"), stage.rounds, "query.sku",
            )  # fmt: skip
    finally:
        await connection.close()
    return Outcome((by_channel, by_sku), notes=(f"{EVENTS:,} page views on {DAYS} days",))


async def _asked(name: str, ours: Ask, sql: Ask, rounds: int, goal: str) -> Claim:
    samples = await interleave({OURS: partial(_waits, ours), SQL: partial(_waits, sql)}, rounds)
    return claim_of(f"{name}: median wait", "ms", "p50_ms", samples, goals=[goal])


async def _waits(ask: Ask) -> Sample:
    waits = []
    for _ in range(CALLS):
        began = perf_counter()
        await ask()
        waits.append(1000 * (perf_counter() - began))
    return {"p50_ms": quantile(sorted(waits), 0.5)}


async def _call(client: httpx2.AsyncClient, grain: str, by: str) -> None:
    answer = await client.get("/v1/kpis/uv", params={**YEAR, "grain": grain, "by": by})
    if answer.status_code != 200 or not answer.json()["series"]:
        raise CannotMeasure(f"the figures were answered with {answer.status_code}: {answer.text[:200]}")


async def _read(connection: "asyncpg.Connection[asyncpg.Record]", grain: str, by: str) -> None:
    if not await connection.fetch(ROWS, grain, by):
        raise CannotMeasure(f"there are no figures by {by} and {grain}")
