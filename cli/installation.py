"""Which platform a command works on: the one that runs on `--data`, or the one that OPSWIRE_DATABASE_URL names."""

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Self

import psutil
import typer
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.local.processes import write_private
from cli.local.topology import Topology
from cli.output import CommandFailed
from libs.service.database import async_url, create_engine

DEFAULT_DATA = Path("./var")
RUNTIME_FILE = "runtime.json"

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of the running platform (default ./var).", show_default=False)
]


@dataclass(frozen=True, slots=True)
class Installation:
    """What a command must know about the platform. `key` and `services` are empty when only the database is known."""

    database_url: str
    services: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    store: str = ""
    kafka: str = ""
    topic_prefix: str = ""
    pid: int = 0

    @property
    def bus(self) -> str:
        return "kafka" if self.kafka else "postgres"

    def address(self, service: str) -> str:
        """Where a service listens; the usual port where nobody said."""
        return self.services.get(service) or Topology.from_port().url(service)

    @classmethod
    def read(cls, data: Path) -> Self:
        """What `opswire up` left in its data folder."""
        return cls(**json.loads((data / RUNTIME_FILE).read_text(encoding="utf-8")))

    def write(self, data: Path) -> None:
        """Leave it for other commands, readable by the owner only: it holds the operator's key."""
        write_private(data / RUNTIME_FILE, json.dumps(asdict(self), indent=1))

    def engine(self) -> AbstractAsyncContextManager[AsyncEngine]:
        """The database as its owner. Raises CommandFailed when it cannot be reached."""
        return owner_engine(self.database_url)


NOT_RUNNING_FIX = (
    "start it with `opswire up`, name its folder by --data, or set OPSWIRE_DATABASE_URL to work on a server elsewhere"
)
DATABASE_FIX = "check OPSWIRE_DATABASE_URL, or that `opswire up` runs; `opswire doctor` tells more"


@asynccontextmanager
async def owner_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """The database as its owner, for one command. Raises CommandFailed when it cannot be reached."""
    engine = create_engine(database_url, name="opswire", pool_size=2, max_overflow=0)
    try:
        yield engine
    except (OSError, TimeoutError, SQLAlchemyError) as problem:
        raise CommandFailed(f"the database does not answer as it should: {problem}", DATABASE_FIX) from problem
    finally:
        await engine.dispose()


def find_installation(data: Path | None) -> Installation:
    """`--data` if given, else OPSWIRE_DATABASE_URL if set, else what runs on ./var. Raises CommandFailed."""
    url = os.environ.get("OPSWIRE_DATABASE_URL", "")
    if data is None and url:
        return _from_environment(url)
    folder = data or DEFAULT_DATA
    try:
        found = Installation.read(folder)
    except FileNotFoundError:
        raise CommandFailed(f"no platform is running on {folder}", NOT_RUNNING_FIX) from None
    except (OSError, ValueError, TypeError) as problem:
        raise CommandFailed(f"{folder / RUNTIME_FILE} cannot be read: {problem}", NOT_RUNNING_FIX) from problem
    if found.pid and not psutil.pid_exists(found.pid):
        raise CommandFailed(f"the platform on {folder} was killed", NOT_RUNNING_FIX)
    return found


def _from_environment(url: str) -> Installation:
    services = {
        name: os.environ.get(f"OPSWIRE_{name.upper()}_URL") or usual
        for name, usual in Topology.from_port().urls.items()
    }
    return Installation(
        async_url(url),
        services=services,
        kafka=os.environ.get("OPSWIRE_KAFKA", ""),
        topic_prefix=os.environ.get("OPSWIRE_TOPIC_PREFIX", ""),
    )
