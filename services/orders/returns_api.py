"""The HTTP edge of goods and money that go back (ORD-6, D20, D70)."""

from datetime import datetime
from typing import Any

from starlette.responses import Response

from libs.events.contracts import Id
from libs.events.transaction import Transaction
from libs.service.audit import audit
from libs.service.call import Answer, Call, CallContext
from libs.service.routes import Router
from services.orders.answers import refund_body, return_body
from services.orders.bodies import (
    ExchangeBody,
    InspectBody,
    RefundBody,
    ReturnBody,
    ReturnRefundBody,
    StepBody,
    lines_of,
    refund_of,
)
from services.orders.domain.state import Hold, Order
from services.orders.equipment import Equipped
from services.orders.handlers import paying, placing, returning
from services.orders.handlers.common import Guard, not_in_future
from services.orders.handlers.placing import Kit, Wish
from services.orders.serving import Body, bodies, do

router = Router(tag="returns")

NOW = StepBody()


@router.post("/v1/orders/{order_id}/returns", scope="orders:write", status_code=201)
async def request_return(order_id: Id, body: ReturnBody, call: Call, kit: Equipped) -> Response:
    """Ask to send shipped goods back (ORD-6)."""
    asked = body.asked(call.id_or_derived(body.return_id), call.runtime.clock())
    return await do(
        call,
        kit,
        lambda tx: returning.request(order_id, asked, tx, guard=call.require_match),
        status=201,
        body=_with_return(asked.return_id),
        natural=(f"{order_id} return", asked.return_id),
    )


@router.post("/v1/returns/{return_id}/approve", scope="orders:write")
async def approve_return(return_id: Id, call: Call, kit: Equipped, body: StepBody = NOW) -> Response:
    """The goods may come back; from now on they are `returning` in stock (D20)."""
    return await _step(call, kit, "approve", return_id, returning.approve(return_id, _when(body.at, call)))


@router.post("/v1/returns/{return_id}/refuse", scope="orders:write")
async def refuse_return(return_id: Id, call: Call, kit: Equipped, body: StepBody = NOW) -> Response:
    """The store's policy does not take the goods back."""
    return await _step(call, kit, "refuse", return_id, returning.refuse(return_id, body.reason, _when(body.at, call)))


@router.post("/v1/returns/{return_id}/receive", scope="orders:write")
async def receive_return(return_id: Id, call: Call, kit: Equipped, body: StepBody = NOW) -> Response:
    """The goods are back in the house."""
    return await _step(call, kit, "receive", return_id, returning.receive(return_id, _when(body.at, call)))


@router.post("/v1/returns/{return_id}/inspect", scope="orders:write")
async def inspect_return(return_id: Id, body: InspectBody, call: Call, kit: Equipped) -> Response:
    """Resellable goods go back on sale, damaged ones do not."""
    decide = returning.inspect(return_id, body.condition, _when(body.at, call))
    return await _step(call, kit, "inspect", return_id, decide)


@router.post("/v1/returns/{return_id}/refund", scope="orders:write")
async def refund_return(return_id: Id, body: ReturnRefundBody, call: Call, kit: Equipped) -> Response:
    """Give the money back: after inspection, except where policy refunds at once (D20)."""
    given = refund_of(body, call.id_or_derived(body.refund_id), call.runtime.clock(), return_id)

    async def refund(tx: Transaction) -> Order:
        order = await returning.refund(return_id, given, body.items_cents, tx, guard=call.require_match)
        await audit(tx, call.actor, "return.refund", f"return:{return_id}", after={"amount_cents": body.amount_cents})
        return order

    natural = ("return.refund", return_id)
    return await do(call, kit, refund, body=_with_return(return_id), natural=natural)


@router.post("/v1/returns/{return_id}/exchange", scope="orders:write")
async def exchange_return(return_id: Id, body: ExchangeBody, call: Call, kit: Equipped) -> Response:
    """Send other goods instead, on the same order (D20)."""
    lines = lines_of(body.lines)
    guard: Guard = call.require_match

    async def prepare() -> Hold:
        async with call.read() as reads:
            wanted: Wish = await returning.check_exchange(return_id, lines, guard, reads)
        return await placing.grant(wanted, call.store, kit, call.begin)

    async def action(tx: Transaction, hold: Hold) -> Answer:
        order = await returning.exchange(return_id, lines, hold, tx, guard=guard)
        whole = (await bodies([order], tx, kit))[0]
        return Answer(200, _with_return(return_id)(order, whole), etag=order.version)

    return await call.once_after(prepare, action, natural=("return.exchange", return_id))


@router.post("/v1/orders/{order_id}/refunds", scope="orders:write", status_code=201)
async def refund_order(order_id: Id, body: RefundBody, call: Call, kit: Equipped) -> Response:
    """Give money back without a return (D70)."""
    given = refund_of(body, call.id_or_derived(body.refund_id), call.runtime.clock())

    async def refund(tx: Transaction) -> Order:
        order = await paying.refund(order_id, given, body.items_cents, tx, guard=call.require_match)
        await audit(tx, call.actor, "order.refund", f"order:{order_id}", after={"amount_cents": body.amount_cents})
        return order

    def answer(order: Order, whole: dict[str, Any]) -> dict[str, Any]:
        made = next(r for r in order.refunds if r.refund_id == given.refund_id)
        return {**refund_body(made), "order_id": order_id, "order": whole}

    natural = (f"{order_id} refund", given.refund_id)
    return await do(call, kit, refund, status=201, body=answer, natural=natural)


# inside


async def _step(call: CallContext, kit: Kit, name: str, return_id: str, decide: returning.Step) -> Response:
    return await do(
        call,
        kit,
        lambda tx: returning.step(return_id, decide, tx, guard=call.require_match),
        body=_with_return(return_id),
        natural=(f"return.{name}", return_id),
    )


def _with_return(return_id: str) -> Body:
    def answer(order: Order, whole: dict[str, Any]) -> dict[str, Any]:
        item = next(r for r in order.returns if r.return_id == return_id)
        return {**return_body(item), "order_id": order.order_id, "order": whole}

    return answer


def _when(at: datetime | None, call: CallContext) -> datetime:
    return not_in_future(at, call.runtime.clock(), "/at")
