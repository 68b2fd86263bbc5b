"""`opswire import`: real files in, with a dry run, progress, rate and ETA."""

import csv
import hashlib
import time
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.command import command
from cli.importers import online_retail
from cli.importers.bar import progress
from cli.importers.feed import open_feed
from cli.importers.online_retail import BadRow
from cli.importers.orders import import_orders
from cli.importers.service import import_service
from cli.importers.stock import import_stock
from cli.importers.traffic import import_traffic
from cli.installation import DataOption, find_installation
from cli.output import CommandFailed, JsonOption, people, print_json
from cli.stores import ensure_store

app = typer.Typer(help="Bring real files in, through the front doors.", no_args_is_help=True)
app.command("orders")(import_orders)
app.command("stock")(import_stock)
app.command("service")(import_service)
app.command("traffic")(import_traffic)


@app.command("online-retail")
@command
async def import_online_retail(
    file: Annotated[Path, typer.Argument(help="The CSV file, gzipped or not.", exists=True, dir_okay=False)],
    store: Annotated[str, typer.Option(help="The store, made if it is new (Europe/London, GBP).")] = "online-retail",
    opening: Annotated[
        int | None, typer.Option(help="Opening stock of every SKU (default: what the file needs).", min=0)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and sort the lines, send nothing.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay the "Online Retail" file: orders, returns, write-offs and found stock, each for what it is.

    Running it again changes nothing.
    """
    started = time.monotonic()
    try:
        planned = online_retail.plan(online_retail.read_rows(file), opening)
    except (BadRow, OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as problem:
        raise CommandFailed(f"{file.name}: {problem}", "nothing was sent; mend the file and run it again") from problem
    told: dict[str, Any] = {**asdict(planned.summary), "rounding": str(planned.summary.rounding), "dry_run": dry_run}
    if not dry_run:
        installation = find_installation(data)
        await ensure_store(installation, store, timezone="Europe/London", currency="GBP", language="en")
        lines = sum(len(record.get("lines", ())) or 1 for record in planned.orders)
        with progress(lines, quiet=as_json) as done:
            async with open_feed(installation, store, _import_id(file, opening)) as feed:
                told["sent"] = await feed.run(planned, done)
        told["seconds"] = round(time.monotonic() - started, 1)
    _tell(told, as_json=as_json)


def _import_id(file: Path, opening: int | None) -> str:
    """The same file with the same options is the same import."""
    digest = hashlib.sha256(file.read_bytes() + str(opening).encode()).hexdigest()
    return f"online-retail-{digest[:16]}"


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    people.print(
        f"{told['lines']:,} lines: {told['orders']:,} orders of {told['units']:,} units,"
        f" {told['sales_cents'] / 100:,.2f} {online_retail.CURRENCY} (and {told['rounding']} of rounding);"
        f" {told['returns_matched']:,} lines returned of a purchase, {told['returns_unmatched']:,} without one;"
        f" {told['written_off_lines']:,} written off, {told['found_lines']:,} found, {told['gift_lines']:,} given away,"
        f" {told['bookkeeping_lines']:,} of bookkeeping",
        markup=False,
    )
    if told["dry_run"]:
        people.print("nothing was sent (--dry-run)")
    else:
        people.print(f"in {told['seconds']:.0f} s: {told['sent']}", markup=False)
