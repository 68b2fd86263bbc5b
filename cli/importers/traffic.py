"""`opswire import traffic`: storefront traffic of the past, checked whole before anything is sent (D63)."""

import hashlib
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from cli.command import command
from cli.importers.bar import progress
from cli.importers.feed import Feed, open_feed
from cli.importers.parts import KINDS, kind_of
from cli.importers.traffic_file import AT_ONCE, Event, Source, Wrong, read_events
from cli.installation import DataOption, find_installation
from cli.output import CommandFailed, JsonOption, people, print_json, print_table
from cli.platform_client import answered
from libs.service.errors import Problem

SHOWN = 20


@command
async def import_traffic(
    file: Annotated[Path, typer.Argument(help=f"CSV, XLSX or JSON lines ({', '.join(KINDS)}).", exists=True)],
    store: Annotated[str, typer.Option(help="The store.")] = "demo",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every row, import nothing.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring in page views, carts, favourites and checkouts; headers in Chinese or English, UTF-8 or GB18030.

    Every row is checked first: with an error nothing is sent (exit code 1). Times without an offset are the store's.
    Running it again changes nothing.
    """
    content = file.read_bytes()
    name = f"traffic-{hashlib.sha256(content).hexdigest()[:16]}"
    async with open_feed(find_installation(data), store, name) as feed:
        source = Source(name, store, await _zone(feed), name)
        events, wrong = _read(file, content, source)
        told: dict[str, Any] = {"events": len(events), "dry_run": dry_run, "errors": [_json(one) for one in wrong]}
        if not wrong and not dry_run:
            with progress(len(events), quiet=as_json, what="events") as done:
                await _send(feed, events, done)
    _tell(told, wrong, as_json=as_json)
    if wrong:
        raise CommandFailed(f"{len(wrong)} errors: nothing was sent", "mend the rows and run it again")


async def _zone(feed: Feed) -> ZoneInfo:
    """The store's own time."""
    answer = answered(await feed.kpi.get("/v1/kpis/uv", params={"store": feed.store}))
    return ZoneInfo(answer["timezone"])


def _read(file: Path, content: bytes, source: Source) -> tuple[list[Event], list[Wrong]]:
    kind = kind_of(file)
    if kind is None:
        raise CommandFailed(f"{file.name}: what is in it cannot be told", f"name it {', '.join(KINDS)}")
    try:
        return read_events(kind, content, source)
    except Problem as problem:
        raise CommandFailed(f"{file.name}: {problem}", "nothing was sent; mend the file and run it again") from problem


async def _send(feed: Feed, events: list[Event], done: Any) -> None:
    await feed.begin()
    try:
        for start in range(0, len(events), AT_ONCE):
            chunk = events[start : start + AT_ONCE]
            await feed.send_traffic(chunk)
            done("events", len(chunk))
        await feed.applied(feed.kpi, "kpi", "traffic")
    finally:
        await feed.end()


def _json(wrong: Wrong) -> dict[str, Any]:
    return {"row": wrong.row, "column": wrong.column, "message": wrong.message}


def _tell(told: dict[str, Any], wrong: list[Wrong], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    people.print(f"{told['events']:,} events, {len(wrong):,} errors", markup=False)
    if wrong:
        print_table(("row", "column", "message"), ((one.row, one.column, one.message) for one in wrong[:SHOWN]))
    if wrong or told["dry_run"]:
        people.print("nothing was sent" + (" (--dry-run)" if told["dry_run"] else ""))
