"""How member processes of a group share the partitions of the PostgreSQL bus.

A member is a database session that holds the group's shared advisory lock; who the members are, and in which order,
everybody reads from `pg_locks`. Partition number i belongs to member i modulo their count, and is held by an exclusive
advisory lock, so that it changes hands only when it was let go. A process that dies loses its session at once; one that
is frozen loses it when the server finds the session idle for `SESSION_SECONDS`.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from zlib import crc32

from libs.events.bus import BusError
from libs.events.postgres_link import DATABASE_ERRORS, Session, connect, in_terms_of_the_bus, part

SESSION_SECONDS = 10.0
"""A member that says nothing for so long has lost its partitions."""

_TICK = 1.0
_IMPATIENT_TICK = 0.05
"""While a partition that is ours is still held by another."""

_RETRY = 0.5

_MEMBERS = """
SELECT pid FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid::bigint = $1 AND objid = 0 AND objsubid = 2 AND mode = 'ShareLock' AND granted
ORDER BY pid
"""
_ENTER = "SELECT pg_advisory_lock_shared($1, 0)"
_TAKE = "SELECT id FROM unnest($2::int[]) AS id WHERE pg_try_advisory_lock($1, id)"
_LET_GO = "SELECT count(pg_advisory_unlock($1, id)) FROM unnest($2::int[]) AS id"
_TELL = "SELECT pg_notify('bus', $1)"


def fair_share(partitions: Sequence[int], members: Sequence[int], me: int) -> frozenset[int]:
    """What of `partitions` belongs to `me`: every n-th, so that shares differ by one at most."""
    rank, count = members.index(me), len(members)
    return frozenset(partition for i, partition in enumerate(partitions) if i % count == rank)


class Membership:
    """Keeps one member in its group from `join` to `leave`, whatever happens to its connection."""

    def __init__(
        self, url: str, group: str, partitions: Sequence[int], changed: Callable[[], None], session_seconds: float
    ) -> None:
        """`changed` is called when `held` changes, and when records were appended to a partition that is held."""
        self._url = url
        self._group = group
        self._lock_class = crc32(group.encode()) >> 1
        self._news = f"group {self._lock_class}"
        self._partitions = partitions
        self._changed = changed
        self._settings = {"idle_session_timeout": str(int(session_seconds * 1000))}
        self._session: Session | None = None
        self._stir = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self.held: frozenset[int] = frozenset()
        self.trouble: BusError | None = None
        """Why we are no member at present, if so."""

    def join(self) -> None:
        self._loop = asyncio.create_task(self._run(), name=f"membership {self._group}")

    async def leave(self) -> None:
        """Let everything go and tell the others."""
        if self._loop is None:
            return
        self._loop.cancel()
        await asyncio.wait([self._loop])
        self._hold(frozenset())
        session, self._session = self._session, None
        if session is not None and not session.is_closed():
            with suppress(*DATABASE_ERRORS):
                await session.execute(f"SELECT pg_advisory_unlock_all(); SELECT pg_notify('bus', '{self._news}')")
            await part(session)

    async def _run(self) -> None:
        while True:
            try:
                with in_terms_of_the_bus(f"group {self._group}"):
                    await self._be_member()
            except BusError as error:
                self.trouble = error
            self._forget()
            await asyncio.sleep(_RETRY)

    def _forget(self) -> None:
        if self._session is not None:
            self._session.terminate()
            self._session = None
        self._hold(frozenset())
        self._changed()

    async def _be_member(self) -> None:
        self._session = await connect(self._url, f"bus group {self._group}", self._settings)
        await self._session.add_listener("bus", self._hear)
        await self._session.execute(_ENTER, self._lock_class)
        await self._session.execute(_TELL, self._news)
        me = self._session.get_server_pid()
        while True:
            self._stir.clear()
            content = await self._share_out(self._session, me)
            self.trouble = None
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK if content else _IMPATIENT_TICK):
                    await self._stir.wait()

    async def _share_out(self, session: Session, me: int) -> bool:
        """Let go what is no longer ours, take what is; whether we have all of it."""
        members = [row["pid"] for row in await session.fetch(_MEMBERS, self._lock_class)]
        wanted = fair_share(self._partitions, members, me)
        surplus = self.held - wanted
        if surplus:
            self._hold(self.held - surplus)
            await session.execute(_LET_GO, self._lock_class, sorted(surplus))
            await session.execute(_TELL, self._news)
        missing = wanted - self.held
        if missing:
            taken = await session.fetch(_TAKE, self._lock_class, sorted(missing))
            self._hold(self.held | {row["id"] for row in taken})
        return wanted == self.held

    def _hold(self, partitions: frozenset[int]) -> None:
        if partitions != self.held:
            self.held = partitions
            self._changed()

    def _hear(self, _session: Session, _pid: int, _channel: str, payload: str) -> None:
        if payload == self._news:
            self._stir.set()
        elif payload[0].isdigit() and not self.held.isdisjoint(map(int, payload.split())):
            self._changed()
