"""`opswire up`: the whole platform on this machine, each service a process of its own, supervised."""

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from cli.command import command
from cli.installation import DEFAULT_DATA, RUNTIME_FILE, Installation, owner_engine
from cli.local.postgres import LocalPostgres, PostgresFailed
from cli.local.processes import is_port_free
from cli.local.supervisor import Child, Program, supervised, tail
from cli.local.topology import FIRST_PORT, SERVICES, Topology, platform_environment, service_command
from cli.operator_key import operator_key
from cli.output import CommandFailed, JsonOption, errors, people, print_json
from cli.stores import ensure_store
from libs.service.database import async_url
from libs.service.migration import migrate_all

READY_SECONDS = 90.0
WATCH_SECONDS = 0.5
DATABASE = "opswire"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line and by the environment."""

    data: Path
    topology: Topology
    store: str
    database_url: str = ""
    kafka: str = ""
    topic_prefix: str = ""

    @property
    def logs(self) -> Path:
        return self.data / "log"


@command
async def up(
    data: Annotated[Path, typer.Option(help="Folder for the database, logs and keys.")] = DEFAULT_DATA,
    ports_from: Annotated[int, typer.Option(help="Port of the first service; the others follow.")] = FIRST_PORT,
    store: Annotated[str, typer.Option(help="The first store, made if it is new.")] = "demo",
    as_json: JsonOption = False,
) -> None:
    """Run the platform here until Ctrl-C. Needs nothing: it brings its database unless OPSWIRE_DATABASE_URL is set,
    and uses the PostgreSQL bus unless OPSWIRE_KAFKA is set.
    """
    with until_stopped():
        async with running_platform(wish_of(data, ports_from, store)) as platform:
            announce(platform, as_json=as_json)
            await asyncio.Event().wait()


def wish_of(data: Path, ports_from: int, store: str) -> Wish:
    """Command line and environment together."""
    given = os.environ.get
    url = given("OPSWIRE_DATABASE_URL", "")
    return Wish(
        data.resolve(),
        Topology.from_port(ports_from),
        store,
        database_url=async_url(url) if url else "",
        kafka=given("OPSWIRE_KAFKA", ""),
        topic_prefix=given("OPSWIRE_TOPIC_PREFIX", ""),
    )


@contextmanager
def until_stopped() -> Iterator[None]:
    """SIGTERM and Ctrl-C cancel the body, once, and count as its normal end."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            task.cancel()

    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, stop)
    try:
        yield
    except asyncio.CancelledError:
        if not stopped:
            raise
        task.uncancel()


@asynccontextmanager
async def running_platform(wish: Wish) -> AsyncIterator[Installation]:
    """Everything runs while the body does: database, migrations, services, first store, operator's key, runtime.json.

    Raises CommandFailed when something does not start, or gives up.
    """
    wish.logs.mkdir(parents=True, exist_ok=True)
    with only_one(wish.data), database(wish) as (server, url):
        require_free_ports(wish.topology)
        await migrate_all(url)
        wish = replace(wish, database_url=url)
        children = [Child(program, died=report_death) for program in programs(wish)]
        async with supervised(children, *([watch(server)] if server else [])):
            await wait_until_ready(children, wish.topology)
            installation = await prepared(wish)
            installation.write(wish.data)
            try:
                yield installation
            finally:
                (wish.data / RUNTIME_FILE).unlink(missing_ok=True)


@contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Two platforms must not share a data folder."""
    with (data / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandFailed(f"a platform already runs on {data}", "stop it, or choose another --data") from None
        yield


@contextmanager
def database(wish: Wish) -> Iterator[tuple[LocalPostgres | None, str]]:
    """The server that is given, or a private one in the data folder that ends with us."""
    if wish.database_url:
        yield None, wish.database_url
        return
    server = LocalPostgres(wish.data / "postgres")
    try:
        server.start()
        yield server, _own_database(server)
    except PostgresFailed as problem:
        raise CommandFailed(str(problem), f"see {server.log}, or set OPSWIRE_DATABASE_URL") from problem
    finally:
        server.stop()


def _own_database(server: LocalPostgres) -> str:
    server.ensure_database(DATABASE)
    return server.url(DATABASE)


def require_free_ports(topology: Topology) -> None:
    """Raises CommandFailed naming the ports that somebody else has."""
    taken = [str(topology.port(service)) for service in SERVICES if not is_port_free(topology.port(service))]
    if taken:
        raise CommandFailed(f"port {', '.join(taken)} is taken", "stop what runs there, or choose another --ports-from")


def programs(wish: Wish) -> list[Program]:
    """One process a service."""
    environment = platform_environment(
        wish.topology,
        database_url=wish.database_url,
        kafka=wish.kafka,
        topic_prefix=wish.topic_prefix,
        data=wish.data,
    )
    return [Program(name, service_command(name), environment, wish.logs / f"{name}.log") for name in SERVICES]


def report_death(child: Child, code: int) -> None:
    """Said on stderr, so that nobody wonders why a service was away for a moment."""
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    errors.print(f"{child.program.name} {how}; starting it again (its log: {child.program.log})", markup=False)


async def watch(server: LocalPostgres) -> None:
    """Start our own database server again when it dies."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        if not server.is_running():
            errors.print(f"the database server ended; starting it again (its log: {server.log})", markup=False)
            server.start()


async def wait_until_ready(children: Sequence[Child], topology: Topology) -> None:
    """Return when every service says so itself. Raises CommandFailed with the reasons of those that do not."""
    async with httpx2.AsyncClient(timeout=5.0) as client:
        await asyncio.gather(*(_until_ready(client, child, topology.url(child.program.name)) for child in children))


async def _until_ready(client: httpx2.AsyncClient, child: Child, url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    said = "it does not answer"
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx2.TransportError):
            response = await client.get(f"{url}/readyz")
            if response.status_code == 200:
                child.was_ready = True
                return
            said = response.text
        await asyncio.sleep(0.1)
    name, log = child.program.name, child.program.log
    raise CommandFailed(f"{name} is not ready after {READY_SECONDS:.0f} s: {said}\n{tail(log)}", f"see {log}")


async def prepared(wish: Wish) -> Installation:
    """The running installation with its operator's key and its first store."""
    async with owner_engine(wish.database_url) as engine:
        key = await operator_key(engine, wish.data)
    installation = Installation(
        wish.database_url,
        services=wish.topology.urls,
        key=key,
        store=wish.store,
        kafka=wish.kafka,
        topic_prefix=wish.topic_prefix,
        pid=os.getpid(),
    )
    await ensure_store(installation, wish.store)
    return installation


def announce(platform: Installation, *, as_json: bool) -> None:
    """Say that it is ready: one line for scripts, a page for people."""
    if as_json:
        print_json(ready_line(platform))
        return
    people.print("opswire is up. Ctrl-C stops it.\n")
    for service, url in platform.services.items():
        people.print(f"  {service:<10} {url}  (API: {url}/docs)", markup=False)
    people.print(f"\n  store      {platform.store}\n  key        {platform.key}  (operator)", markup=False)
    people.print(f"  bus        {platform.bus}\n", markup=False)


def ready_line(platform: Installation) -> dict[str, Any]:
    """What scripts get from `opswire up --json`."""
    return {
        "services": dict(platform.services),
        "key": platform.key,
        "store": platform.store,
        "database_url": platform.database_url,
        "bus": platform.bus,
    }
