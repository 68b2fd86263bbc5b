"""An order: everything that was said about it, in any order of arrival, and what it adds to each figure at each moment.

What becomes of an order is booked where the rules say (3-kpis): at placing (gmv, payment success), at payment (sales,
costs, and refunds and returns brought back to the order's day), and at the moment of each payment, refund, return,
shipment and delivery. Figures by SKU count an order once a SKU and share its amounts over its lines (D11).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from libs.events.contracts import (
    ComplaintFiled,
    OrderAmended,
    OrderCancelled,
    OrderDelivered,
    OrderPaid,
    OrderPlaced,
    OrderReviewed,
    PaymentFailed,
    PaymentSucceeded,
    RefundIssued,
    ReturnReceived,
    ReturnRequested,
    ShipmentCreated,
)
from libs.events.contracts.base import Line, StockLine
from services.kpi.entities.customer import Standing
from services.kpi.entities.fact import Fact, Stamp
from services.kpi.entities.touch import Attribution
from services.kpi.figures import EVERY_GRAIN, NUMBERS, Contribution, Place, Vector, add, expand, in_currency, number_of

STOREFRONT: Final = "storefront"
WRONG: Final = frozenset({"wrong_goods", "missing_goods"})
"""Reasons that count against delivery accuracy (KPI-10)."""
REVIEW_US: Final = 30 * 60 * 1_000_000
"""In which an order is to be reviewed (ORD-1)."""


class LineOf(msgspec.Struct, array_like=True, gc=False):
    """A line; amounts in minor units."""

    sku: str
    quantity: int
    amount: int
    cost: int | None = None


class Units(msgspec.Struct, array_like=True, gc=False):
    """Units of a SKU."""

    sku: str
    quantity: int


class Terms(msgspec.Struct, array_like=True):
    """What was agreed at some moment: at placing, or by an amendment."""

    stamp: Stamp
    lines: list[LineOf]
    discount: int
    total: int


class Said(msgspec.Struct, array_like=True):
    """What placing and payment both say about the order."""

    currency: str
    customer: str | None
    tier: str | None
    origin: str | None
    channel: str | None
    source: str | None
    campaign: str | None
    visitor: str | None


class Placed(msgspec.Struct, array_like=True):
    """The order as it was placed."""

    terms: Terms
    said: Said


class Paid(msgspec.Struct, array_like=True):
    """The payments have reached the total. `discount` is None where the event does not name it."""

    stamp: Stamp
    amount: int
    lines: list[LineOf]
    discount: int | None
    due_us: int
    said: Said


class Shipment(msgspec.Struct, array_like=True):
    stamp: Stamp
    lines: list[Units]
    freight: int
    exchange: bool


class Refund(msgspec.Struct, array_like=True):
    stamp: Stamp
    amount: int
    items: int
    currency: str
    dispute: bool
    lines: list[Units] | None


class Return(msgspec.Struct, array_like=True):
    requested: tuple[Stamp, list[Units]] | None = None
    received: tuple[Stamp, list[Units]] | None = None
    is_wrong: bool = False
    """asked for because goods were wrong or missing"""


class Order(msgspec.Struct, array_like=True):
    """The merged state of an order; each part is None or empty until its event has come."""

    placed: Placed | None = None
    paid: Paid | None = None
    cancelled: Stamp | None = None
    delivered: Stamp | None = None
    amended: list[Terms] = []
    payments: list[tuple[int, str, bool]] = []
    """(time, id, succeeded)"""
    shipments: dict[str, Shipment] = {}
    returns: dict[str, Return] = {}
    refunds: dict[str, Refund] = {}
    reviewed: Stamp | None = None
    """when it passed review"""
    complained: Stamp | None = None
    """when wrong or missing goods were complained about"""

    @property
    def said(self) -> list[Said]:
        """What was said about the order as a whole; placing goes before payment."""
        return [*([self.placed.said] if self.placed else ()), *([self.paid.said] if self.paid else ())]

    @property
    def visitor(self) -> str | None:
        return _first(said.visitor for said in self.said)

    @property
    def customer(self) -> str | None:
        return _first(said.customer for said in self.said)

    @property
    def origin(self) -> str | None:
        return _first(said.origin for said in self.said)

    @property
    def tier(self) -> str | None:
        return _first(said.tier for said in self.said)

    @property
    def currency(self) -> str | None:
        return _first(said.currency for said in self.said)

    @property
    def placed_us(self) -> int | None:
        return self.placed.terms.stamp[0] if self.placed else None

    @property
    def paid_us(self) -> int | None:
        return self.paid.stamp[0] if self.paid else None

    @property
    def came_us(self) -> int | None:
        """When it came into being, as far as is known: it belongs to a touch before this."""
        return self.placed_us if self.placed_us is not None else self.paid_us

    @property
    def given(self) -> Attribution | None:
        """The channel that the order itself names; it is final (D13)."""
        for said in self.said:
            if said.channel is not None:
                return Attribution(said.channel, said.source, said.campaign)
        return None

    @property
    def skus(self) -> list[str]:
        """Every SKU that any of its lines names."""
        lines = [*(self.paid.lines if self.paid else ()), *(line for terms in self.terms for line in terms.lines)]
        return sorted({line.sku for line in lines})

    @property
    def named_skus(self) -> list[str]:
        """Every SKU whose category or cost its figures may depend on."""
        back = [step[1] for part in self.returns.values() for step in (part.requested, part.received) if step]
        back += [refund.lines for refund in self.refunds.values() if refund.lines]
        back += [shipment.lines for shipment in self.shipments.values() if shipment.freight]
        return sorted({*self.skus, *(units.sku for lines in back for units in lines)})

    @property
    def terms(self) -> list[Terms]:
        """What was agreed, earliest first."""
        return [*([self.placed.terms] if self.placed else ()), *self.amended]


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value is not None), None)


# merge


def merge(old: Order | None, facts: Iterable[Fact]) -> Order:
    """The order with these events in it; of two events that say the same thing the earliest is kept."""
    order = msgspec.structs.replace(old) if old else Order()
    order.amended, order.payments = list(order.amended), list(order.payments)
    order.shipments, order.returns, order.refunds = dict(order.shipments), dict(order.returns), dict(order.refunds)
    for fact in facts:
        _take(order, fact)
    return order


def _take(order: Order, fact: Fact) -> None:
    event = fact.event
    if isinstance(event, OrderPlaced):
        if order.placed is None or fact.stamp < order.placed.terms.stamp:
            order.placed = _placed(fact.stamp, event)
    elif isinstance(event, OrderPaid):
        if order.paid is None or fact.stamp < order.paid.stamp:
            order.paid = _paid(fact.stamp, event)
    elif isinstance(event, PaymentSucceeded | PaymentFailed):
        order.payments = sorted([*order.payments, (fact.us, fact.id, isinstance(event, PaymentSucceeded))])
    elif isinstance(event, OrderCancelled):
        order.cancelled = min(order.cancelled or fact.stamp, fact.stamp)
    elif isinstance(event, OrderDelivered):
        order.delivered = min(order.delivered or fact.stamp, fact.stamp)
    elif isinstance(event, OrderAmended):
        terms = Terms(fact.stamp, _lines(event.lines_after), event.discount_cents, event.total_cents)
        order.amended = sorted([*order.amended, terms], key=lambda terms: terms.stamp)
    elif isinstance(event, OrderReviewed):
        if event.decision == "approved":
            order.reviewed = min(order.reviewed or fact.stamp, fact.stamp)
    elif isinstance(event, ComplaintFiled):
        order.complained = min(order.complained or fact.stamp, fact.stamp)
    else:
        _take_part(order, fact)


def _take_part(order: Order, fact: Fact) -> None:
    """Shipments, returns and refunds have ids of their own."""
    event = fact.event
    if isinstance(event, ShipmentCreated):
        shipment = Shipment(fact.stamp, _units(event.lines), event.freight_cents or 0, event.return_id is not None)
        known = order.shipments.get(event.shipment_id)
        order.shipments[event.shipment_id] = shipment if known is None or shipment.stamp < known.stamp else known
    elif isinstance(event, RefundIssued):
        lines = None if event.lines is None else _units(event.lines)
        refund = Refund(fact.stamp, event.amount_cents, event.items_cents, event.currency, event.is_dispute, lines)
        other = order.refunds.get(event.refund_id)
        order.refunds[event.refund_id] = refund if other is None or refund.stamp < other.stamp else other
    elif isinstance(event, ReturnRequested | ReturnReceived):
        order.returns[event.return_id] = _return(order.returns.get(event.return_id) or Return(), fact, event)


def _return(known: Return, fact: Fact, event: ReturnRequested | ReturnReceived) -> Return:
    step = (fact.stamp, _units(event.lines))
    is_wrong = known.is_wrong or event.reason in WRONG
    if isinstance(event, ReturnRequested):
        return Return(step if known.requested is None else _earlier(known.requested, step), known.received, is_wrong)
    return Return(known.requested, step if known.received is None else _earlier(known.received, step), is_wrong)


def _earlier(one: tuple[Stamp, list[Units]], other: tuple[Stamp, list[Units]]) -> tuple[Stamp, list[Units]]:
    return one if one[0] <= other[0] else other


def _placed(stamp: Stamp, event: OrderPlaced) -> Placed:
    return Placed(Terms(stamp, _lines(event.lines), event.discount_cents, event.total_cents), _said(event))


def _paid(stamp: Stamp, event: OrderPaid) -> Paid:
    due_us = round(event.ship_due_at.timestamp() * 1_000_000)
    return Paid(stamp, event.amount_cents, _lines(event.lines), event.discount_cents, due_us, _said(event))


def _said(event: OrderPlaced | OrderPaid) -> Said:
    return Said(
        event.currency,
        event.customer_id,
        event.customer_tier,
        event.origin,
        event.channel,
        event.source,
        event.campaign,
        event.visitor_id,
    )


def _lines(lines: Sequence[Line]) -> list[LineOf]:
    return [LineOf(line.sku, line.quantity, line.amount_cents, line.cost_cents) for line in lines]


def _units(lines: Sequence[StockLine]) -> list[Units]:
    return [Units(line.sku, line.quantity) for line in lines]


# contribution


class Setting(NamedTuple):
    """What an order's contribution depends on beside itself."""

    store: str
    attribution: Attribution
    standing: Standing | None
    """where it stands among its customer's paid orders; None without customer or payment"""
    here: bool
    """whether its origin has its traffic in this store (D30)"""
    hour_of: Callable[[int], int]
    """the second at which the hour of an instant starts"""
    category_of: Callable[[str, int], str | None]
    cost_of: Callable[[str, int], int | None]
    currency: str = ""
    """the store's own"""


class Moment(NamedTuple):
    """What counts at one instant: counts of the order as a whole, its amounts, and their shares by SKU."""

    us: int
    counts: Vector
    amounts: Vector
    shares: Mapping[str, Vector]


def contribution(order: Order, setting: Setting) -> Contribution:
    """What the order adds to every figure."""
    made: Contribution = {}
    profile = _profile(order, setting)
    foreign = order.currency if setting.currency and order.currency != setting.currency else None
    for moment in _moments(order, setting):
        counted = moment if foreign is None else moment._replace(counts=in_currency(moment.counts, foreign))
        _book(made, setting, profile, counted)
    return made


def _profile(order: Order, setting: Setting) -> tuple[str | None, ...]:
    channel, source, campaign = setting.attribution
    kind = None if setting.standing is None else ("new" if setting.standing.first else "returning")
    return ("order", channel, source, campaign, order.origin, kind, order.tier)


def _book(made: Contribution, setting: Setting, profile: tuple[str | None, ...], moment: Moment) -> None:
    store, hour, channel = setting.store, setting.hour_of(moment.us), setting.attribution.channel
    whole = Place(store, EVERY_GRAIN, hour, profile)
    add(made, whole, moment.counts)
    add(made, whole, moment.amounts)
    categories: dict[str, Vector] = {}
    for sku, shares in moment.shares.items():
        place = Place(store, EVERY_GRAIN, hour, ("sku", channel, sku))
        add(made, place, moment.counts)
        add(made, place, shares)
        category = setting.category_of(sku, moment.us)
        if category is not None:
            _sum(categories.setdefault(category, {}), shares)
    for category, shares in categories.items():
        place = Place(store, EVERY_GRAIN, hour, ("category", category))
        add(made, place, moment.counts)
        add(made, place, shares)


def _sum(into: Vector, vector: Mapping[int, int]) -> None:
    for number, value in vector.items():
        into[number] = into.get(number, 0) + value


def _moments(order: Order, setting: Setting) -> Iterable[Moment]:
    if order.placed is not None:
        yield _at_placing(order, order.placed, setting)
    if order.paid is not None:
        yield _at_payment(order, order.paid, setting)
    for us, _, succeeded in order.payments:
        yield Moment(us, {_PAYMENTS_TRIED: 1, _PAYMENTS_SUCCEEDED: 1} if succeeded else {_PAYMENTS_TRIED: 1}, {}, {})
    if order.reviewed is not None:
        yield _at_review(order, order.reviewed[0])
    if order.cancelled is not None:
        yield Moment(order.cancelled[0], {_ORDERS_CANCELLED: 1}, {}, {sku: {} for sku in order.skus})
    for refund in order.refunds.values():
        yield _at_refund(order, refund)
    yield from _at_returns(order)
    yield from _at_shipping(order)


def _at_review(order: Order, us: int) -> Moment:
    """Reviewed in time is within the limit after the placing (ORD-1); before the placing is known, it is."""
    counts = {_ORDERS_REVIEWED: 1}
    if order.placed_us is None or us - order.placed_us <= REVIEW_US:
        counts[_REVIEWED_ON_TIME] = 1
    return Moment(us, counts, {}, {})


def _at_placing(order: Order, placed: Placed, setting: Setting) -> Moment:
    """gmv is the total with all later amendments, at the placing (3-kpis)."""
    counts = {_ORDERS_PLACED: 1}
    if setting.here:
        counts[_ORDERS_PLACED_HERE] = 1
    if order.paid is not None:
        counts[_ORDERS_PLACED_PAID] = 1
    agreed = order.terms[-1]
    gmv = number_of("gmv", placed.said.currency)
    shares = _per_sku(agreed.lines, net_amounts(agreed.lines, agreed.discount), gmv)
    return Moment(placed.terms.stamp[0], counts, {gmv: agreed.total}, shares)


def _at_payment(order: Order, paid: Paid, setting: Setting) -> Moment:
    counts = {_ORDERS_PAID: 1}
    nets = net_amounts(paid.lines, _discount(order, paid))
    items = number_of("items_amount", paid.said.currency)
    shares = _per_sku(paid.lines, nets, items)
    amounts = {items: sum(nets), _UNITS_PAID: sum(line.quantity for line in paid.lines)}
    _add_units_and_costs(paid, nets, setting, amounts, shares)
    amount = number_of("paid_amount", paid.said.currency)
    amounts[amount] = paid.amount
    for vector in shares.values():
        vector[amount] = vector[items]
    if setting.standing is not None:
        _add_standing(setting.standing, counts, amounts, shares, paid.said.currency)
    if any(back.received is not None for back in order.returns.values()):
        counts[_ORDERS_RETURNED_ORDER_DAY] = 1
    for refund in order.refunds.values():
        _add_refund(refund, paid.lines, "refund_amount_order_day", "refund_items_amount_order_day", amounts, shares)
    return Moment(paid.stamp[0], counts, amounts, shares)


def _discount(order: Order, paid: Paid) -> int:
    """The order's discount when it was paid."""
    if paid.discount is not None:
        return paid.discount
    agreed = [terms for terms in order.terms if terms.stamp[0] <= paid.stamp[0]]
    return (agreed or order.terms[:1])[-1].discount if order.terms else 0


def _add_units_and_costs(
    paid: Paid, nets: Sequence[int], setting: Setting, amounts: Vector, shares: Mapping[str, Vector]
) -> None:
    """Units; and, where the cost of a unit is known, costs and the sales that they cover."""
    cost_number = number_of("cost_amount", paid.said.currency)
    covered = number_of("covered_items_amount", paid.said.currency)
    for line, net in zip(paid.lines, nets, strict=True):
        _sum(shares[line.sku], {_UNITS_PAID: line.quantity})
        cost = line.cost if line.cost is not None else setting.cost_of(line.sku, paid.stamp[0])
        if cost is not None:
            known = {cost_number: cost * line.quantity, covered: net}
            _sum(amounts, known)
            _sum(shares[line.sku], known)


def _add_standing(
    standing: Standing, counts: Vector, amounts: Vector, shares: Mapping[str, Vector], currency: str
) -> None:
    counts[_FIRST_ORDERS if standing.first else _RETURNING_ORDERS] = 1
    if standing.within_365d:
        counts[_RETURNING_365D] = 1
    if standing.within_30d:
        counts[_RETURNING_30D] = 1
    number = number_of("first_orders_amount" if standing.first else "returning_amount", currency)
    amount = number_of("paid_amount", currency)
    for vector in (amounts, *shares.values()):
        vector[number] = vector[amount]


def _at_refund(order: Order, refund: Refund) -> Moment:
    counts = {_REFUNDS: 1, _DISPUTES: 1} if refund.dispute else {_REFUNDS: 1}
    lines = order.paid.lines if order.paid else (order.terms[-1].lines if order.terms else [])
    amounts: Vector = {}
    shares: dict[str, Vector] = {sku: {} for sku in _refunded(refund, lines)}
    _add_refund(refund, lines, "refund_amount", "refund_items_amount", amounts, shares)
    return Moment(refund.stamp[0], counts, amounts, shares)


def _refunded(refund: Refund, lines: Sequence[LineOf]) -> dict[str, int]:
    """SKU -> its weight in a refund: the worth of the units refunded, else of all the order's lines."""
    worth: dict[str, int] = {}
    units: dict[str, int] = {}
    for line in lines:
        worth[line.sku] = worth.get(line.sku, 0) + line.amount
        units[line.sku] = units.get(line.sku, 0) + line.quantity
    if not refund.lines:
        return worth
    back: dict[str, int] = {}
    for part in refund.lines:
        price = worth[part.sku] * 1000 // units[part.sku] if part.sku in units else 1000
        back[part.sku] = back.get(part.sku, 0) + price * part.quantity
    return back


def _add_refund(
    refund: Refund,
    lines: Sequence[LineOf],
    amount: str,
    items: str,
    amounts: Vector,
    shares: Mapping[str, Vector],
) -> None:
    _sum(amounts, {number_of(amount, refund.currency): refund.amount, number_of(items, refund.currency): refund.items})
    weights = {sku: weight for sku, weight in _refunded(refund, lines).items() if sku in shares}
    for name, total in ((amount, refund.amount), (items, refund.items)):
        for sku, share in zip(weights, spread(total, list(weights.values())), strict=True):
            _sum(shares[sku], {number_of(name, refund.currency): share})


def _at_returns(order: Order) -> Iterable[Moment]:
    for back in order.returns.values():
        if back.requested is not None:
            stamp, lines = back.requested
            yield Moment(stamp[0], {_RETURNS_REQUESTED: 1}, {}, {line.sku: {} for line in lines})
    received = [back.received for back in order.returns.values() if back.received is not None]
    if received:
        skus: dict[str, Vector] = {line.sku: {} for _, lines in received for line in lines}
        yield Moment(min(stamp for stamp, _ in received)[0], {_ORDERS_RETURNED: 1}, {}, skus)


def _at_shipping(order: Order) -> Iterable[Moment]:
    """An order is shipped with its last line, due at its promise unless it was cancelled before (D19); not by SKU."""
    shipped_us = _shipped_us(order)
    if shipped_us is not None:
        yield Moment(shipped_us, {_ORDERS_SHIPPED: 1}, {}, {})
    if order.paid is not None and _is_due(order, order.paid.due_us, shipped_us):
        counts = {_ORDERS_DUE: 1}
        if shipped_us is not None and shipped_us <= order.paid.due_us:
            counts[_ORDERS_ON_TIME] = 1
        yield Moment(order.paid.due_us, counts, {}, {})
    for shipment in order.shipments.values():
        if shipment.freight and order.currency is not None:
            yield _at_freight(shipment, number_of("freight_amount", order.currency))
    if order.delivered is not None:
        yield _at_delivery(order, order.delivered[0])


def _at_freight(shipment: Shipment, number: int) -> Moment:
    """What a shipment cost, shared over its units."""
    shares: dict[str, Vector] = {}
    parts = spread(shipment.freight, [units.quantity for units in shipment.lines])
    for units, part in zip(shipment.lines, parts, strict=True):
        _sum(shares.setdefault(units.sku, {}), {number: part})
    return Moment(shipment.stamp[0], {}, {number: shipment.freight}, shares)


def _at_delivery(order: Order, us: int) -> Moment:
    counts = {_ORDERS_DELIVERED: 1}
    if order.complained is not None or any(back.is_wrong for back in order.returns.values()):
        counts[_DELIVERED_WRONG] = 1
    sent = [shipment.stamp[0] for shipment in order.shipments.values() if not shipment.exchange]
    if sent and us > min(sent):
        counts[_DELIVERY_SECONDS] = (us - min(sent)) // 1_000_000
    return Moment(us, counts, {}, {})


def _shipped_us(order: Order) -> int | None:
    """When the last open line was shipped; None while any is open."""
    wanted = order.paid.lines if order.paid else (order.terms[-1].lines if order.terms else [])
    if order.paid and (later := [terms for terms in order.amended if terms.stamp > order.paid.stamp]):
        wanted = later[-1].lines
    open_units: dict[str, int] = {}
    for line in wanted:
        open_units[line.sku] = open_units.get(line.sku, 0) + line.quantity
    for shipment in sorted(order.shipments.values(), key=lambda shipment: shipment.stamp):
        if shipment.exchange:
            continue
        for sent in shipment.lines:
            open_units[sent.sku] = open_units.get(sent.sku, 0) - sent.quantity
        if open_units and all(quantity <= 0 for quantity in open_units.values()):
            return shipment.stamp[0]
    return None


def _is_due(order: Order, due_us: int, shipped_us: int | None) -> bool:
    return shipped_us is not None or order.cancelled is None or order.cancelled[0] > due_us


def _per_sku(lines: Sequence[LineOf], nets: Sequence[int], number: int) -> dict[str, Vector]:
    shares: dict[str, Vector] = {}
    for line, net in zip(lines, nets, strict=True):
        _sum(shares.setdefault(line.sku, {}), {number: net})
    return shares


def net_amounts(lines: Sequence[LineOf], discount: int) -> list[int]:
    """Amounts of the lines with the order's discount spread over them (D11)."""
    amounts = [line.amount for line in lines]
    return [amount - part for amount, part in zip(amounts, spread(discount, amounts), strict=True)]


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in whole parts as the weights are, by largest remainder, ties in the order of the weights (D11)."""
    whole = sum(weights)
    if not weights or total == 0:
        return [0] * len(weights)
    if whole == 0:
        weights, whole = [1] * len(weights), len(weights)
    parts = [total * weight // whole for weight in weights]
    remainders = sorted(range(len(weights)), key=lambda index: -(total * weights[index] % whole))
    for index in remainders[: total - sum(parts)]:
        parts[index] += 1
    return parts


# distinct buyers


class Member(NamedTuple):
    """A customer in one bucket, of which he is counted once a cell however many orders he paid there."""

    store: str
    customer: str
    grain: str
    bucket: int


Cell = str
"""`by`, a line feed, and the values; of a foreign currency, another one and its code."""
Membership = dict[Member, dict[Cell, tuple[int, int]]]
"""member -> cell -> (his paid orders there, those with traffic here)"""


def membership(order: Order, setting: Setting, second_of: Callable[[str, int], int]) -> Membership:
    """The buckets and cells in which this order makes its customer a buyer; none without customer or payment (D7)."""
    if order.paid is None or order.customer is None:
        return {}
    us, counted = order.paid.stamp[0], (1, 1 if setting.here else 0)
    currency = order.paid.said.currency
    foreign = currency if setting.currency and currency != setting.currency else ""
    of_order = _counted(_cells(_profile(order, setting)), counted, foreign)
    of_goods = _counted(_goods_cells(order.paid, setting), counted, foreign)
    members: Membership = {}
    for grain in ("hour", "day", "week", "month"):
        member = Member(setting.store, order.customer, grain, second_of(grain, us))
        members[member] = of_order if grain == "hour" else {**of_order, **of_goods}
    return members


def _counted(cells: Sequence[Cell], counted: tuple[int, int], foreign: str) -> dict[Cell, tuple[int, int]]:
    """An order in a foreign currency counts once more under that currency, after another line feed."""
    return dict.fromkeys([*cells, *(f"{cell}\n{foreign}" for cell in cells if foreign)], counted)


def _cells(profile: tuple[str | None, ...]) -> list[Cell]:
    return [f"{by}\n{value}" for by, value in expand(profile)]


def _goods_cells(paid: Paid, setting: Setting) -> list[Cell]:
    """By SKU and category: from the day up (D32)."""
    found: list[Cell] = []
    for sku in {line.sku for line in paid.lines}:
        found += _cells(("sku", setting.attribution.channel, sku))
        category = setting.category_of(sku, paid.stamp[0])
        if category is not None:
            found += _cells(("category", category))
    return found


_ORDERS_PLACED, _ORDERS_PLACED_HERE = NUMBERS["orders_placed"], NUMBERS["orders_placed_here"]
_ORDERS_PLACED_PAID, _ORDERS_CANCELLED = NUMBERS["orders_placed_paid"], NUMBERS["orders_cancelled"]
_ORDERS_PAID, _UNITS_PAID = NUMBERS["orders_paid"], NUMBERS["units_paid"]
_FIRST_ORDERS, _RETURNING_ORDERS = NUMBERS["first_orders"], NUMBERS["returning_orders"]
_RETURNING_365D, _RETURNING_30D = NUMBERS["returning_orders_365d"], NUMBERS["returning_orders_30d"]
_ORDERS_RETURNED_ORDER_DAY = NUMBERS["orders_returned_order_day"]
_PAYMENTS_TRIED, _PAYMENTS_SUCCEEDED = NUMBERS["payments_tried"], NUMBERS["payments_succeeded"]
_REFUNDS, _DISPUTES = NUMBERS["refunds"], NUMBERS["disputes"]
_RETURNS_REQUESTED, _ORDERS_RETURNED = NUMBERS["returns_requested"], NUMBERS["orders_returned"]
_ORDERS_SHIPPED, _ORDERS_ON_TIME = NUMBERS["orders_shipped"], NUMBERS["orders_shipped_on_time"]
_ORDERS_DUE, _ORDERS_DELIVERED = NUMBERS["orders_due_to_ship"], NUMBERS["orders_delivered"]
_DELIVERY_SECONDS = NUMBERS["delivery_seconds"]
_ORDERS_REVIEWED, _REVIEWED_ON_TIME = NUMBERS["orders_reviewed"], NUMBERS["orders_reviewed_on_time"]
_DELIVERED_WRONG = NUMBERS["orders_delivered_wrong"]
