"""A connection of one's own to PostgreSQL: made when needed, made anew when lost, used by one caller at a time."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from libs.events.bus import BusRefused, BusUnavailable
from libs.events.failures import Verdict, decide

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 30.0

Session = Any
"""An `asyncpg.Connection`, which ships without types."""

DATABASE_ERRORS = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresError)


@contextmanager
def in_terms_of_the_bus(what: str) -> Iterator[None]:
    """Errors of the database as the port names them."""
    try:
        yield
    except DATABASE_ERRORS as error:
        reason = f"{what}: {type(error).__name__}: {error}"
        if decide(error) is Verdict.RETRY:
            raise BusUnavailable(reason) from error
        raise BusRefused(reason) from error


async def connect(url: str, name: str, settings: dict[str, str]) -> Session:
    """A connection with every timeout set. `url` as SQLAlchemy writes it."""
    address = make_url(url).set(drivername="postgresql+asyncpg")
    _, options = address.get_dialect()().create_connect_args(address)
    options.pop("prepared_statement_cache_size", None)
    return await asyncpg.connect(
        **options,
        timeout=CONNECT_SECONDS,
        command_timeout=COMMAND_SECONDS,
        server_settings={
            "application_name": name,
            "timezone": "UTC",
            "jit": "off",
            "lock_timeout": "20s",
            "statement_timeout": f"{int(COMMAND_SECONDS)}s",
            "tcp_keepalives_idle": "10",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
            **settings,
        },
    )


class Link:
    """Lends its connection. After any error or cancellation the connection is thrown away: its state is not known."""

    def __init__(self, url: str, name: str, **settings: str) -> None:
        self._url = url
        self._name = name
        self._settings = settings
        self._session: Session | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Session]:
        """Raises BusUnavailable, BusRefused in place of the database's errors."""
        async with self._turn:
            with in_terms_of_the_bus(self._name):
                try:
                    if self._session is None or self._session.is_closed():
                        self._session = await connect(self._url, self._name, self._settings)
                    yield self._session
                except BaseException:
                    self._drop()
                    raise

    def _drop(self) -> None:
        if self._session is not None:
            self._session.terminate()
            self._session = None

    async def close(self) -> None:
        async with self._turn:
            session, self._session = self._session, None
            if session is not None:
                await part(session)


async def part(session: Session) -> None:
    """Close politely, or at once when the server does not answer."""
    try:
        await session.close(timeout=CONNECT_SECONDS)
    except DATABASE_ERRORS:
        session.terminate()
