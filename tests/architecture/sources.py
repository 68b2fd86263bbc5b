"""The product's source code, parsed once, for rules that import-linter cannot see."""

import ast
import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("libs", "services", "cli")


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file; `name` is its path from the root."""

    name: str
    tree: ast.Module

    @property
    def module(self) -> str:
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def service(self) -> str:
        """The service that it belongs to, or nothing."""
        parts = self.name.split("/")
        return parts[1] if parts[0] == "services" and len(parts) > 2 else ""

    def calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Every call with the dotted name of what is called (`asyncio.create_task`, `self.engine.begin`)."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield dotted(node.func), node

    def imports(self) -> Iterator[tuple[str, int]]:
        """Everything imported, with its line; `from a import b` gives `a.b`, be it a module or a name in one."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)

    def texts(self) -> Iterator[tuple[str, int]]:
        """Every string that is not a docstring, f-strings with `{}` for their values."""
        hidden = _docstrings(self.tree)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.JoinedStr):
                hidden |= {id(value) for value in node.values}
                yield _joined(node), node.lineno
        for node in ast.walk(self.tree):
            if id(node) not in hidden and isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value, node.lineno


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an expression; what is not a name is shown as `?`."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def _docstrings(tree: ast.Module) -> set[int]:
    found = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                found.add(id(statement.value))
    return found


def _joined(node: ast.JoinedStr) -> str:
    parts = [value.value if isinstance(value, ast.Constant) else "{}" for value in node.values]
    return "".join(str(part) for part in parts)


@functools.cache
def sources() -> tuple[Source, ...]:
    """Every Python file of the product."""
    paths = sorted(path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))
    return tuple(Source(str(p.relative_to(ROOT)), ast.parse(p.read_text(encoding="utf-8"))) for p in paths)


def parsed(code: str, name: str = "services/orders/handlers.py") -> Source:
    """A source made up by a test, to show that its rule can fail."""
    return Source(name, ast.parse(code))


@functools.cache
def files() -> tuple[str, ...]:
    """Every file of the repository, also those not committed yet, but none that git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(name for name in listed.stdout.splitlines() if (ROOT / name).is_file())
