"""What the calls about orders have in common: take a step and answer with the order, show orders, list them."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from starlette.responses import Response

from libs.events.transaction import Transaction
from libs.service.call import Answer, CallContext
from libs.service.pagination import PageRequest, listing
from services.orders import store as db
from services.orders.answers import Shown, order_body
from services.orders.domain.review import Consignee
from services.orders.domain.state import Order
from services.orders.handlers.placing import Kit
from services.orders.sealing import masked

Step = Callable[[Transaction], Awaitable[Order]]
Body = Callable[[Order, dict[str, Any]], dict[str, Any]]


async def do(
    call: CallContext,
    kit: Kit,
    step: Step,
    *,
    status: int = 200,
    body: Body = lambda _, whole: whole,
    natural: tuple[str, str] | None = None,
) -> Response:
    """Take one step of an order, and answer with the order in the shape that `body` gives it."""

    async def action(tx: Transaction) -> Answer:
        order = await step(tx)
        whole = (await bodies([order], tx, kit))[0]
        return Answer(status, body(order, whole), etag=order.version)

    return await call.once(action, natural=natural)


async def page_of(
    call: CallContext,
    kit: Kit,
    page: PageRequest,
    wanted: db.Wanted,
    shape: Callable[[dict[str, Any]], dict[str, Any]] = lambda body: body,
) -> Response:
    """A page of a list of orders, newest first; `shape` is applied to each."""
    after = page.after(datetime, str)
    async with call.read() as tx:
        found = await db.list_orders(
            tx.session, tx.store, wanted, after=None if after is None else (after[0], after[1]), limit=page.fetch
        )
        shown, cursor = listing(page, found, lambda order: (order.placed_at, order.order_id))
        shaped = [shape(body) for body in await bodies(shown, tx, kit, is_plain=call.principal.may("orders:pii"))]
    return await call.page(shaped, cursor)


async def bodies(orders: list[Order], tx: Transaction, kit: Kit, *, is_plain: bool = False) -> list[dict[str, Any]]:
    """Orders as they go over the wire, with their consignees: masked unless `is_plain`."""
    sealed = await db.load_consignees(tx.session, tx.store, [order.order_id for order in orders])

    def consignee(order: Order) -> Consignee | None:
        found = sealed.get(order.order_id)
        if found is None:
            return None
        opened = kit.sealer.open(tx.store, order.order_id, found)
        return opened if is_plain else masked(opened)

    return [order_body(Shown(tx.store, order, consignee(order))) for order in orders]
