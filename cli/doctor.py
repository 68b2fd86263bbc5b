"""`opswire doctor`: looks at everything that could keep the platform from working; each finding names its fix."""

import asyncio
import os
import shutil
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import httpx2
import typer
from sqlalchemy import text

from cli.command import command
from cli.dead import every_letter, opened_bus, parked_streams
from cli.installation import DEFAULT_DATA, RUNTIME_FILE, DataOption, Installation, find_installation
from cli.local.postgres import PostgresFailed
from cli.local.postgres import programs as database_programs
from cli.local.processes import is_port_free
from cli.local.topology import FIRST_PORT, SERVICES, Topology
from cli.migrate import planned
from cli.output import CommandFailed, JsonOption, people, print_json
from libs.service.settings import Settings
from libs.service.version import VERSION

State = Literal["ok", "warning", "failed"]
MARKS = {"ok": "[green]ok[/]     ", "warning": "[yellow]warning[/]", "failed": "[red]failed[/] "}

LEAST_FREE_BYTES = 1_000_000_000
MOST_CLOCK_SECONDS = 2.0
LEAST_POSTGRES = 15


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; `fix` says what to do about anything that is not ok."""

    check: str
    state: State
    message: str
    fix: str = ""


@command
async def doctor(
    data: DataOption = None,
    ports_from: Annotated[int, typer.Option(help="First port that `opswire up` would use.")] = FIRST_PORT,
    as_json: JsonOption = False,
) -> None:
    """Check this machine, the database, the bus and the services; exit code 1 when something is broken."""
    findings = [finding async for finding in examine(data, ports_from)]
    if as_json:
        print_json({"healthy": is_healthy(findings), "findings": [_document(finding) for finding in findings]})
    else:
        for finding in findings:
            _print(finding)
    if not is_healthy(findings):
        raise typer.Exit(1)


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Warnings do not count."""
    return all(finding.state != "failed" for finding in findings)


async def examine(data: Path | None, ports_from: int) -> AsyncIterator[Finding]:
    """Machine first, then what runs on it."""
    folder = data or DEFAULT_DATA
    for check in (program, data_folder, disk, runtime_file, settings):
        yield check(folder)
    try:
        installation = find_installation(data)
    except CommandFailed as problem:
        yield Finding("platform", "warning", problem.message, problem.fix)
        yield embedded_database()
        yield ports(Topology.from_port(ports_from))
        return
    async for finding in examine_installation(installation):
        yield finding


async def examine_installation(installation: Installation) -> AsyncIterator[Finding]:
    """What an installation is made of."""
    reached = await guarded("database", database, installation)
    yield reached
    if reached.state == "failed":
        return
    for name, check in (("schemas", schemas), ("clock", clock), ("bus", bus), ("dead letters", dead_letters)):
        yield await guarded(name, check, installation)
    for service in SERVICES:
        yield await service_ready(service, installation.address(service))


Check = Callable[[Installation], Awaitable[Finding]]


async def guarded(name: str, check: Check, installation: Installation) -> Finding:
    """The finding of a check that may raise CommandFailed or take too long."""
    try:
        async with asyncio.timeout(10):
            return await check(installation)
    except CommandFailed as problem:
        return Finding(name, "failed", problem.message, problem.fix)
    except TimeoutError:
        return Finding(name, "failed", "no answer within 10 s", "check its address and the network between")


# this machine


def program(_folder: Path) -> Finding:
    return Finding("program", "ok", f"opswire {VERSION}, Python {'.'.join(map(str, sys.version_info[:3]))}")


def data_folder(folder: Path) -> Finding:
    existing = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    if os.access(existing, os.W_OK):
        return Finding("data folder", "ok", str(folder.resolve()))
    return Finding("data folder", "failed", f"{existing} cannot be written", "choose another folder by --data")


def disk(folder: Path) -> Finding:
    existing = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    message = f"{free / 1e9:.1f} GB free on {existing}"
    if free >= LEAST_FREE_BYTES:
        return Finding("disk", "ok", message)
    return Finding("disk", "failed", message, "free some space, or choose a folder on another disk by --data")


def runtime_file(folder: Path) -> Finding:
    file = folder / RUNTIME_FILE
    if not file.exists():
        return Finding("secrets", "ok", "none lie about")
    if stat.S_IMODE(file.stat().st_mode) == 0o600:
        return Finding("secrets", "ok", f"{file} is readable by its owner only")
    return Finding("secrets", "failed", f"{file} holds a key and others may read it", f"chmod 600 {file}")


def settings(_folder: Path) -> Finding:
    try:
        given = Settings.load()
    except ValueError as problem:
        return Finding("settings", "failed", str(problem).splitlines()[0], "`opswire config` names what is wrong")
    return Finding("settings", "ok", f"environment {given.environment}")


def embedded_database() -> Finding:
    try:
        found = (database_programs() / "postgres").exists()
    except PostgresFailed as problem:
        return Finding("embedded database", "failed", str(problem), "run `make setup`")
    if found:
        return Finding("embedded database", "ok", "its programs are installed")
    return Finding("embedded database", "failed", "its programs are missing", "run `make setup`")


def ports(topology: Topology) -> Finding:
    taken = [str(topology.port(service)) for service in SERVICES if not is_port_free(topology.port(service))]
    if not taken:
        return Finding("ports", "ok", f"{topology.port(SERVICES[0])} and the next four are free")
    fix = "stop what runs there, or choose another --ports-from"
    return Finding("ports", "failed", f"taken: {', '.join(taken)}", fix)


# the installation


async def database(installation: Installation) -> Finding:
    async with installation.engine() as engine, engine.connect() as session:
        version = await session.scalar(text("SHOW server_version"))
    if int(str(version).split(".")[0]) >= LEAST_POSTGRES:
        return Finding("database", "ok", f"PostgreSQL {version}")
    return Finding("database", "failed", f"PostgreSQL {version} is too old", f"use version {LEAST_POSTGRES} or later")


async def schemas(installation: Installation) -> Finding:
    behind = await planned(installation.database_url)
    if not behind:
        return Finding("schemas", "ok", "all at the version of this program")
    named = ", ".join(str(step["schema"]) for step in behind)
    return Finding("schemas", "failed", f"not at the version of this program: {named}", "run `opswire migrate`")


async def clock(installation: Installation) -> Finding:
    async with installation.engine() as engine, engine.connect() as session:
        theirs: datetime = (await session.execute(text("SELECT clock_timestamp()"))).scalar_one()
    apart = abs((theirs - datetime.now(UTC)).total_seconds())
    if apart <= MOST_CLOCK_SECONDS:
        return Finding("clock", "ok", "this machine and the database agree")
    fix = "synchronise both by NTP: late and future events are judged by these clocks"
    return Finding("clock", "failed", f"this machine and the database are {apart:.1f} s apart", fix)


async def bus(installation: Installation) -> Finding:
    async with opened_bus(installation) as opened:
        await opened.bounds("orders")
    where = installation.kafka or "in the database"
    return Finding("bus", "ok", f"{installation.bus}, {where}")


async def dead_letters(installation: Installation) -> Finding:
    async with opened_bus(installation) as opened:
        letters = [letter async for letter in every_letter(opened, None)]
    async with installation.engine() as engine:
        parked = await parked_streams(engine)
    if parked:
        named = ", ".join(f"{stream['store']} {stream['type']}" for stream in parked)
        return Finding("dead letters", "warning", f"parked: {named}", "mend the cause, then `opswire dead requeue`")
    if letters:
        return Finding("dead letters", "warning", f"{len(letters)} lie there", "`opswire dead list` says why")
    return Finding("dead letters", "ok", "none")


async def service_ready(service: str, address: str) -> Finding:
    try:
        async with httpx2.AsyncClient(timeout=5.0) as client:
            response = await client.get(f"{address}/readyz")
    except httpx2.TransportError as problem:
        fix = f"start it (`opswire up`), or name its address by OPSWIRE_{service.upper()}_URL"
        return Finding(service, "failed", f"no answer at {address} ({type(problem).__name__})", fix)
    if response.status_code == 200:
        return Finding(service, "ok", address)
    return Finding(service, "failed", f"not ready: {response.text}", "its log says more; /readyz names the part")


# telling


def _document(finding: Finding) -> dict[str, str]:
    return {"check": finding.check, "state": finding.state, "message": finding.message, "fix": finding.fix}


def _print(finding: Finding) -> None:
    people.print(MARKS[finding.state], end=" ")
    people.print(f"{finding.check}: {finding.message}", markup=False)
    if finding.fix:
        people.print(f"        fix: {finding.fix}", markup=False)
