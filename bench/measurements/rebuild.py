"""Figures anew from the journal, compared row by row with the live ones, beside the live path on the same events."""

from bench.claims import Outcome, claim_of
from bench.goals import LIVE
from bench.rounds import Sample, interleave
from bench.stage import CannotMeasure, Stage
from bench.waiting import Waiting

OURS = "opswire, rebuild and proof"
EVENTS = 30_000


async def measure(stage: Stage) -> Outcome:
    """One installation that has caught up is rebuilt again and again; the live path folds the same events anew."""
    waiting = await Waiting.prepare(stage, EVENTS, stage.kafka)
    folded = stage.copy_of(waiting.template)
    await waiting.catch_up(folded)

    async def rebuild() -> Sample:
        sample: Sample = await waiting.run("bench.workers.rebuild", folded)
        if not sample["identical"]:
            raise CannotMeasure("the rebuild differs from the live figures")
        return sample

    rounds = await interleave({OURS: rebuild, LIVE: waiting.roll_up}, stage.rounds)
    return Outcome(
        (
            claim_of("journal to figures, and proof", "events/s", "per_second", rounds,
                     goals=["rebuild.rate", "rebuild.live"]),
            claim_of("events per second of one core", "events/s", "per_core", rounds),
        ),
        notes=(f"all {stage.rounds} rebuilds of {EVENTS:,} events were identical with the live tables",),
    )  # fmt: skip
