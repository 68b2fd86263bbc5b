"""bench/results.json: what was measured last, one entry a measurement; `ONLY=` replaces the entries it ran."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.claims import Outcome, from_json, to_json

RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement's outcome, with how long it took and how busy others kept the machine."""

    name: str
    title: str
    outcome: Outcome
    seconds: float
    neighbour_cores: float
    measured_at: str
    commit: str


def measured(name: str, title: str, outcome: Outcome, seconds: float, neighbour_cores: float) -> Measured:
    """An outcome as of now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Measured(name, title, outcome, round(seconds, 1), round(neighbour_cores, 2), now, _commit())


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=RESULTS.parent
    )
    return done.stdout.strip() or "unknown"


def load(path: Path = RESULTS) -> list[Measured]:
    """What was kept; nothing when there is no file."""
    if not path.exists():
        return []
    return [_from_json(entry) for entry in json.loads(path.read_text(encoding="utf-8"))["measurements"]]


def merged(kept: Sequence[Measured], new: Sequence[Measured], order: Sequence[str]) -> list[Measured]:
    """The new ones in place of the kept ones of the same name, in the catalogue's order; what it lost is left out."""
    by_name = {one.name: one for one in (*kept, *new)}
    return [by_name[name] for name in order if name in by_name]


def save(entries: Sequence[Measured], path: Path = RESULTS) -> None:
    """Write the file anew."""
    document = {"machine": machine.describe(), "measurements": [_to_json(entry) for entry in entries]}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def machine_of(path: Path = RESULTS) -> dict[str, Any]:
    """The machine of the last run."""
    described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["machine"]
    return described


def _to_json(entry: Measured) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": entry.title,
        "measured_at": entry.measured_at,
        "commit": entry.commit,
        "seconds": entry.seconds,
        "neighbour_cores": entry.neighbour_cores,
        "claims": [to_json(claim) for claim in entry.outcome.claims],
        "notes": list(entry.outcome.notes),
        "missing": list(entry.outcome.missing),
    }


def _from_json(entry: Mapping[str, Any]) -> Measured:
    claims = tuple(from_json(claim) for claim in entry["claims"])
    outcome = Outcome(claims, tuple(entry["notes"]), tuple(entry["missing"]))
    return Measured(
        entry["name"],
        entry["title"],
        outcome,
        entry["seconds"],
        entry["neighbour_cores"],
        entry["measured_at"],
        entry["commit"],
    )
