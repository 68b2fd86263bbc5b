"""Repeats that say something else: the first accepted counts, the difference is counted in completeness (D1)."""

from collections.abc import Mapping
from typing import Any, Final

from libs.events.transaction import Transaction
from services.kpi.rows import driver

Counts = Mapping[tuple[str, str], int]
"""(store, topic) -> how many."""


async def count_differing(counts: Counts, tx: Transaction) -> None:
    """Remember these in the transaction of the batch that they came with."""
    await save_differing(await driver(tx.session), counts)


async def save_differing(connection: Any, counts: Counts) -> None:
    """Add them up by store and topic."""
    rows = sorted((store, topic, count) for (store, topic), count in counts.items() if count)
    if rows:
        await connection.execute(_ADD, *(list(column) for column in zip(*rows, strict=True)))


_ADD: Final = """
INSERT INTO kpi.differing AS d (store, topic, events)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
ON CONFLICT (store, topic) DO UPDATE SET events = d.events + excluded.events
"""
