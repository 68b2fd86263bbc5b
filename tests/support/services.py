"""Services as real processes on free ports, with stores and keys, for tests that kill them or need several at once."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx2
from sqlalchemy import text

from cli.installation import Installation
from cli.local.processes import die_with_parent, free_port
from cli.local.supervisor import tail
from cli.local.topology import SERVICES, Topology, platform_environment, service_command
from cli.operator_key import OPERATOR_SCOPES
from libs.service.auth import EVERY_STORE, add_key

READY_SECONDS = 30.0
STORES = {"demo": ("Asia/Shanghai", "CNY", "zh"), "other": ("Europe/London", "GBP", "en")}


@dataclass(slots=True)
class Platform:
    """Running services: `platform.client("orders")` is a client with an operator's key."""

    installation: Installation
    topology: Topology
    environment: Mapping[str, str]
    logs: Path
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    clients: dict[tuple[str, str], httpx2.AsyncClient] = field(default_factory=dict)

    def client(self, service: str, key: str = "") -> httpx2.AsyncClient:
        """A client of one service, by default with the operator's key; closed with the platform."""
        key = key or self.installation.key
        if (service, key) not in self.clients:
            self.clients[service, key] = httpx2.AsyncClient(
                base_url=self.topology.url(service), headers={"Authorization": f"Bearer {key}"}, timeout=30.0
            )
        return self.clients[service, key]

    async def add_key(self, store: str, *scopes: str, is_public: bool = False) -> str:
        """One more key."""
        async with self.installation.engine() as engine, engine.begin() as session:
            return (await add_key(session, store, scopes, is_public=is_public)).key

    async def start(self, service: str, **environment: str) -> None:
        """Start a service and wait until it is ready. `environment`: for this life of it only."""
        log = self.logs / f"{service}.log"
        with log.open("ab") as output:
            self.processes[service] = await asyncio.create_subprocess_exec(
                *service_command(service),
                env={**_clean_environment(), **self.environment, **environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        await self._until_ready(service, log)

    async def stop(self, service: str, wanted: signal.Signals = signal.SIGTERM) -> int:
        """End a service and give its exit code."""
        process = self.processes.pop(service)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(wanted)
        return await process.wait()

    async def kill(self, service: str) -> None:
        """`kill -9`."""
        await self.stop(service, signal.SIGKILL)

    async def wait_for_death(self, service: str, seconds: float = 30.0) -> int:
        """Wait until a service has ended by itself (a crash point); its exit code."""
        async with asyncio.timeout(seconds):
            return await self.processes.pop(service).wait()

    async def close(self) -> None:
        for client in self.clients.values():
            await client.aclose()
        await asyncio.gather(*(self.stop(service) for service in list(self.processes)))

    async def _until_ready(self, service: str, log: Path) -> None:
        said = "no answer"
        async with httpx2.AsyncClient(timeout=5.0) as client:
            for _ in range(int(READY_SECONDS / 0.1)):
                assert self.processes[service].returncode is None, f"{service} ended:\n{tail(log, 40)}"
                with contextlib.suppress(httpx2.TransportError):
                    response = await client.get(f"{self.topology.url(service)}/readyz")
                    if response.status_code == 200:
                        return
                    said = response.text
                await asyncio.sleep(0.1)
        raise AssertionError(f"{service} is not ready: {said}\n{tail(log, 40)}")


P = TypeVar("P", bound=Platform)


@asynccontextmanager
async def running_services(
    database_url: str, *services: str, logs: Path, kafka: str = "", topic_prefix: str = "", **environment: str
) -> AsyncIterator[Platform]:
    """Start these services (default: all) on a migrated database; end them with the body."""
    platform = await prepared(
        Platform, database_url, logs=logs, kafka=kafka, topic_prefix=topic_prefix, environment=environment
    )
    try:
        await asyncio.gather(*(platform.start(service) for service in services or SERVICES))
        yield platform
    finally:
        await platform.close()


async def prepared(
    make: Callable[..., P],
    database_url: str,
    *,
    logs: Path,
    environment: Mapping[str, str],
    kafka: str = "",
    topic_prefix: str = "",
) -> P:
    """A platform with its ports, stores and key, of which nothing runs yet."""
    topology = Topology({service: free_port() for service in SERVICES})
    shared = platform_environment(
        topology, database_url=database_url, kafka=kafka, topic_prefix=topic_prefix, data=logs
    )
    installation = await _installation(database_url, topology, kafka, topic_prefix)
    return make(installation, topology, {**shared, **environment}, logs)


async def _installation(database_url: str, topology: Topology, kafka: str, topic_prefix: str) -> Installation:
    bare = Installation(database_url)
    async with bare.engine() as engine, engine.begin() as session:
        for store, (zone, currency, language) in STORES.items():
            await session.execute(
                text(
                    "INSERT INTO access.stores (store, name, timezone, currency, language)"
                    " VALUES (:store, :store, :zone, :currency, :language) ON CONFLICT DO NOTHING"
                ),
                {"store": store, "zone": zone, "currency": currency, "language": language},
            )
        key = await add_key(session, EVERY_STORE, OPERATOR_SCOPES)
    return Installation(database_url, topology.urls, key.key, "demo", kafka, topic_prefix)


def _clean_environment() -> dict[str, str]:
    """Ours without the settings of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OPSWIRE_")}
