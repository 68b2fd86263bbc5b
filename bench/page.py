"""The generated part of bench/README.md, from results.json."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import results
from bench.claims import Claim, Verdict
from bench.goals import GOALS, Goal
from bench.results import Measured
from bench.table import COLUMNS, Row, markdown_table, number, rows_of

PAGE = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- results: written by `make bench`, do not edit -->", "<!-- end of results -->"


def write(entries: Sequence[Measured], path: Path = PAGE) -> None:
    """Put the results between the page's markers."""
    text = path.read_text(encoding="utf-8")
    path.write_text(filled(text, body(entries, results.machine_of())), encoding="utf-8")


def filled(text: str, generated: str) -> str:
    """The page with its generated part replaced. Raises ValueError for a page without markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has lost its markers")
    return f"{before}{BEGIN}\n\n{generated}\n\n{END}{after}"


def body(entries: Sequence[Measured], machine: dict[str, Any]) -> str:
    """Machine, goals, results."""
    return "\n\n".join([_machine(machine), _goals(entries), *(_measurement(entry) for entry in entries)])


def _machine(machine: dict[str, Any]) -> str:
    return (
        f"**Machine**: {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB,"
        f" {machine['system']}, Python {machine['python']}. Generator, service, peer, database and broker share it."
    )


def _goals(entries: Sequence[Measured]) -> str:
    found = verdicts_of(entries)
    rows: list[Row] = [(goal.path, goal.text, *_outcome(goal, found)) for goal in GOALS]
    met = sum(verdict.met for verdict in found.values())
    said = f"{met} met, {len(found) - met} not met, {len(GOALS) - len(found)} not measured here."
    return f"## Goals\n\n{said}\n\n" + markdown_table(("path", "goal", "measured", "verdict"), rows)


def verdicts_of(entries: Sequence[Measured]) -> dict[str, Verdict]:
    """goal id -> what became of it. A goal that several claims carry counts as its worst."""
    found: dict[str, Verdict] = {}
    claims: list[Claim] = [claim for entry in entries for claim in entry.outcome.claims]
    for verdict in (verdict for claim in claims for verdict in claim.verdicts()):
        if verdict.goal.id not in found or found[verdict.goal.id].met:
            found[verdict.goal.id] = verdict
    return found


def _outcome(goal: Goal, found: dict[str, Verdict]) -> tuple[str, str]:
    if goal.id not in found:
        return "", f"not measured: {goal.unmeasured or 'its measurement or its peer did not run'}"
    verdict = found[goal.id]
    unit = "x" if goal.against is not None else ""
    return f"{number(verdict.figure)}{unit}", "met" if verdict.met else "**not met**"


def _measurement(entry: Measured) -> str:
    rows = [row for claim in entry.outcome.claims for row in rows_of(claim)]
    notes = [
        *(claim.note for claim in entry.outcome.claims if claim.note),
        *entry.outcome.notes,
        *(f"not run: {missing}" for missing in entry.outcome.missing),
        f"measured {entry.measured_at} at {entry.commit} in {entry.seconds:.0f} s;"
        f" meanwhile others kept {entry.neighbour_cores:.2f} cores busy",
    ]
    listed = "\n".join(f"- {note}" for note in notes)
    return f"## {entry.title} (`{entry.name}`)\n\n{markdown_table(COLUMNS, rows)}\n\n{listed}"
