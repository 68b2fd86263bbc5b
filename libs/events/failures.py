"""What to do about an error while handling events: one pure function decides."""

from enum import Enum

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from libs.events.bus import BusRefused, BusUnavailable


class Verdict(Enum):
    """The three side roads of a batch."""

    RETRY = "retry"
    DEAD_LETTER = "dead_letter"
    STOP = "stop"


class Transient(Exception):
    """Something outside is away for now; the same attempt may work later."""


class Stop(Exception):
    """Going on would lose or falsify something: the process ends and says why (P5, fail closed)."""


_TRANSIENT_SQLSTATES = ("08", "40", "53", "55", "57", "58")
"""Classes of connection, rollback (deadlock, serialization), resources, lock, intervention and system error."""


def decide(error: BaseException) -> Verdict:
    """Retry what may pass, stop where the log or the deployment is wrong, dead-letter what the event itself causes."""
    if isinstance(error, (Stop, BusRefused)):
        return Verdict.STOP
    if isinstance(error, (Transient, BusUnavailable, OSError, TimeoutError, PoolTimeout)):
        return Verdict.RETRY
    if isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError)):
        return Verdict.RETRY  # the second is what a statement gets whose connection breaks at that very moment
    if isinstance(error, (DBAPIError, asyncpg.PostgresError)):
        return _of_database(error)
    return Verdict.DEAD_LETTER


def _of_database(error: DBAPIError | asyncpg.PostgresError) -> Verdict:
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Verdict.RETRY
    state = sqlstate(error)
    if state is None or state.startswith(_TRANSIENT_SQLSTATES):
        return Verdict.RETRY
    if state.startswith("42"):  # undefined table or column, no privilege: the deployment is wrong, not the event
        return Verdict.STOP
    return Verdict.DEAD_LETTER


def sqlstate(error: BaseException) -> str | None:
    """The five-character SQLSTATE of a database error, however deep the driver wrapped it."""
    seen: BaseException | None = error
    while seen is not None:
        state = getattr(seen, "sqlstate", None) or getattr(seen, "pgcode", None)
        if isinstance(state, str):
            return state
        seen = getattr(seen, "orig", None) or seen.__cause__
    return None
