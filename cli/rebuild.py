"""`opswire rebuild kpi`: have the figures rebuilt from the journal, compared, and repaired where they differ (P4)."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any

import httpx2
import typer
from rich.progress import Progress

from cli.command import command
from cli.installation import DataOption, find_installation
from cli.output import CommandFailed, JsonOption, errors, people, print_json
from cli.platform_client import answered, front_door

POLL_SECONDS = 0.3


class Rebuilt(StrEnum):
    """What can be rebuilt."""

    KPI = "kpi"


@command
async def rebuild(
    what: Annotated[Rebuilt, typer.Argument(help="The service whose tables are rebuilt.")],
    verify: Annotated[bool, typer.Option("--verify", help="Exit code 1 when anything differed.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rebuild from the journal while traffic goes on; rows that differ are repaired, and only they."""
    async with front_door(find_installation(data), what) as client:
        asked = answered(await client.post("/v1/rebuilds"))
        report = await _until_done(client, asked["rebuild_id"], quiet=as_json)
    if report["status"] == "failed":
        raise CommandFailed(f"the rebuild failed: {report.get('error', 'no reason given')}", "see the log of kpi")
    if as_json:
        print_json(report)
    else:
        people.print(_said(report))
    if verify and not report["identical"]:
        raise typer.Exit(1)


async def _until_done(client: httpx2.AsyncClient, rebuild_id: str, *, quiet: bool) -> Mapping[str, Any]:
    """Ask until it is done or has failed."""
    with Progress(console=errors, transient=True, disable=quiet) as bar:
        task = bar.add_task("events replayed", total=None)
        while True:
            with suppress(httpx2.ReadTimeout):  # a large rebuild keeps the service busy for a while
                report: Mapping[str, Any] = answered(await client.get(f"/v1/rebuilds/{rebuild_id}"))
                if report["status"] != "running":
                    return report
                bar.update(task, completed=report["events"], total=report["total"] or None)
            await asyncio.sleep(POLL_SECONDS)


def _said(report: Mapping[str, Any]) -> str:
    replayed = f"{report['events']} events replayed in {report['seconds']} s"
    if report["identical"]:
        return f"{replayed}: identical, digest {report['live_digest']}"
    repaired = report["repaired"]
    return "\n".join([f"{replayed}: {repaired['count']} rows differed and were repaired", *repaired["rows"]])
