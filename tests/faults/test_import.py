"""The real "Online Retail" file brought in while everything it passes through is killed: the same figures (P2).

While `opswire import` runs, every service dies by kill -9, and the import itself, which is run again, and what lies
below: the broker, the database server. Then no invariant is broken, and days, sums and reports say what DuckDB counts
in the file.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from cli.local.postgres import LocalPostgres
from cli.verify import examine
from tests.faults.golden import Golden, first_lines, golden, real_file
from tests.faults.platform import MortalPlatform, mortal_platform
from tests.faults.points import SERVICES
from tests.support.broker import OwnBroker
from tests.support.command import PROGRAM, environment, opswire_process
from tests.support.databases import migrate
from tests.support.storefront import Storefront, until

LINES = 3_000
STORE = "online-retail"
WHOLE = {"orders_placed": 14_331, "gmv": 735_235_417, "units_paid": 3_896_219}
FIRST_DAY = {"orders_placed": 127, "gmv": 5_896_079, "units_paid": 26_919}
RUNS = 5
REST_SECONDS = 300.0

Wound = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Import:
    """`opswire import online-retail` as a process that may be killed, on a platform that is hurt meanwhile."""

    platform: MortalPlatform
    file: Path
    data: Path
    process: asyncio.subprocess.Process | None = None
    said: list[Any] = field(default_factory=list)
    """What each run that came to its end said."""

    async def through(self, wounds: Sequence[Wound], pause_seconds: float) -> None:
        """Run it to its end, hurt again and again; a run that was killed, or gave up, is followed by another."""
        running = asyncio.create_task(self._until_good())
        for wound in wounds:
            await asyncio.sleep(pause_seconds)
            if running.done():
                await running
                running = asyncio.create_task(self._until_good())
                await asyncio.sleep(pause_seconds)
            await wound()
        await running

    async def die(self) -> None:
        """kill -9 of the import itself."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    async def _until_good(self) -> None:
        for _ in range(RUNS):
            self.process = await asyncio.create_subprocess_exec(
                str(PROGRAM), "import", "online-retail", str(self.file), "--json", "--data", str(self.data),
                env=environment({}), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, err = await self.process.communicate()
            if self.process.returncode == 0:
                self.said.append(json.loads(out))
                return
            assert self.process.returncode == -9 or b"Traceback" not in err, err.decode()
        raise AssertionError(f"the import did not come through in {RUNS} runs: {err.decode()}")


@asynccontextmanager
async def importing(
    file: Path, folder: Path, server: LocalPostgres, broker: OwnBroker | None = None
) -> AsyncIterator[Import]:
    """All five services on a server of their own, told to make reports as soon as a day is measured."""
    server.ensure_database("opswire")
    migrate(server.url("opswire"))
    given = {"OPSWIRE_REPORTING_SETTLE_SECONDS": "0.2"}
    if broker is not None:
        given |= {"kafka": broker.address, "topic_prefix": "soak."}
    async with mortal_platform(server.url("opswire"), folder, **given) as platform:
        platform.installation.write(folder)
        yield Import(platform, file, folder)


async def proved(one: Import, expected: Golden, seconds: float) -> None:
    """At rest, sound, and every figure is the file's."""
    report = await examine(one.platform.installation, seconds)
    assert report.moving is None, report.moving
    assert report.violations == []
    assert (report.dead_letters, report.parked) == (0, 0)
    shop = Storefront(one.platform, STORE)
    first, last = min(expected.days), max(expected.days)
    assert {kpi: await by_day(shop, kpi, first, last) for kpi in expected.whole} == {
        kpi: {day: expected.days.get(day, {}).get(kpi, 0) for day in days_between(first, last)}
        for kpi in expected.whole
    }
    for day in (first, last):
        daily = await until(lambda day=day: shop.report(day), seconds)  # type: ignore[misc]
        said = {f["kpi"]: f["value"] for section in daily["sections"] for f in section["figures"]}
        assert {kpi: said[kpi] for kpi in expected.whole} == expected.days[day]
    for said in one.said:
        assert Decimal(said["rounding"]) == expected.rounding


async def rebuilt(one: Import) -> None:
    """`opswire rebuild kpi --verify`: from its journal come the very same figures (P4)."""
    done = await asyncio.to_thread(
        opswire_process, "rebuild", "kpi", "--verify", "--json", "--data", str(one.data), timeout=1_200
    )
    assert done.good().json["identical"], done.out


async def by_day(shop: Storefront, kpi: str, first: str, last: str) -> dict[str, int]:
    return {point["bucket"]: point["numerator"] or 0 for point in await shop.figures(kpi, first, last)}


def days_between(first: str, last: str) -> list[str]:
    day, end = date.fromisoformat(first), date.fromisoformat(last)
    return [str(day + timedelta(days=n)) for n in range((end - day).days + 1)]


async def hurt(file: Path, folder: Path, server: LocalPostgres, broker: OwnBroker | None, pause: float) -> None:
    """The whole story: in it goes while everything dies once, and it all adds up; once more changes nothing."""
    expected = golden(file)
    async with importing(file, folder, server, broker) as one:
        wounds: list[Wound] = [lambda service=service: one.platform.kill(service) for service in SERVICES]  # type: ignore[misc]
        wounds.insert(3, one.die)
        wounds.append(lambda: restart(broker or server))
        began = monotonic()
        await one.through(wounds, pause)
        took = monotonic() - began
        await proved(one, expected, REST_SECONDS)
        assert set(one.platform.deaths) == set(SERVICES)
        await one.through([], pause)
        again = one.said[-1]["sent"]
        assert (again["new"], again["changed"]) == (0, 0)
        await proved(one, expected, REST_SECONDS)
        await rebuilt(one)
    print(f"{file.name}: {expected.whole}, hurt {len(wounds)} times, in after {took:.0f} s")


async def restart(server: LocalPostgres | OwnBroker) -> None:
    """kill -9, and up again at the same address."""
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


# 3,000 lines; on Kafka it takes its time, since a killed member keeps its partitions for a session timeout


@pytest.mark.timeout(600)
async def test_3000_lines_come_through_with_everything_killed_once(own_postgres: LocalPostgres, tmp_path: Path) -> None:
    await hurt(first_lines(tmp_path, LINES), tmp_path, own_postgres, None, 0.4)


@pytest.mark.soak
async def test_3000_lines_come_through_on_kafka_with_services_and_broker_killed(
    own_postgres: LocalPostgres, own_kafka: OwnBroker, tmp_path: Path
) -> None:
    await hurt(first_lines(tmp_path, LINES), tmp_path, own_postgres, own_kafka, 0.4)


# the whole file


@pytest.mark.soak
async def test_the_whole_file_comes_through_with_everything_killed_once(
    own_postgres: LocalPostgres, tmp_path: Path
) -> None:
    await hurt(real_file(), tmp_path, own_postgres, None, 15.0)


@pytest.mark.soak
async def test_the_whole_file_comes_through_on_kafka_with_services_and_broker_killed(
    own_postgres: LocalPostgres, own_kafka: OwnBroker, tmp_path: Path
) -> None:
    await hurt(real_file(), tmp_path, own_postgres, own_kafka, 15.0)


@pytest.mark.soak
@pytest.mark.parametrize("bus", ["postgres", "kafka"])
async def test_the_golden_figures_of_the_whole_file(
    bus: str, own_postgres: LocalPostgres, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    broker = request.getfixturevalue("own_kafka") if bus == "kafka" else None
    expected = golden(real_file())
    assert (expected.whole, expected.days["2010-12-01"]) == (WHOLE, FIRST_DAY)
    assert expected.rounding == Decimal("0.004")
    async with importing(real_file(), tmp_path, own_postgres, broker) as one:
        await one.through([], 0)
        await proved(one, expected, REST_SECONDS)
        await rebuilt(one)
        print(f"{bus}: in after {one.said[0]['seconds']:.0f} s: {one.said[0]['sent']}")
