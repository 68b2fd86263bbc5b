"""What an action answers, and the transactions that give one answer to every repeat of a call."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError

from libs.events.failures import sqlstate
from libs.events.transaction import Transaction
from libs.service import etags, idempotency, problems, wire
from libs.service.errors import Problem
from libs.service.idempotency import Claim, Kept

_TRIES = 3
_ROLLED_BACK = ("40001", "40P01")
"""Serialization failure, deadlock: nothing happened, the same again may work."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an action answers: instants as `datetime` (written in the store's offset), models, dicts, lists.

    An answer of `once` is kept for repeats: no personal data in it that is not masked.
    """

    status: int
    body: Any = None
    etag: int | str | None = None
    location: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def kept(self, zone: ZoneInfo | None) -> Kept:
        """As it is written down and sent."""
        made = dict(self.headers)
        if self.etag is not None:
            made["ETag"] = etags.etag_of(self.etag)
        if self.location is not None:
            made["Location"] = self.location
        return Kept(self.status, wire.encode(self.body, zone), made)


Action = Callable[[Transaction], Awaitable[Answer]]
Begin = Callable[[], AbstractAsyncContextManager[Transaction]]


@dataclass(frozen=True, slots=True)
class Given:
    """An answer, and whether it was given before."""

    kept: Kept
    repeated: bool


@dataclass(frozen=True)
class Repeatable:
    """One call that may come several times, at once or after its answer was lost."""

    begin: Begin
    table: Table
    claims: Sequence[Claim]
    zone: ZoneInfo | None

    async def once(self, action: Action) -> Given:
        """The effect at most once; what the action refuses is kept too (D2). Raises what is not kept."""
        try:
            return await self._attempts(action)
        except Problem as problem:
            return await self.refuse(problem)

    async def recall(self) -> Kept | None:
        """The answer kept, if any. Raises IdempotencyMismatch, Conflict."""
        if self.claims:
            async with self.begin() as tx:
                for wanted in self.claims:
                    if (kept := await idempotency.look_up(tx.session, self.table, wanted)) is not None:
                        return kept
        return None

    async def refuse(self, problem: Problem) -> Given:
        """Keep what was refused, after the rollback, for the key alone; a parallel repeat's answer wins over ours."""
        by_key = [wanted for wanted in self.claims if not wanted.is_natural]
        if not problem.kept or not by_key:
            raise problem
        kept = Kept(problem.status, headers=problem.headers, problem=problems.document(problem))
        async with self.begin() as tx:
            other = await idempotency.claim(tx.session, self.table, by_key[0], tx.now)
            if other is not None:
                return Given(other, repeated=True)
            await idempotency.keep(tx.session, self.table, by_key[0], kept)
        return Given(kept, repeated=False)

    async def replace(self, answer: Answer) -> Given:
        """Keep another answer for what was claimed and committed already."""
        kept = answer.kept(self.zone)
        if self.claims:
            async with self.begin() as tx:
                await idempotency.keep_all(tx.session, self.table, dict.fromkeys(self.claims, kept))
        return Given(kept, repeated=False)

    async def _attempts(self, action: Action) -> Given:
        for attempt in range(1, _TRIES):
            try:
                return await self._attempt(action)
            except DBAPIError as error:
                if sqlstate(error) not in _ROLLED_BACK:
                    raise
            await asyncio.sleep(random.uniform(0.005, 0.05) * attempt)
        return await self._attempt(action)

    async def _attempt(self, action: Action) -> Given:
        mine: list[Claim] = []
        async with self.begin() as tx:
            known = await self._claim(tx, mine)
            kept = known or (await action(tx)).kept(self.zone)
            await idempotency.keep_all(tx.session, self.table, dict.fromkeys(mine, kept))
        return Given(kept, repeated=known is not None)

    async def _claim(self, tx: Transaction, mine: list[Claim]) -> Kept | None:
        """Claim one after the other until one is known; a new key for an old natural id gets the old answer too."""
        for wanted in self.claims:
            kept = await idempotency.claim(tx.session, self.table, wanted, tx.now)
            if kept is not None:
                return kept
            mine.append(wanted)
        return None
