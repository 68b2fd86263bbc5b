"""Placing and amending: stock is held first, outside any transaction; then one transaction makes the order (D12)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from libs.events.transaction import Transaction
from libs.service.errors import Conflict, NotFound, OutOfStock, Overloaded, Problem, Validation, WrongState, fault
from services.orders import store as db
from services.orders.domain import life, money
from services.orders.domain.review import Consignee, Limits, reasons_to_hold
from services.orders.domain.state import Decided, Hold, HoldState, Line, Order, Status, Units, sum_units
from services.orders.domain.timers import Due, timers_of
from services.orders.handlers.common import Begin, Guard, load, not_in_future, policies, save, tell
from services.orders.sealing import Sealer
from services.orders.stock import HoldRequest, Stock

LEAST_HOLD = timedelta(seconds=1)
"""A hold that ends sooner is as good as expired."""
HOLD_TRIES = 4
TAKEN_OVER = -1
"""The attempt of a cart's hold: the order's own begin after it."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What the orders service works with, besides its database."""

    stock: Stock
    sealer: Sealer
    limits: Limits
    keep_personal: timedelta


@dataclass(frozen=True, slots=True)
class Asked:
    """An order as the caller wants it, with what is not kept in the order itself."""

    order: Order
    consignee: Consignee | None = None
    reservation_id: str | None = None
    hold: timedelta | None = None
    items_cents: int | None = None
    total_cents: int | None = None


def check(asked: Asked, *, currency: str, now: datetime) -> None:
    """Check what can be checked before stock is asked for. Raises Validation."""
    order = asked.order
    not_in_future(order.placed_at, now, "/placed_at")
    if order.is_storefront:
        _check_storefront(order, currency)
    money.check_amounts(
        order.lines,
        discount=order.discount_cents,
        shipping=order.shipping_cents,
        items=asked.items_cents,
        total=asked.total_cents,
    )


def _check_storefront(order: Order, currency: str) -> None:
    if order.customer_id is None:
        message = "a storefront order names its customer"
        raise Validation(message, errors=[fault("/customer_id", "missing", message)])
    if order.currency != currency:
        message = f"the store sells in {currency}"
        raise Validation("another currency than the store's", errors=[fault("/currency", "currency", message)])


async def hold_stock(asked: Asked, kit: Kit, store: str, now: datetime) -> Hold | None:
    """Hold the stock of a storefront order, all lines or none; orders from outside are facts and need none.

    Raises OutOfStock, Validation for an unknown SKU, Overloaded where the outcome is unknown.
    """
    if not asked.order.is_storefront:
        return None
    order, first = asked.order, 0 if asked.reservation_id is None else TAKEN_OVER
    for attempt in range(first, first + HOLD_TRIES):
        own = f"{order.order_id}~{attempt}"
        request = _request(order, asked.reservation_id or own if attempt == first else own, asked.hold)
        reservation = await kit.stock.hold(store, request)
        expires_at = reservation.expires_at
        if reservation.status == "held" and expires_at is not None and expires_at - now >= LEAST_HOLD:
            return Hold(request.reservation_id, attempt, expires_at)
    raise Overloaded("the stock could not be held for long enough")


def _request(order: Order, reservation_id: str, hold: timedelta | None) -> HoldRequest:
    return HoldRequest(
        reservation_id=reservation_id,
        order_id=order.order_id,
        lines=tuple(Units(line.sku, line.quantity) for line in order.lines),
        ttl_seconds=max(1, int((hold or timedelta(minutes=15)).total_seconds())),
        customer_id=order.customer_id,
        campaign=order.campaign,
    )


@dataclass(frozen=True, slots=True)
class Placement:
    """An order that is ready to be made: its stock is held, unless it is a fact."""

    asked: Asked
    hold: Hold | None = None

    @property
    def order_id(self) -> str:
        return self.asked.order.order_id

    def lapses(self, now: datetime) -> bool:
        """Whether the hold runs out at once."""
        expires_at = self.hold.expires_at if self.hold else None
        return expires_at is not None and expires_at - now < LEAST_HOLD


async def place_all(placements: Sequence[Placement], tx: Transaction, kit: Kit) -> list[Order | Problem]:
    """Make orders of one store, in a few statements for all; an order, or why there is none, for each.

    Overloaded for a hold that does not run for another second, Conflict for an id that exists.
    """
    kinds = await db.load_kinds(tx.session, tx.store, {line.sku for p in placements for line in p.asked.order.lines})
    alive = [p for p in placements if not p.lapses(tx.now)]
    decided = {p.order_id: _decide(p, kinds, tx, kit) for p in alive}
    new = await db.insert_orders(tx.session, tx.store, [order for order, _ in decided.values()])
    await _keep_with([p for p in alive if p.order_id in new], decided, tx, kit)
    return [_outcome(p, decided, new) for p in placements]


def _outcome(placement: Placement, decided: Mapping[str, Decided], new: frozenset[str]) -> Order | Problem:
    if placement.order_id not in decided:
        return Overloaded("the hold ran out; try again")
    if placement.order_id not in new:
        return Conflict(f"order {placement.order_id} exists with another content")
    return decided[placement.order_id][0]


def _decide(placement: Placement, kinds: Mapping[str, str], tx: Transaction, kit: Kit) -> Decided:
    """Review by rule, with the service lines marked as such, as far as the catalogue is known here (D9, D13)."""
    asked = placement.asked
    order = replace(asked.order, hold=placement.hold, accepted_at=tx.now)
    if "service" in kinds.values():
        order = replace(order, lines=tuple(mark_service(line, kinds.get(line.sku)) for line in order.lines))
    unknown = () if order.is_storefront else tuple(line.sku for line in order.lines if line.sku not in kinds)
    reasons = reasons_to_hold(order.lines, order.total_cents, asked.consignee, unknown_skus=unknown, limits=kit.limits)
    return life.place(order, reasons, reviewed_at=tx.now if order.import_id is None else order.placed_at)


async def _keep_with(
    placements: Sequence[Placement], decided: Mapping[str, Decided], tx: Transaction, kit: Kit
) -> None:
    """What comes with new orders: personal data, timers, events."""
    sealed = {
        p.order_id: kit.sealer.seal(tx.store, p.order_id, p.asked.consignee) for p in placements if p.asked.consignee
    }
    await db.save_consignees(tx.session, tx.store, sealed, forget_at=tx.now + kit.keep_personal)
    current = await policies(tx, tx.store)
    due: dict[Due, datetime] = {}
    for placement in placements:
        order, happened = decided[placement.order_id]
        timers = timers_of(order, current, is_imported=order.import_id is not None)
        due |= {Due(tx.store, kind, order.order_id): at for kind, at in timers.items()}
        tell(tx, tx.store, happened, import_id=order.import_id)
    await db.arm_timers(tx.session, due)


def mark_service(line: Line, kind: str | None) -> Line:
    """The line as a service, if the catalogue says that it is one."""
    return replace(line, kind="service") if kind == "service" else line


async def marked(lines: Sequence[Line], tx: Transaction) -> tuple[Line, ...]:
    """The lines, with the services among them marked as the catalogue knows them (D9)."""
    kinds = await db.load_kinds(tx.session, tx.store, (line.sku for line in lines))
    return tuple(mark_service(line, kinds.get(line.sku)) for line in lines)


async def unknown_skus(lines: Sequence[Line], tx: Transaction) -> tuple[str, ...]:
    """SKUs that the catalogue does not have."""
    known = await db.load_kinds(tx.session, tx.store, (line.sku for line in lines))
    return tuple(line.sku for line in lines if line.sku not in known)


async def keep_consignee(order_id: str, consignee: Consignee, tx: Transaction, kit: Kit) -> None:
    """Keep personal data, encrypted, for as long as the store may."""
    sealed = {order_id: kit.sealer.seal(tx.store, order_id, consignee)}
    await db.save_consignees(tx.session, tx.store, sealed, forget_at=tx.now + kit.keep_personal)


# amending


@dataclass(frozen=True, slots=True)
class Amendment:
    """What is to be changed."""

    order_id: str
    lines: tuple[Line, ...] | None = None
    consignee: Consignee | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """Stock that an existing order needs besides, or instead of, what it has."""

    request: HoldRequest
    attempt: int

    @property
    def state(self) -> HoldState:
        """What the hold is worth once it is granted."""
        return HoldState.ALLOCATED if self.request.allocate else HoldState.HELD


def wish(order: Order, lines: Sequence[Line], hold: timedelta) -> Wish:
    """Hold these lines, in the place of the present hold while nothing was shipped.

    A paid order gets them allocated at once.
    """
    request = replace(
        _request(replace(order, lines=tuple(lines)), order.next_reservation_id, hold),
        allocate=order.status is not Status.PLACED,
        replaces=order.hold.reservation_id if order.hold and not order.shipments else None,
    )
    return Wish(request, order.next_attempt)


async def grant(wanted: Wish, store: str, kit: Kit, begin: Begin) -> Hold:
    """Get the stock. Raises OutOfStock, Validation, Overloaded.

    What was refused stays refused under its name (D12), so the order's next wish gets another one.
    """
    try:
        reservation = await kit.stock.hold(store, wanted.request)
    except OutOfStock:
        await _give_up_name(wanted, begin)
        raise
    except Conflict as other:
        await _give_up_name(wanted, begin)
        raise Overloaded("the stock was asked for with other lines; try again") from other
    if reservation.status != wanted.state.value:
        await _give_up_name(wanted, begin)
        raise Overloaded("the stock could not be held; try again")
    return Hold(wanted.request.reservation_id, wanted.attempt, reservation.expires_at, wanted.state)


async def _give_up_name(wanted: Wish, begin: Begin) -> None:
    """Count the attempt, with the order's present hold as it is."""
    async with begin() as tx:
        before = await load(tx, tx.store, wanted.request.order_id)
        if before.hold is not None and before.next_reservation_id == wanted.request.reservation_id:
            counted = replace(before, hold=replace(before.hold, attempt=wanted.attempt))
            await save(tx, tx.store, before, (counted, ()))


async def check_amendment(amendment: Amendment, guard: Guard, reads: Transaction) -> Wish | None:
    """Whether the order can be amended, and the stock to get before; none where its units stay the same.

    Raises NotFound, WrongState, Validation.
    """
    order = await db.load_order(reads.session, reads.store, amendment.order_id)
    if order is None:
        raise NotFound("there is no such order")
    guard(order.version)
    life.amend(order, amendment.lines, address_changed=False, reasons=order.review.reasons, now=reads.now)
    if amendment.lines is None or order.hold is None or _units(order.lines) == _units(amendment.lines):
        return None
    return wish(order, amendment.lines, (await policies(reads, reads.store)).hold)


def _units(lines: Sequence[Line]) -> dict[str, int]:
    return dict(sum_units(Units(line.sku, line.quantity) for line in lines))


async def amend(amendment: Amendment, hold: Hold | None, tx: Transaction, kit: Kit, *, guard: Guard) -> Order:
    """Change lines or address, and review the order anew."""
    before = await load(tx, tx.store, amendment.order_id)
    guard(before.version)
    _require_same_hold(before, hold)
    lines = await marked(amendment.lines, tx) if amendment.lines else before.lines
    reasons = reasons_to_hold(
        lines,
        replace(before, lines=lines).total_cents,
        amendment.consignee or await kept_consignee(before.order_id, tx, kit),
        unknown_skus=() if before.is_storefront else await unknown_skus(lines, tx),
        limits=kit.limits,
    )
    decided = life.amend(
        before,
        lines,
        address_changed=amendment.consignee is not None,
        reasons=reasons,
        now=tx.now,
        hold=hold,
    )
    if amendment.consignee is not None:
        await keep_consignee(before.order_id, amendment.consignee, tx, kit)
    return await save(tx, tx.store, before, decided)


def _require_same_hold(order: Order, hold: Hold | None) -> None:
    """The order may have moved on while stock was asked for."""
    if hold is not None and order.next_reservation_id != hold.reservation_id:
        raise WrongState(order.status.value, life.possible(order), "the order changed meanwhile")


async def kept_consignee(order_id: str, tx: Transaction, kit: Kit) -> Consignee | None:
    """The consignee that is still kept."""
    sealed = (await db.load_consignees(tx.session, tx.store, [order_id])).get(order_id)
    return None if sealed is None else kit.sealer.open(tx.store, order_id, sealed)
