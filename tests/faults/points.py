"""Every crash point of the code, found in the code: which process can die where."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from tests.support.guardian import ROOT

SERVICES = ("alerts", "kpi", "orders", "inventory", "reporting")

UNREACHED: Mapping[tuple[str, str], str] = {
    ("orders", "orders.before_release"): "passed only when an order is cancelled in the moment its stock is asked for",
    ("orders", "orders.after_release"): "the same",
}
"""What no run of a slice passes, and why."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place in one service."""

    service: str
    name: str

    def __str__(self) -> str:
        return f"{self.service}-{self.name}"

    @property
    def is_everywhere(self) -> bool:
        """Whether every transaction, batch or publishing passes it, so that it is passed all the time."""
        return not self.name.startswith((self.service, "ingest", "sender"))


def points() -> list[Point]:
    """Those of `libs` once for every service, those of a service for itself; without the explained ones."""
    found = {(service, name) for folder, name in _in_code() for service in _services_of(folder)}
    return [
        Point(service, name) for service in SERVICES for of, name in sorted(found - UNREACHED.keys()) if of == service
    ]


def rounds() -> list[Sequence[Point]]:
    """Every point once, in as few rounds as may be: in each, every service dies at one of its own.

    The sender of alerts comes first, since a message whose sender died is sent again only a minute later.
    """
    columns = [
        sorted((p for p in points() if p.service == service), key=lambda p: not p.name.startswith("sender"))
        for service in SERVICES
    ]
    return [[point for point in row if point is not None] for row in zip_longest(*columns)]


def unknown_explanations() -> set[tuple[str, str]]:
    """Explained points that are not in the code any more."""
    return UNREACHED.keys() - {(service, name) for folder, name in _in_code() for service in _services_of(folder)}


def _services_of(folder: str) -> tuple[str, ...]:
    return SERVICES if folder == "libs" else (folder.removeprefix("services/"),)


def _in_code() -> Iterator[tuple[str, str]]:
    """("libs" or "services/x", name) of every call of `crash_point`."""
    for path in sorted([*ROOT.glob("libs/**/*.py"), *ROOT.glob("services/**/*.py")]):
        parts = path.relative_to(ROOT).parts
        folder = "libs" if parts[0] == "libs" else "/".join(parts[:2])
        for name in _called(path):
            yield folder, name


def _called(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "crash_point":
            (name,) = node.args
            assert isinstance(name, ast.Constant), f"{path}:{node.lineno}: a crash point is named in words"
            yield str(name.value)
