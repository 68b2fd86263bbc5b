"""Files of orders that were sold elsewhere: one transaction a call, a few statements for all of its orders (D54).

Nobody is asked for stock: what was sold elsewhere is a fact, and inventory learns of it by the events (INV-5).
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from libs.events.failures import Transient
from libs.events.transaction import Transaction
from libs.service.errors import Problem
from services.orders import store as db
from services.orders.domain.imports import (
    Circumstances,
    GoodsBack,
    MoneyBack,
    Sale,
    take_goods_back,
    take_money_back,
    take_sale,
)
from services.orders.domain.policies import Policies
from services.orders.domain.state import Dated, Line, Order, Refund
from services.orders.domain.timers import Due, timers_of
from services.orders.gathering import Error, Gathered, Told, problem_errors, row_error, with_goods
from services.orders.handlers.common import policies, tell_quarantined
from services.orders.handlers.placing import Kit, mark_service

SLICE = 200
"""Events emitted between two turns of the event loop, so that other calls are answered meanwhile."""


@dataclass(slots=True)
class Taken:
    """What became of one order by the file."""

    before: Order | None = None
    after: Order | None = None
    sale: Sale | None = None
    happened: list[Dated] = field(default_factory=list)
    unknown_refunds: list[Refund] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """What a file would do, or did."""

    rows: int
    orders: int
    new: int
    changed: int
    unchanged: int
    returns: int
    refunds: int
    errors: Sequence[Error]
    quarantined: Sequence[Told] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows about the orders of a file, before it is taken in."""

    orders: dict[str, Order]
    owners: dict[tuple[str, str], str]
    kinds: dict[str, str]
    buyers: frozenset[str]
    policies: Policies


async def take_in(gathered: Gathered, tx: Transaction, kit: Kit) -> tuple[dict[str, Taken], Report]:
    """Decide about everything that a file tells, and write nothing. Orders with an error are left out as a whole."""
    known = await _look_up(gathered.told, tx)
    decided = gathered.copy()
    taken = await asyncio.to_thread(_decide, decided, known, kit, tx.import_id)
    return taken, _report(decided, taken)


async def write(taken: dict[str, Taken], gathered: Gathered, tx: Transaction, kit: Kit) -> None:
    """Write what was decided: orders, personal data, timers, events. Raises Transient when another call was quicker."""
    for told in gathered.quarantined:
        if isinstance(told.what, Sale) and told.order_id not in gathered.bad_orders:
            tell_quarantined(told.what.order, tx)
    new = [one for one in taken.values() if one.before is None and one.after is not None]
    inserted = await db.insert_orders(tx.session, tx.store, [one.after for one in new if one.after])
    if len(inserted) < len(new):
        raise Transient("the same orders came in at the same time")
    changes = [(o.before, o.after) for o in taken.values() if o.before and o.after and o.before is not o.after]
    await db.save_orders(tx.session, tx.store, changes)
    for order_id, one in taken.items():
        for refund in one.unknown_refunds:
            await db.insert_refund_of_unknown_order(tx.session, tx.store, order_id, refund)
    await _keep_consignees(new, tx, kit)
    await _set_timers(taken.values(), tx)
    await _tell(taken.values(), tx)


# looking up


async def _look_up(told: Sequence[Told], tx: Transaction) -> Known:
    session, store = tx.session, tx.store
    sales = [one.what for one in told if isinstance(one.what, Sale)]
    returned = [one.what.return_id for one in told if isinstance(one.what, GoodsBack)]
    refunded = [refund.refund_id for one in told if (refund := _refund_of(one)) is not None]
    skus = {line.sku for sale in sales for line in sale.order.lines}
    customers = {sale.order.customer_id for sale in sales if sale.order.customer_id is not None}
    owners = {("returns", k): v for k, v in (await db.find_owners(session, store, "returns", returned)).items()}
    owners |= {("refunds", k): v for k, v in (await db.find_owners(session, store, "refunds", refunded)).items()}
    return Known(
        orders=await db.load_orders(session, store, sorted({one.order_id for one in told}), lock=True),
        owners=owners,
        kinds=await db.load_kinds(session, store, skus),
        buyers=await db.find_buyers(session, store, customers),
        policies=await policies(tx, store),
    )


def _refund_of(one: Told) -> Refund | None:
    return one.what.refund if isinstance(one.what, GoodsBack | MoneyBack) else None


# deciding


def _decide(gathered: Gathered, known: Known, kit: Kit, import_id: str | None) -> dict[str, Taken]:
    """Go through the file in its order; pure but for the errors that it adds to `gathered`."""
    taken: dict[str, Taken] = {}
    buyers = set(known.buyers)
    for told in gathered.told:
        if told.order_id in gathered.bad_orders:
            continue
        one = taken.get(told.order_id)
        if one is None:
            before = known.orders.get(told.order_id)
            one = taken[told.order_id] = Taken(before, before)
        try:
            _refuse_taken(told, known)
            _take(told, one, known, buyers, kit, import_id)
        except Problem as problem:
            gathered.refuse(told.order_id, problem_errors(told.row, problem))
        except _TakenElsewhere as other:
            gathered.refuse(told.order_id, [row_error(told.row, other.column, "conflict", "another order has it")])
    return {order_id: one for order_id, one in taken.items() if order_id not in gathered.bad_orders}


class _TakenElsewhere(Exception):
    """An id of the file belongs to another order."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def _refuse_taken(told: Told, known: Known) -> None:
    if isinstance(told.what, GoodsBack):
        _refuse_other(known.owners.get(("returns", told.what.return_id)), told.order_id, "return_id")
    refund = _refund_of(told)
    if refund is not None:
        _refuse_other(known.owners.get(("refunds", refund.refund_id)), told.order_id, "refund_id")


def _refuse_other(owner: str | None, order_id: str, column: str) -> None:
    if owner not in (None, order_id):
        raise _TakenElsewhere(column)


def _take(told: Told, one: Taken, known: Known, buyers: set[str], kit: Kit, import_id: str | None) -> None:
    if isinstance(told.what, Sale):
        sale = replace(told.what, order=replace(told.what.order, import_id=import_id))
        _take_sale(sale, one, known, buyers, kit)
    elif isinstance(told.what, GoodsBack):
        one.after, happened = take_goods_back(one.after, told.what)
        one.happened += happened
    elif one.after is not None or ("refunds", told.what.refund.refund_id) not in known.owners:
        one.after, happened = take_money_back(one.after, told.what)
        one.happened += happened
        if one.after is None:
            one.unknown_refunds.append(with_goods(told.what))


def _take_sale(sale: Sale, one: Taken, known: Known, buyers: set[str], kit: Kit) -> None:
    lines = tuple(mark_service(line, known.kinds.get(line.sku)) for line in sale.order.lines)
    sale = replace(sale, order=replace(sale.order, lines=lines))
    customer = sale.order.customer_id
    around = Circumstances(
        promise=known.policies.ship_promise,
        limits=kit.limits,
        unknown_skus=_unknown(lines, known.kinds),
        is_first_order=customer is None or customer not in buyers,
    )
    one.sale = sale
    one.after, happened = take_sale(one.after, sale, around)
    one.happened += happened
    if customer is not None and one.after.paid_at is not None:
        buyers.add(customer)


def _unknown(lines: Iterable[Line], kinds: Collection[str]) -> tuple[str, ...]:
    return tuple(line.sku for line in lines if line.sku not in kinds)


def refused(gathered: Gathered) -> Report:
    """What is told of a file that is refused as a whole, before anything is looked up."""
    good = [one for one in gathered.told if one.order_id not in gathered.bad_orders]
    sales = sum(isinstance(one.what, Sale) for one in good)
    return Report(gathered.rows, sales, 0, 0, 0, 0, 0, sorted(gathered.errors, key=lambda error: error["row"]))


def _report(gathered: Gathered, taken: dict[str, Taken]) -> Report:
    sales = [one for one in taken.values() if one.sale is not None]
    told = [one.what for one in gathered.told if one.order_id in taken]
    return Report(
        rows=gathered.rows,
        orders=len(sales),
        new=sum(one.before is None for one in sales),
        changed=sum(one.before is not None and bool(one.happened) for one in taken.values()),
        unchanged=sum(not one.happened for one in taken.values()),
        returns=sum(isinstance(what, GoodsBack) for what in told),
        refunds=sum(isinstance(what, MoneyBack) for what in told),
        errors=sorted(gathered.errors, key=lambda error: error["row"]),
        quarantined=[one for one in gathered.quarantined if one.order_id not in gathered.bad_orders],
    )


# writing


async def _keep_consignees(new: Iterable[Taken], tx: Transaction, kit: Kit) -> None:
    sealed = {
        one.sale.order.order_id: kit.sealer.seal(tx.store, one.sale.order.order_id, one.sale.consignee)
        for one in new
        if one.sale is not None and one.sale.consignee is not None
    }
    await db.save_consignees(tx.session, tx.store, sealed, forget_at=tx.now + kit.keep_personal)


async def _set_timers(taken: Collection[Taken], tx: Transaction) -> None:
    current = await policies(tx, tx.store)
    start: dict[Due, datetime] = {}
    stop: list[Due] = []
    for one in taken:
        if one.after is None or one.after is one.before:
            continue
        before = timers_of(one.before, current, is_imported=True) if one.before else {}
        after = timers_of(one.after, current, is_imported=True)
        order_id = one.after.order_id
        start |= {Due(tx.store, kind, order_id): at for kind, at in after.items() if kind not in before}
        stop += [Due(tx.store, kind, order_id) for kind in before if kind not in after]
    await db.disarm_timers(tx.session, stop)
    await db.arm_timers(tx.session, start)


async def _tell(taken: Iterable[Taken], tx: Transaction) -> None:
    told = 0
    for one in taken:
        for dated in one.happened:
            tx.emit(dated.event, time=dated.at)
            told += 1
            if told % SLICE == 0:
                await asyncio.sleep(0)
