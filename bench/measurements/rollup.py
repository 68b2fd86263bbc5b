"""From the bus to exact figures, journal and position: the real kpi service catching up on real PostgreSQL.

Ours counts visitors and views by hour, day, week and month, by channel, source, device and SKU, sessions and bounces,
removes repeats by id, keeps the journal and the history of every figure. The peers count views by hour (bytewax also
visitors), remove no repeats (Kafka Streams does) and write to no database. Ceiling and floor say between what any of it
can lie.
"""

from functools import partial

from bench.claims import Claim, Outcome, claim_of
from bench.goals import BYTEWAX, FAUST, QUIX, STREAMS
from bench.rounds import Contender, Sample, interleave
from bench.stage import CannotMeasure, Stage
from bench.waiting import Waiting

CEILING, FLOOR = "dict loop, events in memory", "one event a transaction"
TOPIC = "traffic"

ON_KAFKA, ON_POSTGRES, BY_QUIX, BY_FAUST, IN_MEMORY, ONE_BY_ONE = 100_000, 40_000, 60_000, 20_000, 200_000, 1_000


async def measure(stage: Stage) -> Outcome:
    """Both buses, the streaming peers that install, ceiling and floor, round by round."""
    on_kafka = await Waiting.prepare(stage, ON_KAFKA, stage.kafka)
    on_postgres = await Waiting.prepare(stage, ON_POSTGRES, "")
    peers, missing = streaming_peers(stage, on_kafka)
    contenders: dict[str, Contender] = {
        "kafka": on_kafka.roll_up,
        "postgres": on_postgres.roll_up,
        **peers,
        CEILING: partial(stage.worker, "bench.peers.dict_loop", str(IN_MEMORY)),
        FLOOR: partial(stage.worker, "bench.peers.one_by_one", await stage.database(), str(ONE_BY_ONE)),
    }
    await check(contenders, missing)
    rounds = await interleave(contenders, stage.rounds)
    return Outcome(tuple(claims(rounds)), notes=(_note(rounds),), missing=tuple(missing))


async def check(contenders: dict[str, Contender], missing: list[str]) -> None:
    """Take out the peers that do not run here; whatever of ours does not run is an error."""
    for name in (BYTEWAX, QUIX, FAUST, STREAMS):
        if name in contenders:
            try:
                await contenders[name]()
            except CannotMeasure as problem:
                missing.append(f"{name}: {str(problem).splitlines()[-1]}")
                del contenders[name]


def claims(rounds: dict[str, list[Sample]]) -> list[Claim]:
    """What the rounds say."""
    peers = {name: samples for name, samples in rounds.items() if name not in ("kafka", "postgres")}
    kafka, postgres = rounds["kafka"], rounds["postgres"]
    wanted = {BYTEWAX: "rollup.bytewax", QUIX: "rollup.quix", FAUST: "rollup.faust", STREAMS: "rollup.streams"}
    goals = ["rollup.kafka", *(goal for name, goal in wanted.items() if name in peers)]
    jvm = {STREAMS: peers[STREAMS]} if STREAMS in peers else {}
    both = {"opswire": kafka, "opswire, PostgreSQL bus": postgres}
    return [
        claim_of("Kafka to figures", "events/s", "per_second", {"opswire": kafka, **peers}, goals=goals),
        claim_of(
            "PostgreSQL bus to figures", "events/s", "per_second",
            {"opswire": postgres, FLOOR: rounds[FLOOR], "opswire, Kafka": kafka}, goals=["rollup.postgres"],
        ),
        claim_of("events per second of one core, consumer process", "events/s", "per_core", {**both, **peers}),
        claim_of("processor time of PostgreSQL", "us/event", "database_us", both),
        claim_of(
            "memory of the consumer process", "MB", "rss_mb", {**both, **jvm}, goals=["rollup.memory"] if jvm else [],
        ),
    ]  # fmt: skip


def _note(rounds: dict[str, list[Sample]]) -> str:
    sizes = [f"{max(sample['batch'] for sample in rounds[name]):,.0f} ({name})" for name in ("kafka", "postgres")]
    return f"events a batch while catching up: {', '.join(sizes)}"


def streaming_peers(stage: Stage, waiting: Waiting) -> tuple[dict[str, Contender], list[str]]:
    """Those that are installed; reasons for those that are not."""
    python, topic = stage.peers.python, waiting.prefix + TOPIC
    jvm = partial(stage.worker, "bench.peers.kafka_streams_table", waiting.kafka, topic, str(ON_KAFKA))
    if python is None:
        return {STREAMS: jvm}, [f"{BYTEWAX}, {QUIX}, {FAUST}: {stage.peers.reason}"]
    return {
        STREAMS: jvm,
        BYTEWAX: partial(stage.worker, "bench.peers.bytewax_windows", waiting.kafka, topic, python=python),
        QUIX: partial(stage.worker, "bench.peers.quix_windows", waiting.kafka, topic, str(BY_QUIX), python=python),
        FAUST: partial(stage.worker, "bench.peers.faust_table", waiting.kafka, topic, str(BY_FAUST), python=python),
    }, []
