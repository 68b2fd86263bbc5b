"""The progress of an import: a bar with rate and ETA on stderr."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.importers.feed import Progress as Done
from cli.output import errors


@contextmanager
def progress(lines: int, *, quiet: bool, what: str = "orders and returns") -> Iterator[Done]:
    """A bar with rate and ETA on stderr."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f} lines/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, disable=quiet) as bar:
        task = bar.add_task(what, total=lines, rate=0.0)
        started = time.monotonic()

        def done(_what: str, some: int) -> None:
            bar.advance(task, some)
            bar.update(task, rate=bar.tasks[0].completed / max(0.001, time.monotonic() - started))

        yield done
