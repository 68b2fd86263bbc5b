"""What measurements run on: real PostgreSQL, a real Kafka broker, services and peers as processes, all of this run."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import text

from bench.load import Generator
from bench.peer_packages import PeerPackages
from bench.rounds import ROUNDS
from cli.installation import owner_engine
from cli.local.postgres import LocalPostgres, run_psql
from cli.local.processes import die_with_parent, free_port
from cli.local.supervisor import Child, Program, supervised, tail
from cli.local.topology import SERVICES, Topology, platform_environment, service_command
from cli.operator_key import OPERATOR_SCOPES
from cli.up import wait_until_ready
from libs.service.auth import EVERY_STORE, add_key
from libs.service.migration import migrate_all

ROOT = Path(__file__).resolve().parents[1]
STORE = "demo"
TEMPLATE = "opswire_template"
READY_SECONDS = 30.0
WORKER_SECONDS = 180.0
MAX_CONNECTIONS = "300"


class CannotMeasure(Exception):
    """Something that a measurement needs is not here; the message says what."""


@dataclass
class Running:
    """Services of one installation, as processes."""

    database_url: str
    key: str
    topology: Topology
    children: Mapping[str, Child]
    logs: Path

    def port(self, service: str) -> int:
        return self.topology.port(service)

    def pid(self, service: str) -> int:
        """Raises CannotMeasure for one that has died: its figures would be of two lives."""
        child = self.children[service]
        if child.process is None or child.restarts:
            raise CannotMeasure(f"{service} died meanwhile:\n{tail(child.program.log)}")
        return child.process.pid

    def client(self, service: str) -> httpx2.AsyncClient:
        """A client with the operator's key for the bench's store; close it."""
        return httpx2.AsyncClient(
            base_url=self.topology.url(service),
            headers={"Authorization": f"Bearer {self.key}"},
            params={"store": STORE},
            timeout=60.0,
        )


@dataclass
class Stage:
    """Servers are started by whoever needs them first and end with the run."""

    folder: Path
    peers: PeerPackages
    rounds: int = ROUNDS
    generator: Generator = field(default_factory=Generator)
    _postgres: LocalPostgres | None = None
    _kafka: "subprocess.Popen[str] | None" = None
    _kafka_address: str = ""
    _migrated: bool = False

    # servers

    @property
    def postgres(self) -> LocalPostgres:
        """A server with the settings of `opswire up`: every commit is on the disk."""
        if self._postgres is None:
            self._postgres = LocalPostgres(self.folder / "postgres", settings={"max_connections": MAX_CONNECTIONS})
            self._postgres.start()
        return self._postgres

    @property
    def postgres_pid(self) -> int:
        assert self.postgres.process is not None
        return self.postgres.process.pid

    async def database(self) -> str:
        """The address of a new database with every migration run, one store and nothing else in it."""
        await self._ensure_template()
        return self.copy_of(self.postgres.url(TEMPLATE))

    def copy_of(self, url: str) -> str:
        """The address of a new database with the content of this one, to which nobody is connected."""
        name = f"bench_{uuid.uuid4().hex[:12]}"
        self.postgres.run_sql(f'create database "{name}" template "{url.rpartition("/")[2]}"')
        return self.postgres.url(name)

    def drop(self, url: str) -> None:
        """Remove a database and whoever is connected to it."""
        self.postgres.run_sql(f'drop database if exists "{url.rpartition("/")[2]}" with (force)')

    async def _ensure_template(self) -> None:
        if self._migrated:
            return
        self.postgres.ensure_database(TEMPLATE)
        url = self.postgres.url(TEMPLATE)
        await migrate_all(url)
        self.sql(
            url,
            "insert into access.stores (store, name, timezone, currency, language)"
            f" values ('{STORE}', '{STORE}', 'Asia/Shanghai', 'CNY', 'zh') on conflict do nothing",
        )
        self._migrated = True

    def sql(self, url: str, *statements: str) -> str:
        """Run statements as the owner; gives what they print."""
        return run_psql(url.replace("+asyncpg", ""), *statements)

    @property
    def kafka(self) -> str:
        """The bootstrap address of the broker of `make kafka`. Raises CannotMeasure where there is no Java."""
        if not self._kafka_address:
            if shutil.which("java") is None:
                raise CannotMeasure("no Kafka broker: java was not found (Debian: openjdk-17-jre-headless, maven)")
            self._kafka, self._kafka_address = self._start_kafka()
        return self._kafka_address

    def _start_kafka(self) -> "tuple[subprocess.Popen[str], str]":
        log = self.folder / "kafka.log"
        run = ROOT / "deploy" / "kafka" / "run.py"
        command = [sys.executable, str(run), "--port", "0", "--data", str(self.folder / "kafka")]
        with log.open("ab") as output:
            broker = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, text=True,
                preexec_fn=die_with_parent(),
            )  # fmt: skip
        assert broker.stdout is not None
        address = broker.stdout.readline().strip()
        if not address:
            raise CannotMeasure(f"the Kafka broker did not start:\n{tail(log)}")
        return broker, address

    # services

    @asynccontextmanager
    async def services(
        self, *names: str, database_url: str = "", kafka: bool = False, prefix: str = "", **environment: str
    ) -> AsyncIterator[Running]:
        """These services while the body runs, ready, on `database_url` (default: a new one)."""
        url = database_url or await self.database()
        topology = Topology({service: free_port() for service in SERVICES})
        logs = self.folder / f"log-{uuid.uuid4().hex[:8]}"
        logs.mkdir()
        shared = platform_environment(
            topology,
            database_url=url,
            kafka=self.kafka if kafka else "",
            topic_prefix=(prefix or new_prefix()) if kafka else "",
            data=logs,
        )
        children = {
            name: Child(Program(name, service_command(name), {**shared, **environment}, logs / f"{name}.log"))
            for name in names
        }
        key = await operator_key(url)
        async with supervised(list(children.values())):
            await wait_until_ready(list(children.values()), topology)
            yield Running(url, key, topology, children, logs)

    # other processes

    @asynccontextmanager
    async def web(self, application: str, **environment: str) -> AsyncIterator[tuple[int, int]]:
        """A peer under uvicorn as our services run (uvloop, httptools, one worker): its port and process id."""
        port = free_port()
        command = [
            sys.executable, "-m", "uvicorn", application, "--host", "127.0.0.1", "--port", str(port),
            "--backlog", "2048", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
        ]  # fmt: skip
        with self._child(command, environment, f"{application}.log") as (process, log):
            await _until_listening(process, port, log)
            yield port, process.pid

    async def worker(
        self,
        module: str,
        *arguments: str,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
    ) -> Any:
        """Run `python -m module ARGUMENTS` to its end and give the JSON object that it printed last.

        Raises CannotMeasure when it fails.
        """
        with tempfile.TemporaryFile("w+") as said:
            process = await asyncio.create_subprocess_exec(
                python, "-m", module, *arguments, cwd=ROOT, env={**clean_environment(), **(environment or {})},
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=said,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )  # fmt: skip
            try:
                async with asyncio.timeout(WORKER_SECONDS):
                    printed, _ = await process.communicate()
            except TimeoutError:
                raise CannotMeasure(f"{module} did not end within {WORKER_SECONDS:.0f} s\n{_last(said)}") from None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            objects = [line for line in printed.decode().splitlines() if line.startswith("{")]
            if process.returncode or not objects:
                raise CannotMeasure(f"{module} ended with code {process.returncode}\n{_last(said)}")
        return json.loads(objects[-1])

    @contextlib.contextmanager
    def _child(
        self, command: Sequence[str], environment: Mapping[str, str], log_name: str
    ) -> "Iterator[tuple[subprocess.Popen[bytes], Path]]":
        log = self.folder / log_name.replace(":", ".")
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT,
                env={**clean_environment(), **environment}, preexec_fn=die_with_parent(signal.SIGKILL),
            )  # fmt: skip
        try:
            yield process, log
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()

    def close(self) -> None:
        """End everything and remove the folder."""
        self.generator.close()
        if self._kafka is not None:
            self._kafka.terminate()
            self._kafka.wait(30)
        if self._postgres is not None:
            self._postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def new_prefix() -> str:
    """Topics of one measurement."""
    return f"b{uuid.uuid4().hex[:10]}."


def installation(database_url: str, kafka: str = "", prefix: str = "") -> dict[str, str]:
    """What a process of our own is told of the installation that it works on."""
    shared = {"OPSWIRE_DATABASE_URL": database_url, "OPSWIRE_LOG_LEVEL": "warning"}
    return {**shared, "OPSWIRE_KAFKA": kafka, "OPSWIRE_TOPIC_PREFIX": prefix} if kafka else shared


def clean_environment() -> dict[str, str]:
    """Ours without the settings of whoever measures."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OPSWIRE_")}


async def operator_key(database_url: str) -> str:
    """A key for everything, good for every store."""
    async with owner_engine(database_url) as engine, engine.begin() as session:
        await session.execute(text("select 1"))
        return (await add_key(session, EVERY_STORE, OPERATOR_SCOPES, note="bench")).key


async def _until_listening(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    async with httpx2.AsyncClient(timeout=5.0) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            with contextlib.suppress(httpx2.TransportError):
                await client.get(f"http://127.0.0.1:{port}/")
                return
    raise CannotMeasure(f"the peer did not start:\n{tail(log)}")


def _last(said: Any) -> str:
    said.seek(0)
    return "\n".join(said.read().splitlines()[-15:])


@contextlib.contextmanager
def open_stage(rounds: int = ROUNDS) -> Iterator[Stage]:
    """A stage in a folder of its own, which the database server's user can reach."""
    stage = Stage(
        Path(tempfile.mkdtemp(prefix="opswire-bench-")), PeerPackages(ROOT / "var" / "bench" / "peers"), rounds
    )
    try:
        yield stage
    finally:
        stage.close()
