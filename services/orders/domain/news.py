"""What another shop tells of one of its orders (D53): facts, in any order and any number of times (ORD-7).

Pure: the news and the order as it is known give the order as it is then, and what happened. A step that the order does
not allow any more is noted, and the rest is taken all the same: what happened elsewhere has happened.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from libs.service.errors import NotFound, Validation, WrongState
from services.orders.domain import imports, life, shipping
from services.orders.domain.imports import Circumstances, GoodsBack, MoneyBack, Parcel, Sale
from services.orders.domain.review import Consignee, reasons_to_hold
from services.orders.domain.state import CANCELLABLE, CancelledBy, Dated, Decided, Line, Order, Scan, Status


@dataclass(frozen=True, slots=True)
class Ending:
    """The order was cancelled over there."""

    at: datetime
    reason: str
    by: CancelledBy


@dataclass(frozen=True, slots=True)
class Seen:
    """A parcel was seen by its carrier."""

    tracking_number: str
    scan: Scan


@dataclass(frozen=True, slots=True)
class News:
    """What one message says. `sale` is the whole order, if it was told; `is_edit` says that its lines are the present
    ones, and may differ from those that were placed. `told_at` is when the shop says that all this was so.
    """

    order_id: str
    told_at: datetime
    sale: Sale | None = None
    is_edit: bool = False
    paid_at: datetime | None = None
    method: str = "unknown"
    parcels: tuple[Parcel, ...] = ()
    ending: Ending | None = None
    back: tuple[GoodsBack | MoneyBack, ...] = ()
    seen: tuple[Seen, ...] = ()


def by_now(news: News, now: datetime) -> News:
    """The same, with nothing in it later than now: another shop's clock may be ahead, and what it tells is past."""
    sale = news.sale
    if sale is not None:
        parcels = tuple(replace(one, shipped_at=min(one.shipped_at, now)) for one in sale.parcels)
        sale = replace(sale, paid_at=_earlier(sale.paid_at, now), parcels=parcels)
    return replace(
        news,
        sale=sale,
        paid_at=_earlier(news.paid_at, now),
        parcels=tuple(replace(one, shipped_at=min(one.shipped_at, now)) for one in news.parcels),
        ending=None if news.ending is None else replace(news.ending, at=min(news.ending.at, now)),
        seen=tuple(replace(one, scan=replace(one.scan, at=min(one.scan.at, now))) for one in news.seen),
    )


def _earlier(at: datetime | None, now: datetime) -> datetime | None:
    return None if at is None else min(at, now)


@dataclass(frozen=True, slots=True)
class Around:
    """What has to be known besides: `kept` is the present consignee, `latest` the newest message taken before."""

    circumstances: Circumstances
    kept: Consignee | None = None
    latest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The order then, what happened, whether the consignee is another, and what could not be taken."""

    order: Order
    happened: tuple[Dated, ...] = ()
    is_moved: bool = False
    notes: tuple[str, ...] = field(default=())


def take_news(known: Order | None, news: News, around: Around) -> Taken:
    """Take in a message. Raises NotFound when it is about an order that nobody has told of yet."""
    taken = _start(known, news, around)
    taken = _edited(taken, known, news, around)
    for step in _steps(news, around):
        taken = _try(taken, step)
    return taken


def _start(known: Order | None, news: News, around: Around) -> Taken:
    if known is not None:
        return Taken(known)
    if news.sale is None:
        raise NotFound(f"nobody has told of {news.order_id} yet")
    unsent = replace(news.sale, parcels=(), paid_at=None)
    return Taken(*imports.take_sale(None, unsent, around.circumstances))


Step = Callable[[Order], Decided]


def _steps(news: News, around: Around) -> list[Step]:
    """Money, parcels, what came back, the end: each stands for itself."""
    steps: list[Step] = []
    sale, circumstances = news.sale, around.circumstances
    paid_at, method = (sale.paid_at, sale.method) if sale else (news.paid_at, news.method)
    steps.append(lambda order: imports.take_payment(order, paid_at, method, circumstances))
    parcels = sale.parcels if sale else news.parcels
    steps.append(lambda order: imports.take_parcels(order, parcels, sale.teller if sale else "webhook"))
    steps += [_back_step(back) for back in news.back]
    steps += [_seen_step(seen) for seen in news.seen]
    if news.ending is not None:
        ending = news.ending
        steps.append(lambda order: _end(order, ending))
    return steps


def _try(taken: Taken, step: Step) -> Taken:
    try:
        order, happened = step(taken.order)
    except (WrongState, Validation) as refused:
        return replace(taken, notes=(*taken.notes, refused.detail))
    return replace(taken, order=order, happened=(*taken.happened, *happened))


def _back_step(back: GoodsBack | MoneyBack) -> Step:
    if isinstance(back, MoneyBack):
        return lambda order: _money_back(order, back)
    return lambda order: _goods_back(order, back)


def _money_back(order: Order, back: MoneyBack) -> Decided:
    after, happened = imports.take_money_back(order, back)
    return after or order, happened


def _goods_back(order: Order, back: GoodsBack) -> Decided:
    """Goods that never left the house here cannot come back: then the money alone is taken."""
    try:
        return imports.take_goods_back(order, back)
    except (WrongState, Validation):
        if back.refund is None:
            raise
        return _money_back(order, MoneyBack(back.order_id, replace(back.refund, return_id=None), back.items_cents))


def _seen_step(seen: Seen) -> Step:
    def step(order: Order) -> Decided:
        parcel = next((s for s in order.shipments if s.tracking_number == seen.tracking_number), None)
        return (order, ()) if parcel is None else shipping.scan(order, parcel.shipment_id, seen.scan)

    return step


def _end(order: Order, ending: Ending) -> Decided:
    if order.status is Status.CANCELLED:
        return order, ()
    life.demand(order.status in CANCELLABLE, order, "cancelled over there after it was shipped here")
    return life.cancel(order, reason=ending.reason, by=ending.by, at=ending.at)


# what was changed over there


def _edited(taken: Taken, known: Order | None, news: News, around: Around) -> Taken:
    """Lines, amounts or address that were changed since; an older message changes nothing back."""
    sale = news.sale
    is_stale = around.latest is not None and news.told_at <= around.latest
    if known is None or sale is None or is_stale or not news.is_edit:
        return taken
    if known.status not in (Status.PLACED, Status.PAID):
        return taken
    is_moved = sale.consignee is not None and sale.consignee != around.kept
    if not is_moved and _amounts(known) == _amounts(sale.order):
        return taken
    edited = _try(taken, lambda order: _amend(order, news, sale, around, is_moved=is_moved))
    return replace(edited, is_moved=is_moved and not edited.notes)


def _amounts(order: Order) -> tuple[object, ...]:
    lines = tuple((x.sku, x.quantity, x.unit_price_cents, x.discount_cents) for x in order.lines)
    return lines, order.discount_cents, order.shipping_cents


def _amend(order: Order, news: News, sale: Sale, around: Around, *, is_moved: bool) -> Decided:
    lines: tuple[Line, ...] = sale.order.lines
    priced = replace(order, discount_cents=sale.order.discount_cents, shipping_cents=sale.order.shipping_cents)
    reasons = reasons_to_hold(
        lines,
        sale.order.total_cents,
        sale.consignee or around.kept,
        unknown_skus=around.circumstances.unknown_skus,
        limits=around.circumstances.limits,
    )
    return life.amend(priced, lines, address_changed=is_moved, reasons=reasons, now=max(news.told_at, order.placed_at))
