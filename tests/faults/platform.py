"""A platform whose services die at a crash point on demand and are started again by a keeper, as `opswire up` does."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx2

from cli.local.supervisor import tail
from cli.local.topology import SERVICES
from tests.faults.warm import ARMED
from tests.support.guardian import ROOT
from tests.support.services import READY_SECONDS, Platform, prepared


@contextmanager
def warm_starter() -> Iterator["subprocess.Popen[str]"]:
    """The process that forks services; its children die with it."""
    starter = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.warm"], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert starter.stdin is not None
    assert starter.stdout is not None
    try:
        assert starter.stdout.readline() == "ready\n"
        yield starter
    finally:
        starter.stdin.close()
        starter.wait(10)
        starter.stdout.close()


@dataclass(slots=True)
class Life:
    """One process of a service, watched by its pidfd."""

    pid: int
    watch: int

    @classmethod
    def of(cls, pid: int) -> "Life":
        return cls(pid, os.pidfd_open(pid))

    @property
    def is_over(self) -> bool:
        return bool(select.select([self.watch], [], [], 0)[0])

    def send(self, wanted: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.watch, wanted)

    async def end(self, seconds: float = 20.0) -> None:
        """Return when it is gone."""
        async with asyncio.timeout(seconds):
            while not self.is_over:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@dataclass(slots=True)
class MortalPlatform(Platform):
    """Services from the warm starter; what dies is started again until the platform is closed."""

    starter: "subprocess.Popen[str] | None" = None
    lives: dict[str, Life] = field(default_factory=dict)
    deaths: dict[str, int] = field(default_factory=dict)
    _keepers: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)

    async def start(self, service: str, **environment: str) -> None:
        """Start a service, and again whenever it dies."""
        await self._bear(service)
        self._keepers[service] = asyncio.create_task(self._keep(service))

    async def _bear(self, service: str) -> None:
        assert self.starter is not None
        assert self.starter.stdin is not None
        assert self.starter.stdout is not None
        log = self.logs / f"{service}.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OPSWIRE_")}
        given = {**clean, **self.environment, ARMED: str(self._armed(service))}
        self.starter.stdin.write(json.dumps({"service": service, "environment": given, "log": str(log)}) + "\n")
        self.starter.stdin.flush()
        self.lives[service] = Life.of(int(self.starter.stdout.readline()))
        await self._until_ready(service, log)

    async def _keep(self, service: str) -> None:
        """Start it again; one that cannot start, because its database is away, is tried again by and by."""
        while True:
            await self.lives[service].end(float("inf"))
            os.close(self.lives[service].watch)
            self.deaths[service] = self.deaths.get(service, 0) + 1
            with suppress(AssertionError):
                await self._bear(service)
            await asyncio.sleep(0.2)

    async def back(self, service: str) -> None:
        """Return when the service is ready again."""
        async with asyncio.timeout(READY_SECONDS):
            while self.lives[service].is_over or not await self._is_ready(service):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def _is_ready(self, service: str) -> bool:
        try:
            return (await self.client(service).get("/readyz")).status_code == 200
        except httpx2.TransportError:
            return False

    def _armed(self, service: str) -> Path:
        return self.logs / f"{service}.armed"

    async def arm(self, service: str, point: str, passage: int = 1) -> None:
        """Have the service die at its n-th passage of a crash point from now on."""
        self._armed(service).write_text(f"{point}:{passage}")
        self.lives[service].send(signal.SIGUSR1)
        async with asyncio.timeout(10):
            while self._armed(service).exists():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def _until_ready(self, service: str, log: Path) -> None:
        async with asyncio.timeout(READY_SECONDS):
            while not await self._is_ready(service):
                assert not self.lives[service].is_over, f"{service} ended:\n{tail(log, 40)}"
                await asyncio.sleep(0.02)

    async def kill(self, service: str) -> None:
        """`kill -9`; the keeper starts it again."""
        self.lives[service].send(signal.SIGKILL)

    async def close(self) -> None:
        for client in self.clients.values():
            await client.aclose()
        for keeper in self._keepers.values():
            keeper.cancel()
        for life in self.lives.values():
            life.send(signal.SIGKILL)
        for life in self.lives.values():
            await life.end()
            os.close(life.watch)


@asynccontextmanager
async def mortal_platform(
    database_url: str, logs: Path, kafka: str = "", topic_prefix: str = "", **environment: str
) -> AsyncIterator[MortalPlatform]:
    """All five services, on a migrated database."""
    with warm_starter() as starter:
        make = partial(MortalPlatform, starter=starter)
        platform = await prepared(
            make, database_url, logs=logs, environment=environment, kafka=kafka, topic_prefix=topic_prefix
        )
        try:
            for service in SERVICES:
                await platform.start(service)
            yield platform
        finally:
            await platform.close()
