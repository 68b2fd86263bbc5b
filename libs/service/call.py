"""One call: who makes it, for which store, with what body; and the ways to answer it.

async def receive(body: Receipt, call: Call) -> Response:
    return await call.once(lambda tx: handlers.receive_stock(body.command(), tx))
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from libs.service import etags, idempotency, problems
from libs.service.answers import Action, Answer, Given, Repeatable
from libs.service.auth import EVERY_STORE, Principal
from libs.service.errors import Problem, Unauthenticated, Validation, fault
from libs.service.idempotency import Claim, Kept
from libs.service.languages import language_of
from libs.service.metrics import ANSWERS_REPEATED
from libs.service.stores import StoreInfo

if TYPE_CHECKING:
    from libs.service.runtime import Runtime

P = TypeVar("P")
KEY_LENGTH = 255


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
        self._info: StoreInfo | None = None

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
        if self._principal is not None:
            self._principal.require_store(store)
        self._store = store
        return self

    async def store_info(self) -> StoreInfo:
        """Zone, currency and language of the call's store; looked up once a call. Raises NotFound."""
        if self._info is None or self._info.store != self.store:
            self._info = await self.runtime.stores.get(self.store)
        return self._info

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
            self.principal.require_store(named)
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
        kept = answer.kept(self._zone)
        tag = kept.headers.get("ETag")
        known = self.request.headers.get("if-none-match")
        if tag and known and self.request.method == "GET" and tag in etags.tags_in(known):
            return Response(status_code=304, headers={"ETag": tag})
        return _response(kept)

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
        return self._given(await self._repeatable(natural).once(action))

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
        repeatable = self._repeatable(natural)
        if (kept := await repeatable.recall()) is not None:
            return self.given(kept)
        try:
            prepared = await prepare()
        except Problem as problem:
            return self._given(await repeatable.refuse(problem))
        return self._given(await repeatable.once(lambda tx: action(tx, prepared)))

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
        repeatable = self._repeatable(natural)
        given = await repeatable.once(action)
        is_first = not given.repeated and given.kept.problem is None
        if is_first and (settled := await settle()) is not None:
            given = await repeatable.replace(settled)
        return self._given(given)

    async def recall(self, *, natural: tuple[str, str] | None = None) -> Response | None:
        """The answer kept for this call, if any. Raises IdempotencyMismatch, Conflict."""
        kept = await self._repeatable(natural).recall()
        return None if kept is None else self.given(kept)

    def claims(self, natural: tuple[str, str] | None = None) -> list[Claim]:
        """What this call claims: its key's claim first, then its natural id's; every call takes them in this order.

        For handlers that gather calls into one transaction and claim them by `idempotency.claim_all`.
        """
        claims = []
        if (key := self.idempotency_key) is not None:
            route = f"{self.request.method} {self.request.url.path}"
            claims.append(Claim(self.store, route, key, idempotency.fingerprint(self._query, self._said)))
        if natural is not None:
            asked = idempotency.fingerprint(self._said)
            claims.append(Claim(self.store, idempotency.NATURAL + natural[0], natural[1], asked))
        return claims

    def given(self, kept: Kept, *, repeated: bool = True) -> Response:
        """An answer that was kept, as the answer to this call: with its own language and request id."""
        if repeated:
            ANSWERS_REPEATED.labels(self.runtime.name).inc()
        if kept.problem is not None:
            return problems.response(dict(kept.problem), self.request, kept.headers)
        return _response(kept)

    # inside

    def _repeatable(self, natural: tuple[str, str] | None) -> Repeatable:
        return Repeatable(self.begin, self.runtime.tables.idempotency, self.claims(natural), self._zone)

    def _given(self, given: Given) -> Response:
        return self.given(given.kept, repeated=given.repeated)

    @property
    def _said(self) -> Any:
        """The body without the store, which the claim names already."""
        if not isinstance(self.body, dict):
            return self.body
        return {name: value for name, value in self.body.items() if name != "store"}

    @property
    def _query(self) -> list[tuple[str, str]]:
        """What the address asks besides its path; a dry run is not the same call as a run."""
        return sorted(pair for pair in self.request.query_params.multi_items() if pair[0] != "store")

    @property
    def _zone(self) -> ZoneInfo | None:
        """The store's, once it is looked up (the route has done it); a call about no store answers in UTC."""
        return self._info.zone if self._info else None


def _response(kept: Kept) -> Response:
    media_type = "application/json" if kept.body else None
    return Response(kept.body, status_code=kept.status, headers=dict(kept.headers), media_type=media_type)


async def call_of(request: Request) -> CallContext:
    """The call that the route opened. (A plain function would be sent to a thread, at ten times the cost.)"""
    call: CallContext = request.state.call
    return call


Call = Annotated[CallContext, Depends(call_of)]

__all__ = ["Action", "Answer", "Call", "CallContext", "call_of"]
