"""`opswire import stock`: SKUs, receipts, adjustments and counts from a file, checked whole before anything is sent."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.command import command
from cli.importers.bar import progress
from cli.importers.feed import Feed, open_feed
from cli.importers.stock_file import JSON_LINES, BadRow, CountOptions, Plan, plan, read_rows
from cli.installation import DataOption, find_installation
from cli.output import CommandFailed, JsonOption, people, print_json, print_table
from cli.platform_client import answered
from libs.service.errors import Problem
from libs.service.sheets import CSV, XLSX

KINDS: Mapping[str, str] = {
    ".csv": CSV,
    ".xlsx": XLSX,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON_LINES,
}
SHOWN = 20
PAGE = 500


@command
async def import_stock(
    file: Annotated[Path, typer.Argument(help=f"CSV, XLSX or JSON lines ({', '.join(KINDS)}).", exists=True)],
    store: Annotated[str, typer.Option(help="The store.")] = "demo",
    warehouse: Annotated[str, typer.Option(help="Where it was counted, unless the rows say.")] = "main",
    as_of: Annotated[
        datetime | None, typer.Option(help="When it was counted (UTC), unless the rows say; default: the file's time.")
    ] = None,
    source: Annotated[str, typer.Option(help="Who counted: erp or person.")] = "erp",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every row, show a count's differences.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring in SKUs, receipts, adjustments and counts; headers in Chinese or English, UTF-8 or GB18030.

    A row with on_hand (实盘数) is counted stock, with quantity (数量) and reason (原因) an adjustment, with quantity
    alone a receipt, with neither a SKU. Every row is checked first: with an error nothing is sent (exit code 1).
    Running it again changes nothing.
    """
    content = file.read_bytes()
    made = _plan(file, content, _options(file, content, warehouse, as_of, source))
    async with open_feed(find_installation(data), store, f"stock-{_digest(content)}") as feed:
        if not made.errors:
            made.errors += await _unknown(feed, made)
        told: dict[str, Any] = {**made.counts, "dry_run": dry_run, "errors": [asdict(error) for error in made.errors]}
        if not made.errors:
            with progress(sum(made.counts.values()), quiet=as_json, what="stock") as done:
                told["differences"] = await _send(feed, made, done, dry_run=dry_run)
    _tell(told, as_json=as_json)
    if made.errors:
        raise CommandFailed(f"{len(made.errors)} errors: nothing was sent", "mend the rows and run it again")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _options(file: Path, content: bytes, warehouse: str, as_of: datetime | None, source: str) -> CountOptions:
    if source not in ("erp", "person"):
        raise CommandFailed("--source is erp or person")
    written = datetime.fromtimestamp(int(file.stat().st_mtime), UTC)
    return CountOptions(f"stock-{_digest(content)}", as_of.replace(tzinfo=UTC) if as_of else written, warehouse, source)


def _plan(file: Path, content: bytes, options: CountOptions) -> Plan:
    kind = KINDS.get(file.suffix.lower())
    if kind is None:
        raise CommandFailed(f"{file.name}: what is in it cannot be told", f"name it {', '.join(KINDS)}")
    try:
        return plan(read_rows(kind, content), options)
    except Problem as problem:
        raise CommandFailed(f"{file.name}: {problem}", "nothing was sent; mend the file and run it again") from problem


async def _unknown(feed: Feed, made: Plan) -> list[BadRow]:
    """The rows about SKUs that neither the catalogue nor the file knows; a count names them itself."""
    if not made.wanted:
        return []
    known: set[str] = set()
    cursor: dict[str, str] = {}
    while True:
        page = answered(
            await feed.inventory.get("/v1/skus", params={"store": feed.store, "limit": str(PAGE), **cursor})
        )
        known |= {sku["sku"] for sku in page["items"]}
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    return [
        BadRow(row, "sku", f"no SKU {sku} in the catalogue") for sku, row in made.wanted.items() if sku not in known
    ]


Method = Literal["PUT", "POST"]


async def _send(feed: Feed, made: Plan, done: Any, *, dry_run: bool) -> list[dict[str, Any]]:
    """Send call by call; what counts found. A dry run sends the counts alone, as questions."""
    differences: list[dict[str, Any]] = []
    if not dry_run:
        await feed.begin()
    for method, path, body, rows in made.calls:
        is_count = path == "/v1/counts"
        if is_count or not dry_run:
            query = {"dry_run": "true"} if dry_run else {}
            answer = answered(await feed.send_stock(method, path, body, **query))
            differences += answer["differences"] if is_count else []
        done("stock", rows)
    if not dry_run:
        await feed.end()
    return differences


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    people.print(
        f"{told['skus']:,} SKUs, {told['receipts']:,} receipts, {told['adjustments']:,} adjustments,"
        f" {told['counted']:,} lines counted, {len(told.get('differences', ())):,} of them different",
        markup=False,
    )
    if told["errors"]:
        print_table(
            ("row", "column", "message"), ((e["row"], e["column"], e["message"]) for e in told["errors"][:SHOWN])
        )
    for line in told.get("differences", ())[:SHOWN]:
        people.print(
            f"{line['sku']}: expected {line['expected']}, counted {line['counted']} ({line['status']})", markup=False
        )
    if told["dry_run"]:
        people.print("nothing was changed (--dry-run)")
