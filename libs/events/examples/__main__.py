"""`python -m libs.events.examples`: write what is printed from the contracts; exit 1 for a breaking change.

`--check` writes nothing and exits 1 when something is not as committed.
"""

import sys
from pathlib import Path

from libs.events import examples, reference, schemas
from libs.events.contracts import EVENTS

ROOT = Path(__file__).parents[3]


def write() -> list[Path]:
    """Write examples of new events, schemas and pages; the paths that changed. Raises BreakingChange."""
    written = schemas.write_schemas() + examples.write_examples()
    for name, text in reference.pages().items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def stale() -> list[str]:
    """What is missing or not as the contracts print it."""
    found = [f"{event.TYPE}: no example" for event in EVENTS if not examples.path_of(event).exists()]
    found += [
        f"{event.TYPE}: schema" for event in EVENTS if schemas.committed_schema(event) != schemas.schema_of(event)
    ]
    found += [name for name, text in reference.pages().items() if _committed(name) != text]
    return found


def _committed(name: str) -> str | None:
    path = ROOT / name
    return path.read_text(encoding="utf-8") if path.exists() else None


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        found = stale()
        sys.stdout.write("".join(f"not up to date: {line} (make examples)\n" for line in found))
        return 1 if found else 0
    try:
        written = write()
    except schemas.BreakingChange as error:
        sys.stderr.write(f"breaking change: {error}\n")
        return 1
    sys.stdout.write("".join(f"{path.relative_to(ROOT)}\n" for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
