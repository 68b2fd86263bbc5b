"""One call: who makes it, for which store, with what body; and the ways to answer it.

async def receive(body: Receipt, call: Call) -> Response:
    return await call.once(lambda tx: handlers.receive_stock(body.command(), tx))
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

from fastapi import Depends
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import Response

from libs.events.failures import sqlstate
from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from libs.service import etags, idempotency, problems, wire
from libs.service.auth import EVERY_STORE, Principal
from libs.service.errors import Forbidden, Problem, Unauthenticated, Validation, fault
from libs.service.idempotency import Claim, Kept
from libs.service.languages import language_of
from libs.service.metrics import ANSWERS_REPEATED
from libs.service.stores import StoreInfo

if TYPE_CHECKING:
    from libs.service.runtime import Runtime

P = TypeVar("P")
KEY_LENGTH = 255
_TRIES = 3


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

    def all_headers(self) -> dict[str, str]:
        """The headers with those of the version and the place."""
        made = dict(self.headers)
        if self.etag is not None:
            made["ETag"] = etags.etag_of(self.etag)
        if self.location is not None:
            made["Location"] = self.location
        return made


Action = Callable[[Transaction], Awaitable[Answer]]


class CallContext:
    """What a route gets as `call: Call`."""

    def __init__(
        self, request: Request, runtime: "Runtime", principal: Principal | None, route: str, content: bytes, body: Any
    ) -> None:
        """`route` is the method and the path's template; `body` is the decoded JSON, or the bytes of a raw route."""
        self.request = request
        self.runtime = runtime
        self.route = route
        self.content = content
        self.body = body
        self._principal = principal
        self._store: str | None = None

    # who and where

    @property
    def principal(self) -> Principal:
        """The caller. Raises Unauthenticated on a route without keys."""
        if self._principal is None:
            raise Unauthenticated
        return self._principal

    @property
    def actor(self) -> str:
        """How the audit log names the caller."""
        return self._principal.actor if self._principal else "anonymous"

    @property
    def store(self) -> str:
        """The store that the call is about: the key's, or the one an operator names. Raises Forbidden, Validation."""
        if self._store is None:
            self._store = self._resolve_store()
        return self._store

    def for_store(self, store: str) -> "CallContext":
        """The same call about a store that the path names (stores, webhooks). Raises Forbidden for another's key."""
        if self._principal is not None and self._principal.store not in (EVERY_STORE, store):
            raise Forbidden("the key belongs to another store")
        self._store = store
        return self

    async def store_info(self) -> StoreInfo:
        """Zone, currency and language of the call's store. Raises NotFound."""
        return await self.runtime.stores.get(self.store)

    @cached_property
    def named_store(self) -> str | None:
        """The store in `?store=` or in the body. Raises Validation when they differ."""
        in_query = self.request.query_params.get("store")
        in_body = self.body.get("store") if isinstance(self.body, dict) else None
        if in_body is not None and not isinstance(in_body, str):
            raise Validation("store: not a string", errors=[fault("/store", "string_type", "not a string")])
        if in_query is not None and in_body is not None and in_query != in_body:
            raise Validation("two stores are named", errors=[fault("/store", "store", "differs from ?store=")])
        return in_query if in_query is not None else in_body

    def _resolve_store(self) -> str:
        own, named = self.principal.store, self.named_store
        if own != EVERY_STORE:
            if named not in (None, own):
                raise Forbidden("the key belongs to another store")
            return own
        if not named or named == EVERY_STORE:
            raise Validation("name the store", errors=[fault("/store", "missing", "an operator's key names the store")])
        return named

    # what is asked

    @property
    def language(self) -> str:
        """`zh` or `en`, by Accept-Language."""
        return language_of(self.request.headers.get("accept-language"))

    @property
    def idempotency_key(self) -> str | None:
        """The header `Idempotency-Key`, quotes of its structured form taken off. Raises Validation."""
        header = self.request.headers.get("idempotency-key")
        if header is None:
            return None
        key = header.strip().strip('"')
        if not key or len(key) > KEY_LENGTH or not key.isprintable():
            message = f"1 to {KEY_LENGTH} printable characters"
            raise Validation("Idempotency-Key: " + message, errors=[fault("/Idempotency-Key", "header", message)])
        return key

    @property
    def import_id(self) -> str | None:
        """`?import_id=` (D78). Raises Validation."""
        given = self.request.query_params.get("import_id")
        if given is not None and not (1 <= len(given) <= 128 and given.isprintable()):
            raise Validation("import_id: 1 to 128 characters", errors=[fault("/import_id", "length", "1 to 128")])
        return given

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case."""
        return self.request.headers.get("content-type", "").partition(";")[0].strip().lower()

    def require_match(self, present: int | str, *, required: bool = False) -> None:
        """Honour `If-Match` against the present version (D48). Raises Stale; PreconditionRequired if `required`."""
        etags.require_match(self.request.headers.get("if-match"), present, required=required)

    def id_or_derived(self, given: str | None) -> str:
        """The id given, else one derived from store, path and Idempotency-Key, so that a repeat finds it, else new."""
        if given is not None:
            return given
        key = self.idempotency_key
        return uuid7(self.runtime.clock()) if key is None else self._derived(key)

    def _derived(self, key: str) -> str:
        return str(uuid5(NAMESPACE_URL, f"opswire:{self.store}:{self.request.method} {self.request.url.path}:{key}"))

    # answering

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that reads the call's store."""
        return self.runtime.api.begin(self.store, read_only=True)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """A transaction that writes, without a kept answer; for calls of several transactions."""
        async with self.runtime.api.begin(self.store, import_id=self.import_id) as tx:
            yield tx

    async def reply(self, answer: Answer) -> Response:
        """Answer without keeping it (reads). 304 when `If-None-Match` names the version."""
        headers = answer.all_headers()
        tag = headers.get("ETag")
        known = self.request.headers.get("if-none-match")
        if tag and known and self.request.method == "GET" and tag in etags.tags_in(known):
            return Response(status_code=304, headers={"ETag": tag})
        return _response(Kept(answer.status, await self._encode(answer.body), headers))

    async def page(self, items: list[Any], next_cursor: str | None) -> Response:
        """Answer a page of a list, with `Link: rel="next"`."""
        headers = {}
        if next_cursor is not None:
            url = self.request.url.include_query_params(cursor=next_cursor)
            headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        return await self.reply(Answer(200, {"items": items, "next_cursor": next_cursor}, headers=headers))

    async def once(self, action: Action, *, natural: tuple[str, str] | None = None) -> Response:
        """Do `action` in one transaction, at most once, and answer after the commit.

        With an `Idempotency-Key` or a `natural` id (kind, id) the answer is kept in the same transaction; a repeat gets
        it again without a second effect. A deadlock is tried again, so the action touches nothing but its transaction.
        """
        claims = self._claims(natural)
        try:
            kept = await self._attempts(action, claims)
        except Problem as problem:
            kept = await self._keep_problem(problem, claims)
        return self._given(kept)

    async def once_after(
        self,
        prepare: Callable[[], Awaitable[P]],
        action: Callable[[Transaction, P], Awaitable[Answer]],
        *,
        natural: tuple[str, str] | None = None,
    ) -> Response:
        """As `once`, with something to be done outside before, without a transaction held over it (D12).

        `prepare` runs only when no answer is kept yet, may run again at a repeat (give it the same ids), and what it
        refuses is kept like what the action refuses.
        """
        recalled = await self.recall(natural=natural)
        if recalled is not None:
            return recalled
        try:
            prepared = await prepare()
        except Problem as problem:
            return self._given(await self._keep_problem(problem, self._claims(natural)))
        return await self.once(lambda tx: action(tx, prepared), natural=natural)

    async def once_then(
        self,
        action: Action,
        settle: Callable[[], Awaitable[Answer | None]],
        *,
        natural: tuple[str, str] | None = None,
    ) -> Response:
        """As `once`, with something to be done outside after the commit (D16).

        `settle` runs only after the first call; an answer that it gives replaces the one that was kept.
        """
        claims = self._claims(natural)
        try:
            kept = await self._attempts(action, claims)
        except Problem as problem:
            return self._given(await self._keep_problem(problem, claims))
        if not kept[1] and (settled := await settle()) is not None:
            kept = await self._replace(settled, claims), False
        return self._given(kept)

    async def recall(self, *, natural: tuple[str, str] | None = None) -> Response | None:
        """The answer kept for this call, if any. Raises IdempotencyMismatch, Conflict."""
        claims = self._claims(natural)
        if not claims:
            return None
        async with self.read() as tx:
            for wanted in claims:
                kept = await idempotency.look_up(tx.session, self._table, wanted)
                if kept is not None:
                    return self._given(kept, repeated=True)
        return None

    # inside

    @property
    def _table(self) -> Any:
        return self.runtime.tables.idempotency

    def _claims(self, natural: tuple[str, str] | None) -> list[Claim]:
        """The key's claim first, then the natural id's: every call takes them in this order."""
        asked = self._asked
        claims = []
        if (key := self.idempotency_key) is not None:
            route = f"{self.request.method} {self.request.url.path}"
            claims.append(Claim(self.store, route, key, asked))
        if natural is not None:
            claims.append(Claim(self.store, idempotency.NATURAL + natural[0], natural[1], asked))
        return claims

    @cached_property
    def _asked(self) -> bytes:
        body = self.body
        if isinstance(body, dict) and "store" in body:
            body = {name: value for name, value in body.items() if name != "store"}
        return idempotency.fingerprint(body)

    async def _attempts(self, action: Action, claims: list[Claim]) -> tuple[Kept, bool]:
        for attempt in range(1, _TRIES + 1):
            try:
                return await self._attempt(action, claims)
            except DBAPIError as error:
                if sqlstate(error) not in ("40001", "40P01") or attempt == _TRIES:
                    raise
            await asyncio.sleep(random.uniform(0.005, 0.05) * attempt)
        raise AssertionError("unreachable")

    async def _attempt(self, action: Action, claims: list[Claim]) -> tuple[Kept, bool]:
        async with self.begin() as tx:
            for wanted in claims:
                kept = await idempotency.claim(tx.session, self._table, wanted, tx.now)
                if kept is not None:
                    return await self._again(tx, kept, claims)
            answer = await action(tx)
            kept = Kept(answer.status, await self._encode(answer.body), answer.all_headers())
            for wanted in claims:
                await idempotency.keep(tx.session, self._table, wanted, kept)
        return kept, False

    async def _replace(self, answer: Answer, claims: list[Claim]) -> Kept:
        kept = Kept(answer.status, await self._encode(answer.body), answer.all_headers())
        if claims:
            async with self.begin() as tx:
                for wanted in claims:
                    await idempotency.keep(tx.session, self._table, wanted, kept)
        return kept

    async def _again(self, tx: Transaction, kept: Kept, claims: list[Claim]) -> tuple[Kept, bool]:
        """A repeat: what this transaction claimed meanwhile (a new key for an old natural id) gets the same answer."""
        for wanted in claims:
            await idempotency.keep(tx.session, self._table, wanted, kept)
        return kept, True

    async def _keep_problem(self, problem: Problem, claims: list[Claim]) -> tuple[Kept, bool]:
        """Keep what was refused, after the rollback, for the key alone; a parallel repeat's answer wins over ours."""
        by_key = [wanted for wanted in claims if not wanted.is_natural]
        if not problem.kept or not by_key:
            raise problem
        kept = Kept(problem.status, headers=problem.headers, problem=problems.document(problem))
        async with self.runtime.api.begin(self.store) as tx:
            other = await idempotency.claim(tx.session, self._table, by_key[0], tx.now)
            if other is not None:
                return other, True
            await idempotency.keep(tx.session, self._table, by_key[0], kept)
        return kept, False

    def _given(self, kept: "tuple[Kept, bool] | Kept", *, repeated: bool = False) -> Response:
        if isinstance(kept, tuple):
            kept, repeated = kept
        if repeated:
            ANSWERS_REPEATED.labels(self.runtime.name).inc()
        if kept.problem is not None:
            return problems.response(dict(kept.problem), self.request, kept.headers)
        return _response(kept)

    async def _encode(self, body: Any) -> bytes:
        if body is None:
            return b""
        zone = (await self.store_info()).zone if self._principal or self._store else None
        return wire.encode(body, zone)


def _response(kept: Kept) -> Response:
    media_type = "application/json" if kept.body else None
    return Response(kept.body, status_code=kept.status, headers=dict(kept.headers), media_type=media_type)


def call_of(request: Request) -> CallContext:
    """The call that the route opened."""
    call: CallContext = request.state.call
    return call


Call = Annotated[CallContext, Depends(call_of)]
