"""Receipts and adjustments."""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.responses import Response

from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import Validation, fault
from libs.service.idempotency import NATURAL, Claim, fingerprint
from libs.service.routes import Router
from services.inventory.bodies import (
    AdjustmentBody,
    Adjustments,
    ReceiptBody,
    Receipts,
    happened_at,
)
from services.inventory.domain import commands as c
from services.inventory.handlers.goods import take_in, take_in_new

router = Router(tag="goods")


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
