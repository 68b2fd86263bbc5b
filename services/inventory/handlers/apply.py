"""One function for everybody: requests, consumer, tickers and importers change stock here and nowhere else."""

import asyncio
from collections.abc import Sequence
from typing import Any

from libs.events.codec import Envelope
from libs.events.crash import crash_point
from libs.events.transaction import Transaction
from libs.service.errors import Problem
from services.inventory.domain.book import Book
from services.inventory.domain.commands import Command, Outcome
from services.inventory.domain.decide import decide
from services.inventory.store.book import load_book, save_book

SLICE = 500
"""Commands decided, or events told, between two turns of the event loop, so that others are served meanwhile."""


async def apply(commands: Sequence[Command], tx: Transaction) -> list[Outcome | Problem]:
    """Lock every SKU of the commands, decide them in their order, write what changed; what came of each.

    A problem is the answer of its own command and leaves the others alone. Raises Changed (Transient) when a
    reservation grew or appeared between finding and locking it: the same again, in a new transaction, works.
    """
    if not commands:
        return []
    book = await load_book(tx.session, commands, tx.now)
    crash_point("inventory.after_lock")
    outcomes = await _decide_all(book, commands, tx)
    await save_book(tx.session, book)
    await _tell(book, tx)
    crash_point("inventory.before_commit")
    return outcomes


async def rehearse(commands: Sequence[Command], tx: Transaction) -> list[Outcome | Problem]:
    """What would come of the commands, with nothing written and nothing told."""
    book = await load_book(tx.session, commands, tx.now)
    return await _decide_all(book, commands, tx)


async def _decide_all(book: Book, commands: Sequence[Command], tx: Transaction) -> list[Outcome | Problem]:
    outcomes = []
    for n, command in enumerate(commands, 1):
        outcomes.append(decide(book, command, tx.now))
        if n % SLICE == 0:
            await asyncio.sleep(0)
    return outcomes


async def _tell(book: Book, tx: Transaction) -> None:
    for n, (store, event, cause) in enumerate(book.facts, 1):
        trigger: Envelope[Any] | None = cause.trigger if isinstance(cause.trigger, Envelope) else None
        tx.emit(event, time=cause.at, store=store, cause=trigger, import_id=cause.import_id)
        if n % SLICE == 0:
            await asyncio.sleep(0)
