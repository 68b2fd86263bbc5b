"""The HTTP edge of orders: parse, call a handler, answer after the commit."""

from typing import Annotated, Any

from fastapi import Path, Query
from starlette.responses import Response

from libs.events.contracts import CustomerId, Day, Id
from libs.events.transaction import Transaction
from libs.service.audit import audit
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound, Validation, fault
from libs.service.pagination import Page
from libs.service.routes import Router
from libs.service.storetime import day_bounds, range_bounds
from services.orders import reconciliation
from services.orders import store as db
from services.orders.answers import shipment_body
from services.orders.bodies import (
    AmendBody,
    CancelBody,
    OrderBody,
    PaymentBody,
    ReviewBody,
    ScanBody,
    ShipmentBody,
    StoreBody,
    lines_of,
)
from services.orders.domain.state import Decision, Hold, Order, Status
from services.orders.equipment import AtTheTill, Equipped
from services.orders.handlers import parcels, paying, placing, stores
from services.orders.handlers.common import Guard, policies
from services.orders.serving import bodies, do, page_of
from services.orders.till import Buyer

router = Router(tag="orders")

StoreId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
# orders


@router.post("/v1/orders", scope="orders:write", status_code=201)
async def place_order(body: OrderBody, call: Call, till: AtTheTill) -> Response:
    """Place an order: of the storefront with its stock held first, of any other origin as a fact (D12, INV-5)."""
    order_id = call.id_or_derived(body.order_id)
    pseudonyms = call.runtime.installation.pseudonyms
    store = await call.store_info()
    buyer = Buyer(
        store=call.store,
        claims=call.claims(("order", order_id)),
        asked=body.asked(order_id, call.runtime.clock(), pseudonyms, call.import_id),
        currency=store.currency,
        zone=store.zone,
    )
    given = await till.sell(buyer)
    return call.given(given.kept, repeated=given.repeated)


@router.get("/v1/orders/{order_id}", scope="orders:read")
async def show_order(order_id: Id, call: Call, kit: Equipped) -> Response:
    """One order; personal data is shown to keys with `orders:pii`, masked to others."""
    async with call.read() as tx:
        order = await db.load_order(tx.session, tx.store, order_id)
        if order is None:
            raise NotFound("there is no such order")
        body = (await bodies([order], tx, kit, is_plain=call.principal.may("orders:pii")))[0]
    return await call.reply(Answer(200, body, etag=order.version))


@router.get("/v1/orders", scope="orders:read")
async def list_orders(
    call: Call,
    kit: Equipped,
    page: Page,
    status: Annotated[Status | None, Query()] = None,
    from_: Annotated[Day | None, Query(alias="from")] = None,
    to: Annotated[Day | None, Query()] = None,
    customer_id: Annotated[CustomerId | None, Query()] = None,
) -> Response:
    """Whole orders, newest first, by status, customer and store days of placing (both included)."""
    zone = (await call.store_info()).zone
    if from_ and to and to < from_:
        raise Validation("to lies before from", errors=[fault("/to", "range", "before from")])
    replace = call.runtime.installation.pseudonyms.replace
    wanted = db.Wanted(
        status=status,
        customer_id=None if customer_id is None else replace(customer_id),
        start=day_bounds(from_, zone)[0] if from_ else None,
        end=day_bounds(to, zone)[1] if to else None,
    )
    return await page_of(call, kit, page, wanted)


@router.get("/v1/review-queue", scope="orders:read")
async def list_held(call: Call, kit: Equipped, page: Page) -> Response:
    """Orders that wait for a person, with the reasons and until when somebody should have looked (ORD-1)."""
    async with call.read() as tx:
        limit = (await policies(tx, tx.store)).review_limit

    def with_limit(body: dict[str, Any]) -> dict[str, Any]:
        due_at = body["review"]["at"] + limit
        return {**body, "review": {**body["review"], "due_at": due_at, "is_overdue": due_at < tx.now}}

    return await page_of(call, kit, page, db.Wanted(held_only=True), shape=with_limit)


@router.get("/v1/reconciliation", scope="orders:read")
async def reconcile(call: Call, day: Annotated[Day, Query()]) -> Response:
    """Payments and refunds of a store's day against the orders: each difference is listed (ORD-3)."""
    start, end = range_bounds(day, day, (await call.store_info()).zone)
    async with call.read() as tx:
        found = await reconciliation.reconcile(tx.session, tx.store, start, end)
    return await call.reply(Answer(200, {"day": day, **found}))


@router.post("/v1/orders/{order_id}/payments", scope="orders:write", status_code=201)
async def pay_order(order_id: Id, body: PaymentBody, call: Call, kit: Equipped) -> Response:
    """Record a payment; a paid order gets its stock allocated, and the answer shows what came of it (D15, D16)."""
    payment = body.payment(call.runtime.clock())
    paid: list[Order] = []

    async def answer(order: Order, tx: Transaction) -> Answer:
        whole = (await bodies([order], tx, kit))[0]
        plain = {"payment_id": payment.payment_id, "status": payment.status, "order": whole}
        return Answer(201, plain, etag=order.version)

    async def action(tx: Transaction) -> Answer:
        order = await paying.pay(order_id, payment, tx, guard=call.require_match)
        paid[:] = [order]
        return await answer(order, tx)

    async def settle() -> Answer | None:
        if not paying.needs_stock(paid[0]):
            return None
        settled = await paying.settle(paid[0], call.store, kit.stock, call.begin)
        if settled is None:
            return None
        async with call.read() as tx:
            return await answer(settled, tx)

    try:
        return await call.once_then(action, settle, natural=(f"{order_id} payment", payment.payment_id))
    except NotFound:
        async with call.begin() as tx:
            await paying.note_stray(order_id, payment, tx)
        raise


@router.post("/v1/orders/{order_id}/cancel", scope="orders:write")
async def cancel_order(order_id: Id, body: CancelBody, call: Call, kit: Equipped) -> Response:
    """Cancel an order of which nothing was shipped; its stock is free again at once."""

    async def cancel(tx: Transaction) -> Order:
        order = await parcels.cancel(order_id, body.reason, body.by, tx, guard=call.require_match)
        await audit(tx, call.actor, "order.cancel", f"order:{order_id}", after={"reason": body.reason, "by": body.by})
        return order

    return await do(call, kit, cancel, natural=("order.cancel", order_id))


@router.post("/v1/orders/{order_id}/amend", scope="orders:write")
async def amend_order(order_id: Id, body: AmendBody, call: Call, kit: Equipped) -> Response:
    """Change lines or address before anything is shipped; `If-Match` is needed (D48)."""
    amendment = placing.Amendment(
        order_id,
        lines_of(body.lines) if body.lines else None,
        body.consignee.consignee() if body.consignee else None,
    )
    if amendment.lines is None and amendment.consignee is None:
        raise Validation("nothing to amend", errors=[fault("", "missing", "lines or consignee")])
    guard = _strict_guard(call)

    async def prepare() -> Hold | None:
        async with call.read() as reads:
            wanted = await placing.check_amendment(amendment, guard, reads)
        return None if wanted is None else await placing.grant(wanted, call.store, kit, call.begin)

    async def action(tx: Transaction, hold: Hold | None) -> Answer:
        order = await placing.amend(amendment, hold, tx, kit, guard=guard)
        await audit(tx, call.actor, "order.amend", f"order:{order_id}", after={"version": order.version})
        return Answer(200, (await bodies([order], tx, kit))[0], etag=order.version)

    return await call.once_after(prepare, action)


@router.post("/v1/orders/{order_id}/review", scope="orders:write")
async def review_order(order_id: Id, body: ReviewBody, call: Call, kit: Equipped) -> Response:
    """Let a held order pass, or hold one (ORD-1)."""

    async def review(tx: Transaction) -> Order:
        order = await parcels.review(
            order_id, Decision(body.decision), by=call.actor, note=body.note, tx=tx, guard=call.require_match
        )
        await audit(tx, call.actor, "order.review", f"order:{order_id}", after={"decision": body.decision})
        return order

    return await do(call, kit, review)


@router.post("/v1/orders/{order_id}/backorder", scope="orders:write")
async def backorder(order_id: Id, call: Call, kit: Equipped) -> Response:
    """Let a paid order that cannot be fulfilled wait for stock (D82)."""
    return await do(
        call,
        kit,
        lambda tx: paying.backorder(order_id, tx, guard=call.require_match),
        natural=("order.backorder", order_id),
    )


# parcels


@router.post("/v1/orders/{order_id}/shipments", scope="orders:write", status_code=201)
async def ship_order(order_id: Id, body: ShipmentBody, call: Call, kit: Equipped) -> Response:
    """Send a parcel with some lines, or with everything that is open (ORD-4)."""
    shipment = body.shipment(call.id_or_derived(body.shipment_id), call.runtime.clock())

    def answer(order: Order, whole: dict[str, Any]) -> dict[str, Any]:
        made = next(s for s in order.shipments if s.shipment_id == shipment.shipment_id)
        return {**shipment_body(made), "order_id": order_id, "order": whole}

    return await do(
        call,
        kit,
        lambda tx: parcels.ship(order_id, shipment, tx, guard=call.require_match),
        status=201,
        body=answer,
        natural=(f"{order_id} shipment", shipment.shipment_id),
    )


@router.post("/v1/shipments/{shipment_id}/scans", scope="orders:write")
async def scan_parcel(shipment_id: Id, body: ScanBody, call: Call, kit: Equipped) -> Response:
    """Tell where a parcel is; `delivered` ends it (ORD-5)."""

    def answer(order: Order, whole: dict[str, Any]) -> dict[str, Any]:
        moved = next(s for s in order.shipments if s.shipment_id == shipment_id)
        return {**shipment_body(moved), "order_id": order.order_id, "order": whole}

    seen = body.scan(call.runtime.clock())
    return await do(call, kit, lambda tx: parcels.scan(shipment_id, seen, tx, guard=call.require_match), body=answer)


# stores


@router.put("/v1/stores/{store}", scope="admin")
async def put_store(store: StoreId, body: StoreBody, call: Call) -> Response:
    """Make a store, or change it; zone and currency are fixed once it has events (D4)."""
    call = call.for_store(store)
    settings = db.StoreSettings(body.name, body.timezone, body.currency, body.language)

    async def action(tx: Transaction) -> Answer:
        is_new = await stores.put_store(settings, tx)
        await audit(tx, call.actor, "store.put", f"store:{store}", after=body)
        return Answer(201 if is_new else 200, {"store": store, **body.model_dump()})

    response = await call.once(action)
    call.runtime.stores.forget(store)
    return response


# inside


def _strict_guard(call: CallContext) -> Guard:
    return lambda version: call.require_match(version, required=True)
