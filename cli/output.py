"""What a command prints: tables and sentences for people, JSON for scripts (`--json`), errors on stderr."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.table import Table

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]

people = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class CommandFailed(Exception):
    """A command could not do its work: `message` says what happened, `fix` what to do about it."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


def print_json(document: Any) -> None:
    """One line of JSON on stdout, at once."""
    print(json.dumps(document, ensure_ascii=False, default=str), file=sys.stdout, flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table for people; markup in the cells is shown as it is."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else _plain(cell) for cell in row))
    people.print(table)


def print_items(items: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, none: str) -> None:
    """A list: `{"items": [...]}` for scripts, a table or the sentence `none` for people."""
    if as_json:
        print_json({"items": items})
    elif items:
        print_table(columns, ([item.get(column) for column in columns] for item in items))
    else:
        people.print(none)


def fail(problem: CommandFailed) -> NoReturn:
    """Print the error and how to fix it, and end with exit code 1."""
    errors.print(f"opswire: {problem.message}", markup=False, style="red")
    if problem.fix:
        errors.print(f"fix: {problem.fix}", markup=False)
    raise typer.Exit(1)


def _plain(cell: object) -> str:
    text = ", ".join(map(str, cell)) if isinstance(cell, list | tuple) else str(cell)
    return text.replace("[", r"\[")
