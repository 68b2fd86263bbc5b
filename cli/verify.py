"""`opswire verify`: every invariant of every schema, and what two services must agree on."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cli.command import command
from cli.dead import every_letter, opened_bus, parked_streams
from cli.installation import DataOption, Installation, find_installation
from cli.local.topology import SERVICES
from cli.output import JsonOption, people, print_json, print_table
from cli.quiet import Look, look, one_moment, until_quiet
from libs.events.bus import Bus
from libs.service.database import worker_role
from libs.service.invariants import Violation
from services.inventory import invariants as inventory
from services.orders import invariants as orders

PROMISED = "what orders count on is what inventory keeps for them"
APPLIED = "no consumer is beyond the end of its log"
KEPT = "nothing left a log before it was applied"
INVARIANTS = (PROMISED, APPLIED, KEPT)
"""Those that no service can see alone."""

WAIT_SECONDS = 60.0
SECOND_LOOK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, and what is not as it must be. `moving`: what kept the platform from coming to rest."""

    checked: int
    violations: Sequence[Violation]
    dead_letters: int
    parked: int
    moving: str | None = None

    @property
    def ok(self) -> bool:
        return not self.violations

    @property
    def document(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "checked": self.checked,
            "violations": [asdict(violation) for violation in self.violations],
            "dead_letters": self.dead_letters,
            "parked": self.parked,
            "moving": self.moving,
        }


@command
async def verify(
    now: Annotated[bool, typer.Option("--now", help="Do not wait for rest; may name what is just under way.")] = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the platform to come to rest.", min=0)] = (
        WAIT_SECONDS
    ),
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every invariant of every service; exit code 1 and the list when one is broken.

    Waits until all that was told has been applied. On a platform that never rests, what is broken at one look and
    still is ten seconds later counts. Only reads; dead letters are counted, they break nothing by themselves.
    """
    report = await examine(find_installation(data), 0.0 if now else wait, patient=not now)
    if as_json:
        print_json(report.document)
    else:
        _print(report)
    if not report.ok:
        raise typer.Exit(1)


async def examine(installation: Installation, wait: float, *, patient: bool = True) -> Report:
    """Wait for rest, look, and where there was none look again. Raises CommandFailed."""
    async with installation.engine() as engine, opened_bus(installation) as bus:
        moving = await until_quiet(engine, bus, wait) if patient else None
        found = await find_violations(engine, bus)
        if moving and found:
            await asyncio.sleep(SECOND_LOOK_SECONDS)
            found = still_broken(found, await find_violations(engine, bus))
        letters = [letter async for letter in every_letter(bus, None)]
        return Report(checked(), found, len(letters), len(await parked_streams(engine)), moving)


def still_broken(before: Iterable[Violation], now: Iterable[Violation]) -> list[Violation]:
    """What was broken at both looks, as the later one saw it."""
    known = {(one.invariant, one.store, one.subject) for one in before}
    return [one for one in now if (one.invariant, one.store, one.subject) in known]


def checked() -> int:
    """How many invariants there are."""
    return len(INVARIANTS) + sum(len(_invariants_of(name).INVARIANTS) for name in SERVICES)


def _invariants_of(service: str) -> Any:
    return import_module(f"services.{service}.invariants")


async def find_violations(engine: AsyncEngine, bus: Bus) -> list[Violation]:
    """Everything that is broken at one moment of the database."""
    found: list[Violation] = []
    async with one_moment(engine) as session:
        for name in SERVICES:
            await _become(session, name)
            found += await _invariants_of(name).violations(session)
        found += await broken_promises(session)
    return found + misplaced(await look(engine, bus))


async def _become(session: AsyncConnection, service: str) -> None:
    """Take the role that sees every store of a service, and nothing of another."""
    await session.execute(text("SELECT set_config('role', :role, true)"), {"role": worker_role(service)})


async def broken_promises(session: AsyncConnection) -> list[Violation]:
    """Units that orders count on, against those that inventory holds, has allocated or owes: each side in its words."""
    await _become(session, "orders")
    wanted = await orders.promised(session)
    await _become(session, "inventory")
    kept, services = await inventory.promised(session), await inventory.services(session)
    return compared({key: n for key, n in wanted.items() if (key[0], key[2]) not in services}, kept)


def compared(wanted: Mapping[tuple[str, str, str], int], kept: Mapping[tuple[str, str, str], int]) -> list[Violation]:
    """What the two say differently of a store's order and SKU."""
    return [
        Violation(
            PROMISED, store, f"{order} {sku}", wanted.get((store, order, sku), 0), kept.get((store, order, sku), 0)
        )
        for store, order, sku in sorted(wanted.keys() | kept.keys())
        if wanted.get((store, order, sku), 0) != kept.get((store, order, sku), 0)
    ]


def misplaced(seen: Look) -> list[Violation]:
    """Positions outside of their logs."""
    found = []
    for (consumer, topic, partition), position in sorted(seen.positions.items()):
        first, end = seen.bounds[topic].get(partition, (0, 0))
        subject = f"{consumer} on {topic}/{partition}"
        if position > end:
            found.append(Violation(APPLIED, "*", subject, end, position))
        if 0 < position < first:
            found.append(Violation(KEPT, "*", subject, first, position))
    return found


def _print(report: Report) -> None:
    if report.violations:
        columns = ("invariant", "store", "subject", "expected", "found")
        print_table(columns, ([getattr(one, name) for name in columns] for one in report.violations))
    outcome = f"{len(report.violations)} broken" if report.violations else "all hold"
    people.print(f"{report.checked} invariants: {outcome}")
    if report.moving:
        people.print(f"the platform did not come to rest: {report.moving}", markup=False)
    if report.dead_letters or report.parked:
        people.print(f"{report.dead_letters} dead letters, {report.parked} parked streams: `opswire dead list`")
