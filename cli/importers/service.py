"""`opswire import service`: conversations, complaints, ratings and reviews of another system (D63)."""

import hashlib
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.command import command
from cli.importers.bar import progress
from cli.importers.feed import Feed, open_feed
from cli.importers.service_file import KINDS, Plan, plan
from cli.installation import DataOption, find_installation
from cli.output import CommandFailed, JsonOption, people, print_json, print_table
from cli.platform_client import answered
from libs.service.errors import Problem

BATCH = 1_000
SHOWN = 20


@command
async def import_service(
    file: Annotated[Path, typer.Argument(help=f"CSV, XLSX or JSON lines ({', '.join(KINDS)}).", exists=True)],
    store: Annotated[str, typer.Option(help="The store.")] = "demo",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every row, send nothing.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring in customer-service events: JSON lines of CloudEvents, or a table with the same names as columns.

    A table has id, type, time, source and the fields of the events; id and source may be left out. Every row is checked
    first: with an error nothing is sent (exit code 1). Running it again changes nothing. Breaches of the past are
    recorded and told to nobody.
    """
    started = time.monotonic()
    content = file.read_bytes()
    import_id = f"service-{hashlib.sha256(content).hexdigest()[:16]}"
    made = _plan(file, content, store, import_id)
    told: dict[str, Any] = {
        "import_id": import_id,
        "events": len(made.events),
        "errors": [asdict(error) for error in made.errors],
        "dry_run": dry_run,
        "accepted": 0,
    }
    if not made.errors and not dry_run:
        async with open_feed(find_installation(data), store, import_id) as feed:
            with progress(len(made.events), quiet=as_json, what="events") as done:
                told["accepted"] = await _send(feed, made, done)
    told["seconds"] = round(time.monotonic() - started, 1)
    _tell(told, as_json=as_json)
    if made.errors:
        raise CommandFailed(f"{len(made.errors)} errors: nothing was sent", "mend the rows and run it again")


def _plan(file: Path, content: bytes, store: str, import_id: str) -> Plan:
    kind = KINDS.get(file.suffix.lower())
    if kind is None:
        raise CommandFailed(f"{file.name}: what is in it cannot be told", f"name it {', '.join(KINDS)}")
    try:
        return plan(kind, content, store=store, import_id=import_id)
    except Problem as problem:
        raise CommandFailed(f"{file.name}: {problem}", "nothing was sent; mend the file and run it again") from problem


async def _send(feed: Feed, made: Plan, done: Any) -> int:
    """Send everything under one import; return when clocks and figures have it."""
    accepted = 0
    await feed.begin()
    try:
        for n in range(0, len(made.events), BATCH):
            batch = made.events[n : n + BATCH]
            accepted += int(answered(await feed.send_service(batch))["accepted"])
            done("events", len(batch))
        await feed.applied(feed.alerts, "alerts", "service")
        await feed.applied(feed.kpi, "kpi", "service")
    finally:
        await feed.end()
    return accepted


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    people.print(f"{told['events']:,} events, {len(told['errors']):,} errors; {told['accepted']:,} sent", markup=False)
    if told["errors"]:
        shown = told["errors"][:SHOWN]
        print_table(("row", "column", "message"), ((e["row"], e["column"], e["message"]) for e in shown))
    if told["dry_run"]:
        people.print("nothing was sent (--dry-run)")
