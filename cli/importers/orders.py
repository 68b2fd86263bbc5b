"""`opswire import orders`: a file of orders of any size, checked whole before anything of it is sent (D54)."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.command import command
from cli.importers.bar import progress
from cli.importers.feed import Feed, open_feed
from cli.importers.parts import KINDS, Part, kind_of, split
from cli.installation import DataOption, find_installation
from cli.output import CommandFailed, JsonOption, people, print_json, print_table
from cli.platform_client import answered
from libs.service.errors import Problem
from libs.service.order_files import refused_rows

COUNTS = ("orders", "new", "changed", "unchanged", "returns", "refunds", "quarantined_count", "error_count")
SHOWN = 20

Told = dict[str, Any]


@command
async def import_orders(
    file: Annotated[Path, typer.Argument(help=f"CSV, XLSX or JSON lines ({', '.join(KINDS)}).", exists=True)],
    store: Annotated[str, typer.Option(help="The store.")] = "demo",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every row, import nothing.")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Import the whole good orders, leave the others.")] = False,
    refused: Annotated[
        Path | None, typer.Option("--errors", help="Write the refused rows there, each with its reason.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring in orders of marketplaces; headers in Chinese or English, UTF-8 or GB18030.

    Every row is checked first. With an error nothing is imported (exit code 1), unless --partial. Running it again
    changes nothing.
    """
    content = file.read_bytes()
    media_type = _kind(file)
    parts = _parts(file, media_type, content)
    rows = sum(len(part.rows) for part in parts)
    digest = hashlib.sha256(content).hexdigest()
    async with open_feed(find_installation(data), store, f"orders-{digest[:16]}") as feed:
        with progress(rows, quiet=as_json, what="checking") as done:
            told = await _send(feed, parts, done, dry_run="true")
        if refused is not None and told["errors"]:
            refused.write_bytes(refused_rows(media_type, content, told["errors"], "zh")[1])
        may_import = partial or not told["errors"]
        if may_import and not dry_run:
            with progress(rows, quiet=as_json, what="importing") as done:
                told = await _import(feed, parts, done, partial=partial)
    _tell({**told, "rows": rows, "dry_run": dry_run, "imported": may_import and not dry_run}, as_json=as_json)
    if told["errors"] and not (partial and not dry_run):
        raise CommandFailed(f"{told['error_count']} errors: nothing was imported", "mend the rows, or use --partial")


def _kind(file: Path) -> str:
    kind = kind_of(file)
    if kind is None:
        raise CommandFailed(f"{file.name}: what is in it cannot be told", f"name it {', '.join(KINDS)}")
    return kind


def _parts(file: Path, media_type: str, content: bytes) -> list[Part]:
    try:
        return split(media_type, content)
    except Problem as problem:
        raise CommandFailed(f"{file.name}: {problem}", "nothing was sent; mend the file and run it again") from problem


async def _import(feed: Feed, parts: Sequence[Part], done: Any, *, partial: bool) -> Told:
    await feed.begin()
    try:
        told = await _send(feed, parts, done, partial="true" if partial else "false")
        await feed.applied(feed.inventory, "inventory", "orders")
        await feed.applied(feed.kpi, "kpi", "orders")
    finally:
        await feed.end()
    return told


async def _send(feed: Feed, parts: Sequence[Part], done: Any, **params: str) -> Told:
    """Send every part; the counts together, the errors with the rows of the file."""
    told: Told = {**dict.fromkeys(COUNTS, 0), "errors": []}
    for part in parts:
        answer = await feed.send_orders(part.content, part.media_type, **params)
        body = answered(answer)
        for name in COUNTS:
            told[name] += body[name]
        told["errors"] += [_error(part, error) for error in body["errors"]]
        done("rows", len(part.rows))
    told["errors"].sort(key=lambda error: error["row"])
    return told


def _error(part: Part, error: Told) -> Told:
    return {**{name: error[name] for name in ("column", "code", "message")}, "row": part.row(error["row"])}


def _tell(told: Told, *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    people.print(
        f"{told['rows']:,} rows: {told['orders']:,} orders ({told['new']:,} new, {told['changed']:,} changed,"
        f" {told['unchanged']:,} known), {told['returns']:,} returns, {told['refunds']:,} refunds,"
        f" {told['quarantined_count']:,} dated in the future, {told['error_count']:,} errors",
        markup=False,
    )
    if told["errors"]:
        shown = told["errors"][:SHOWN]
        print_table(("row", "column", "message"), ((e["row"], e["column"], e["message"]) for e in shown))
    if not told["imported"]:
        people.print("nothing was imported" + (" (--dry-run)" if told["dry_run"] else ""))
