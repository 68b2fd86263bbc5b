"""What a running service is made of, put together once, in its `app.py`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, Table, text
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.events.bus import Bus
from libs.events.consumer import Consumer, Reactions
from libs.events.contracts.base import TOPICS, Topic, dead_topic
from libs.events.open import open_bus
from libs.events.outbox import Relay, Until, emptied
from libs.events.tables import EventTables, event_tables
from libs.events.transaction import Transactions, utc_now
from libs.service import auth, idempotency, readiness, stores
from libs.service.auth import KeptKey, Keyring
from libs.service.database import api_role, create_engine, worker_role
from libs.service.logging import get_logger
from libs.service.metrics import POOL_CONNECTIONS
from libs.service.migration import require_migrated
from libs.service.overload import Gate
from libs.service.privacy import Pseudonyms
from libs.service.settings import Settings
from libs.service.stores import StoreInfo, Stores
from libs.service.tickers import Tick, every
from libs.service.watchdog import Watchdog

Loop = Callable[[], Awaitable[None]]
Check = Callable[[], Awaitable[str | None]]
"""What readiness asks: None when all is well, else the reason in plain words."""


@dataclass(frozen=True)
class ServiceTables:
    """The tables that every service has besides its own."""

    events: EventTables
    idempotency: Table


def service_tables(metadata: MetaData) -> ServiceTables:
    """Add them to a service's metadata."""
    return ServiceTables(event_tables(metadata), idempotency.idempotency_table(metadata))


@dataclass(frozen=True)
class Installation:
    """What was made once, at the first migration."""

    id: str
    internal_key: str
    pseudonyms: Pseudonyms
    sealing_key: bytes
    """Encrypts personal data at rest."""


@dataclass
class Runtime:
    """One service in one process."""

    name: str
    settings: Settings
    tables: ServiceTables
    engine: AsyncEngine
    bus: Bus
    api: Transactions
    worker: Transactions
    relay: Relay
    clock: Callable[[], datetime]
    migrations: Path | None = None
    loops: dict[str, Loop] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)
    consumers: list[Consumer] = field(default_factory=list)
    _installation: Installation | None = None

    def __post_init__(self) -> None:
        self.keyring = Keyring(self._load_key, self.clock)
        self.stores = Stores(self._load_stores)
        self.watchdog = Watchdog(self.clock, timedelta(seconds=self.settings.stalled_seconds))
        self.gate = Gate(
            concurrency=self.settings.concurrency,
            burst=self.settings.burst,
            queue_seconds=self.settings.queue_seconds,
        )

    @property
    def installation(self) -> Installation:
        """The installation's id, internal key and pseudonyms; known once started."""
        if self._installation is None:
            raise RuntimeError("the runtime has not been started")
        return self._installation

    # what a service's app.py adds

    def consume(self, reactions: Reactions, **options: Any) -> Consumer:
        """Consume the topics of these reactions; `options` are those of `Consumer`."""
        group = options.pop("group", self.name)
        consumer = Consumer(
            group,
            bus=self.bus,
            transactions=self.worker,
            tables=self.tables.events,
            reactions=reactions,
            **options,
        )
        self.consumers.append(consumer)
        self.loop(f"consumer:{group}", consumer.run)
        return consumer

    def every(self, name: str, seconds: float, action: Tick) -> None:
        """Run `action` every `seconds`."""
        self.loop(name, every(seconds, action, service=self.name, name=name))

    def loop(self, name: str, run: Loop) -> None:
        """Run a loop beside the server; when it ends, so does the process. Raises ValueError for a name taken."""
        if name in self.loops:
            raise ValueError(f"there is a loop {name} already")
        self.loops[name] = run

    def check(self, name: str, ask: Check) -> None:
        """Have `/readyz` ask this too."""
        self.checks[name] = ask

    # life

    async def start(self) -> None:
        """Check the migration, read the installation, connect the bus, make the topics. Raises what is wrong."""
        await require_migrated(self.engine, "access")
        await require_migrated(self.engine, self.name, folder=self.migrations)
        self._installation = await self._load_installation()
        await self.bus.start()
        await self.bus.ensure_topics(self._topics())

    async def close(self) -> None:
        """Let go of the bus and the database; what cannot be saved any more is logged and left."""
        for step in (self._save_last_uses, self.bus.close, self.engine.dispose):
            try:
                async with asyncio.timeout(2):
                    await step()
            except Exception as error:  # noqa: BLE001 - the next step comes in any case
                get_logger(__name__).warning("could not close", step=step.__name__, reason=type(error).__name__)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Runtime"]:
        """Started, with all loops, in this event loop (tests); `lifecycle.serve` does the same with a server."""
        await self.start()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_run(name, run), name=name) for name, run in self.loops.items()]
                yield self
                for task in tasks:
                    task.cancel()
        finally:
            await self.close()

    def _topics(self) -> list[Topic]:
        consumed = {topic for consumer in self.consumers for topic in consumer.reactions.topics}
        owned = {topic.name for topic in TOPICS.values() if topic.owner == self.name}
        return [
            *(TOPICS[name] for name in sorted(owned | consumed)),
            *(dead_topic(TOPICS[name], self.name) for name in sorted(consumed)),
        ]

    async def _load_installation(self) -> Installation:
        async with self.worker.begin(read_only=True) as tx:
            row = (await tx.session.execute(text("SELECT id, secret, pseudonym_key FROM access.installation"))).one()
        secret = bytes(row.secret)
        pseudonyms = Pseudonyms(bytes(row.pseudonym_key))
        return Installation(row.id, auth.internal_key(secret), pseudonyms, auth.sealing_key(secret))

    async def _load_key(self, key_id: str) -> KeptKey | None:
        async with self.worker.begin(read_only=True) as tx:
            return await auth.load_key(tx.session, key_id)

    async def _load_stores(self, store: str | None) -> list[StoreInfo]:
        async with self.worker.begin(read_only=True) as tx:
            return await stores.load_stores(tx.session, store)

    async def _watch(self) -> None:
        for consumer in self.consumers:
            await self.watchdog.look(consumer)

    async def _save_last_uses(self) -> None:
        used = dict(self.keyring.used)
        self.keyring.used.clear()
        if used:
            async with self.worker.begin() as tx:
                await auth.save_last_uses(tx.session, used)

    async def _purge(self) -> None:
        before = self.clock() - timedelta(hours=self.settings.idempotency_hours)
        async with self.worker.begin() as tx:
            await idempotency.purge(tx.session, self.tables.idempotency, before)


class LoopEnded(Exception):
    """A loop that should run for ever has ended."""


async def _run(name: str, run: Loop) -> None:
    await run()
    raise LoopEnded(f"the loop {name} ended")


def open_runtime(
    settings: Settings,
    name: str,
    tables: ServiceTables,
    *,
    beats: Mapping[str, Until] | None = None,
    bus: Bus | None = None,
    migrations: Path | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Runtime:
    """Put a service's parts together; nothing is connected before `start`.

    `beats`: `until` of the owned topics that are not fed by the outbox alone. `migrations`: their folder, where it is
    not the usual one.
    """
    engine = _engine(settings, name)
    bus = bus or _bus(settings, lambda: runtime.installation.id)
    outbox = tables.events.outbox
    own = _beats(name, beats or {})
    relay = Relay(service=name, role=worker_role(name), engine=engine, bus=bus, outbox=outbox, clock=clock, beats=own)
    transactions = partial(Transactions, engine, service=name, outbox=outbox, clock=clock, committed=relay.wake)
    runtime = Runtime(
        name=name,
        settings=settings,
        tables=tables,
        engine=engine,
        bus=bus,
        api=transactions(role=api_role(name)),
        worker=transactions(role=worker_role(name)),
        relay=relay,
        clock=clock,
        migrations=migrations,
    )
    _furnish(runtime)
    return runtime


def _engine(settings: Settings, name: str) -> AsyncEngine:
    return create_engine(
        settings.database_url.get_secret_value(),
        name=f"opswire {name}",
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
    )


def _bus(settings: Settings, installation: Callable[[], str]) -> Bus:
    return open_bus(
        settings.database_url.get_secret_value(),
        kafka=settings.kafka,
        prefix=settings.topic_prefix,
        installation=installation,
    )


def _beats(name: str, given: Mapping[str, Until]) -> dict[str, Until]:
    return {topic.name: given.get(topic.name, emptied) for topic in TOPICS.values() if topic.owner == name}


def _furnish(runtime: Runtime) -> None:
    """The loops and checks that every service has."""
    runtime.loop("relay", runtime.relay.run)
    runtime.every("last uses of keys", 30, runtime._save_last_uses)
    runtime.every("watchdog", 5, runtime._watch)
    runtime.every("purge kept answers", 600, runtime._purge)
    runtime.check("database", lambda: readiness.database(runtime))
    runtime.check("bus", lambda: readiness.bus(runtime))
    runtime.check("progress", lambda: readiness.progress(runtime))
    pool: Any = runtime.engine.pool
    POOL_CONNECTIONS.labels(runtime.name).set_function(lambda: float(pool.checkedout()))
