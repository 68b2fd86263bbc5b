"""What must always hold: each service says it of its own schema in `invariants.py`, `opswire verify` asks them all.

A service's `violations(session)` sees every store (its worker's role) and only reads. What two services must agree on
is not asked here: nobody reads another's tables, so each says its side and `verify` compares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

Fact = int | str

OUTBOX_SECONDS = 60
"""How long an event may wait for its relay before that is a broken promise (P2)."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken invariant: which, of what, and the two facts that should agree."""

    invariant: str
    store: str
    subject: str
    expected: Fact
    found: Fact

    def __str__(self) -> str:
        return f"{self.invariant}: {self.store}/{self.subject}: expected {self.expected}, found {self.found}"


Checks = Mapping[str, str]
"""Invariant -> the SELECT of everything that breaks it: store, subject, expected, found."""


async def broken(session: AsyncConnection, checks: Checks) -> list[Violation]:
    """What breaks any of these."""
    return [
        Violation(name, row[0], row[1], _fact(row[2]), _fact(row[3]))
        for name, query in checks.items()
        for row in await session.execute(text(query.replace("::", "\\:\\:")))
    ]


def _fact(value: str | int | Decimal) -> Fact:
    """A sum comes as a Decimal, a large round one even as 1E+9."""
    return value if isinstance(value, str) else int(value)


def shared_checks(schema: str) -> Checks:
    """What holds of the tables that every service has (libs.events.tables, idempotency)."""
    return {
        "no event waits long in the outbox": f"""
            SELECT '*', '{schema}.outbox ' || topic, 0, count(*) FROM {schema}.outbox
            WHERE written_at < now() - interval '{OUTBOX_SECONDS} seconds' GROUP BY topic
        """,
        "no call is left half answered": f"""
            SELECT store, '{schema} ' || route || ' ' || key, 'an answer', 'none' FROM {schema}.idempotency
            WHERE status IS NULL
        """,
        "every watermark is at most now": f"""
            SELECT '*', '{schema} ' || topic, now()::text, until::text FROM {schema}.watermark
            WHERE until > now() + interval '10 seconds'
        """,
    }
