"""`python -m bench`: measure, print the table, write bench/results.json and the tables of bench/README.md."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

import uvloop

from bench import page, results
from bench.catalogue import MEASUREMENTS, Measurement
from bench.claims import Outcome
from bench.machine import Neighbours
from bench.results import Measured
from bench.rounds import ROUNDS
from bench.stage import CannotMeasure, Stage, open_stage
from bench.table import COLUMNS, rows_of, text_table
from cli.up import until_stopped


def main() -> int:
    arguments = _arguments()
    if arguments.page:
        page.write(results.load())
        return 0
    chosen = [m for m in MEASUREMENTS if not arguments.only or m.name in arguments.only]
    with (
        open_stage(1 if arguments.quick else ROUNDS) as stage,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        run = Run()
        runner.run(run.measure(chosen, stage))
    entries = results.merged(results.load(), run.new, [m.name for m in MEASUREMENTS])
    if not (arguments.dry or arguments.quick):
        results.save(entries)
        page.write(entries)
    return 1 if len(run.new) < len(chosen) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [m.name for m in MEASUREMENTS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="one round of each, to see that it works; keeps nothing")
    parser.add_argument("--dry", action="store_true", help="print, but keep results.json and README.md as they are")
    parser.add_argument("--page", action="store_true", help="measure nothing: write README.md from results.json")
    return parser.parse_args()


@dataclass
class Run:
    """What a run has found so far."""

    new: list[Measured] = field(default_factory=list)

    async def measure(self, chosen: Sequence[Measurement], stage: Stage) -> None:
        """One after the other; Ctrl-C and SIGTERM end it with what there is."""
        with until_stopped():
            for measurement in chosen:
                print(f"\n{measurement.name}: {measurement.title} ...", file=sys.stderr, flush=True)
                await self._measure_one(measurement, stage)

    async def _measure_one(self, one: Measurement, stage: Stage) -> None:
        began, neighbours = monotonic(), Neighbours.watch()
        try:
            outcome = await one.measure(stage)
        except CannotMeasure as problem:
            print(f"{one.name} could not be measured: {problem}", file=sys.stderr)
            return
        entry = results.measured(one.name, one.title, outcome, monotonic() - began, neighbours.cores())
        _print(entry, outcome)
        self.new.append(entry)


def _print(entry: Measured, outcome: Outcome) -> None:
    print(f"\n{entry.title} ({entry.seconds:.0f} s, others used {entry.neighbour_cores:.2f} cores)\n")
    print(text_table(COLUMNS, [row for claim in outcome.claims for row in rows_of(claim)]))
    for note in (*outcome.notes, *(f"not run: {missing}" for missing in outcome.missing)):
        print(f"  {note}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
