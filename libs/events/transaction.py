"""One unit of work: state and the events about it commit together, or not at all."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.events.bus import Message
from libs.events.codec import Envelope, to_message
from libs.events.contracts.base import Event
from libs.events.crash import crash_point
from libs.events.ids import uuid7
from libs.events.outbox import write_outbox

EVERY_STORE = "*"


def utc_now() -> datetime:
    """The wall clock of the edges: requests, loops, commands. Decisions get the time as an argument."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Transaction:
    """What a handler works in: a database session, the time, the event that caused it, and `emit`."""

    session: AsyncConnection
    now: datetime
    service: str
    store: str
    cause: Envelope[Any] | None = None
    import_id: str | None = None
    pending: list[Message] = field(default_factory=list)

    def emit(
        self,
        event: Event,
        *,
        time: datetime | None = None,
        store: str | None = None,
        event_id: str | None = None,
        cause: Envelope[Any] | None = None,
        import_id: str | None = None,
    ) -> Envelope[Any]:
        """Have `event` published if, and only if, this transaction commits.

        `time` is when it happened (default: now); store, import and causation default to those of the cause.
        """
        cause = cause or self.cause
        envelope: Envelope[Any] = Envelope(
            id=event_id or uuid7(self.now),
            source=f"/services/{self.service}",
            store=store or (cause.store if cause and self.store == EVERY_STORE else self.store),
            subject=event.subject,
            time=time or self.now,
            recorded_time=self.now,
            data=event,
            causation_id=cause.id if cause else None,
            correlation_id=(cause.correlation_id or cause.id) if cause else None,
            traceparent=cause.traceparent if cause else None,
            import_id=import_id or (cause.import_id if cause else None) or self.import_id,
        )
        self.post(to_message(envelope))
        return envelope

    def post(self, message: Message) -> None:
        """Have a ready message published with the commit (dead letters, events accepted from outside)."""
        self.pending.append(message)


class Transactions:
    """Begins the transactions of one service under one of its roles."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        service: str,
        role: str,
        outbox: Table,
        clock: Callable[[], datetime] = utc_now,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self.engine = engine
        self.service = service
        self.role = role
        self.outbox = outbox
        self.clock = clock
        self.committed = committed

    @asynccontextmanager
    async def begin(
        self,
        store: str = EVERY_STORE,
        *,
        cause: Envelope[Any] | None = None,
        import_id: str | None = None,
        read_only: bool = False,
    ) -> AsyncIterator[Transaction]:
        """Begin under the service's role, seeing `store` alone; commit at the end with the outbox, or roll back."""
        async with self.engine.connect() as session:
            await session.execute(
                _ENTER, {"role": self.role, "store": store, "read_only": "on" if read_only else "off"}
            )
            tx = Transaction(session, self.clock(), self.service, store, cause, import_id)
            yield tx
            await write_outbox(session, self.outbox, tx.pending)
            crash_point("transaction.before_commit")
            await session.commit()
            crash_point("transaction.after_commit")
        if tx.pending:
            self.committed()


_ENTER = text(
    "SELECT set_config('role', :role, true), set_config('opswire.store', :store, true),"
    " set_config('transaction_read_only', :read_only, true)"
)
