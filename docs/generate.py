"""Write what the code can print (`make docs`), or say what is out of date (`make check`).

Each entry of GENERATED is a file and the function that gives its text; one more page is one more line.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from cli import settings_catalogue
from docs import pages
from libs.events.examples import __main__ as contracts

ROOT = Path(__file__).resolve().parents[1]

GENERATED: Mapping[str, Callable[[], str]] = {
    ".env.example": settings_catalogue.env_example,
    "docs/reference/settings.md": settings_catalogue.reference_page,
    "docs/reference/subscriptions.md": pages.subscriptions,
    "docs/reference/calls.md": pages.routes,
    "docs/reference/kpis.md": pages.kpis,
    "docs/reference/rules.md": pages.rules,
    "docs/reference/metrics.md": pages.metrics,
    "docs/reference/proofs.md": pages.proofs,
    "docs/reference/commands.md": pages.commands,
}


def stale() -> list[str]:
    """The generated files whose text is not what the code would print now."""
    return [name for name, text in GENERATED.items() if _present(ROOT / name) != text()]


def write() -> list[str]:
    """Write the files that are out of date; gives their names."""
    names = stale()
    for name in names:
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(GENERATED[name](), encoding="utf-8")
    return names


def _present(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        names = stale()
        for name in names:
            sys.stderr.write(f"out of date: {name} (make docs)\n")
        return contracts.main(["--check"]) or int(bool(names))
    for name in write():
        sys.stdout.write(f"{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
