"""The outbox relay with a full table: rows a second to Kafka and to the PostgreSQL bus, against row by row."""

from functools import partial

from bench.claims import Outcome, claim_of
from bench.goals import ROW_BY_ROW
from bench.rounds import Contender, Sample, interleave
from bench.stage import Stage, installation, new_prefix

OURS, ON_POSTGRES = "opswire", "opswire, PostgreSQL bus"
ROWS, ROWS_ONE_BY_ONE = 40_000, 400


async def measure(stage: Stage) -> Outcome:
    """Every round fills the outbox anew."""
    database, elsewhere, prefix = await stage.database(), await stage.database(), new_prefix()
    on_kafka = installation(database, stage.kafka, prefix)

    async def relay(environment: dict[str, str]) -> Sample:
        sample: Sample = await stage.worker("bench.workers.relay", str(ROWS), environment=environment)
        return sample

    async def row_by_row() -> Sample:
        arguments = (database, stage.kafka, prefix + "orders", str(ROWS_ONE_BY_ONE))
        sample: Sample = await stage.worker("bench.peers.row_relay", *arguments)
        return sample

    await relay(on_kafka)  # makes the topics
    contenders: dict[str, Contender] = {
        OURS: partial(relay, on_kafka),
        ROW_BY_ROW: row_by_row,
        ON_POSTGRES: partial(relay, installation(elsewhere)),
    }
    rounds = await interleave(contenders, stage.rounds)
    return Outcome(
        (
            claim_of("outbox to Kafka", "rows/s", "per_second", rounds, goals=["relay.rate", "relay.rows"]),
            claim_of("rows per second of one core, relay process", "rows/s", "per_core", rounds),
        )
    )
