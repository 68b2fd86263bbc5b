"""Receipts, adjustments, counts."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import TypeAdapter
from starlette.responses import Response

from libs.events import strict_json
from libs.events.contracts.base import Id, Label
from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import Validation, fault
from libs.service.idempotency import NATURAL, Claim, fingerprint
from libs.service.pagination import Page
from libs.service.routes import Router, decode_json, validate
from libs.service.sheets import FORM, uploaded
from services.inventory.answers import count_body
from services.inventory.bodies import (
    AdjustmentBody,
    Adjustments,
    CountBody,
    ReceiptBody,
    Receipts,
    happened_at,
)
from services.inventory.domain import commands as c
from services.inventory.handlers.goods import take_count, take_in, take_in_new
from services.inventory.sheets import read_items
from services.inventory.store import reads

router = Router(tag="goods")

_COUNT: TypeAdapter[CountBody] = TypeAdapter(CountBody)


@router.post("/v1/receipts", scope="inventory:write", status_code=201, large=True)
async def receive(body: Receipts, call: Call) -> Response:
    """Goods came in: one receipt, or a list that is taken as a whole."""
    await call.store_info()
    if isinstance(body, ReceiptBody):
        return await _one(call, body, "receipt", lambda cause: body.command(call.store, cause))
    return await _many(call, body, "receipt", lambda n, cause: body[n].command(call.store, cause))


@router.post("/v1/adjustments", scope="inventory:write", status_code=201, large=True)
async def adjust(body: Adjustments, call: Call) -> Response:
    """A correction with its reason (D56), or a list of them that is taken as a whole."""
    await call.store_info()
    if isinstance(body, AdjustmentBody):
        return await _one(call, body, "adjustment", lambda cause: body.command(call.store, cause))
    return await _many(call, body, "adjustment", lambda n, cause: body[n].command(call.store, cause, f"/{n}"))


async def _one(
    call: CallContext,
    body: ReceiptBody | AdjustmentBody,
    kind: str,
    command: Callable[[c.Cause], c.Receive | c.Adjust],
) -> Response:
    name = call.id_or_derived(body.name)

    async def action(tx: Transaction) -> Answer:
        at = happened_at(body.occurred_at, tx.now)
        wish = command(c.Cause(kind, name, at, call.actor, call.import_id))
        (outcome,) = await take_in([wish], tx)
        applied = outcome.applied if isinstance(outcome, c.Adjusted) else wish.quantity
        return Answer(201, {**_told(body, kind, name), "occurred_at": at, "applied": applied})

    return await call.once(action, natural=(kind, name) if body.name is not None else None)


async def _many(
    call: CallContext,
    bodies: Sequence[ReceiptBody | AdjustmentBody],
    kind: str,
    command: Callable[[int, c.Cause], c.Receive | c.Adjust],
) -> Response:
    names = [body.name or uuid7() for body in bodies]
    _refuse_repeats(names, kind)
    claims = [
        Claim(call.store, NATURAL + kind, name, fingerprint(item)) for name, item in zip(names, call.body, strict=True)
    ]

    async def action(tx: Transaction) -> Answer:
        def cause(n: int) -> c.Cause:
            at = happened_at(bodies[n].occurred_at, tx.now, f"/{n}/occurred_at")
            return c.Cause(kind, names[n], at, call.actor, call.import_id)

        commands = [command(n, cause(n)) for n in range(len(bodies))]
        applied = await take_in_new(commands, claims, call.runtime.tables.idempotency, tx)
        items = [_item(*one, kind) for one in zip(names, bodies, applied, strict=True)]
        return Answer(201, {"accepted": len(items), "items": items})

    return await call.once(action)


def _item(name: str, body: ReceiptBody | AdjustmentBody, applied: int | None, kind: str) -> dict[str, Any]:
    status = "repeated" if applied is None else "applied"
    return {f"{kind}_id": name, "sku": body.sku, "status": status, "applied": applied}


def _refuse_repeats(names: Sequence[str], kind: str) -> None:
    seen: set[str] = set()
    for n, name in enumerate(names):
        if name in seen:
            raise Validation(f"{name} is there twice", errors=[fault(f"/{n}/{kind}_id", "duplicate", "there twice")])
        seen.add(name)


def _told(body: ReceiptBody | AdjustmentBody, kind: str, name: str) -> dict[str, Any]:
    return {**body.model_dump(exclude={"receipt_id", "adjustment_id", "occurred_at"}), f"{kind}_id": name}


# counts


@router.post("/v1/counts", scope="inventory:write", raw=True, large=True)
async def count(
    call: Call,
    dry_run: Annotated[bool, Query()] = False,
    count_id: Annotated[Id | None, Query()] = None,
    warehouse: Annotated[Label | None, Query()] = None,
    as_of: Annotated[str | None, Query(max_length=64)] = None,
    source: Annotated[Literal["erp", "person"] | None, Query()] = None,
) -> Response:
    """Compare a count with the ledger and correct what differs: JSON, or CSV and XLSX with the rest as parameters."""
    given = {"count_id": count_id, "warehouse": warehouse, "as_of": as_of, "source": source}
    body = await _count_of(call, {name: value for name, value in given.items() if value is not None})
    await call.store_info()
    name = call.id_or_derived(body.count_id)

    async def action(tx: Transaction) -> Answer:
        command = body.command(call.store, name, c.Cause("count", name, tx.now, call.actor, call.import_id))
        compared = await take_count(command, tx, dry_run=dry_run)
        return Answer(200, count_body(command, compared, dry_run=dry_run))

    if dry_run:
        async with call.begin() as tx:
            answer = await action(tx)
        return await call.reply(answer)
    return await call.once(action, natural=("count", name) if body.count_id is not None else None)


async def _count_of(call: CallContext, given: dict[str, Any]) -> CountBody:
    """The count, however it was sent. Raises InvalidBody, UnsupportedMedia, Validation."""
    if call.content_type in ("", "application/json"):
        call.body = decode_json(call.content)
        wanted = call.body
        if isinstance(wanted, dict):
            wanted = {name: value for name, value in wanted.items() if name != "store"}
        return _validated(wanted)
    media_type, content = call.content_type, call.content
    if media_type == FORM:
        media_type, content = await uploaded(call.request, content)
    return _validated({**given, "items": read_items(media_type, content)})


def _validated(decoded: Any) -> CountBody:
    body: CountBody = validate(_COUNT, strict_json.dumps(decoded), decoded)
    return body


@router.get("/v1/count-tasks", scope="inventory:read")
async def tasks(call: Call, page: Page) -> Response:
    """Count lines that a person must look at: stale ones, and SKUs that nobody knows (INV-10)."""
    await call.store_info()
    async with call.read() as tx:
        rows = await reads.list_count_tasks(tx.session, tx.store, limit=page.limit)
    return await call.page([dict(row._mapping) for row in rows], None)
