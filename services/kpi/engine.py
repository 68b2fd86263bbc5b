"""The engine of all figures: load the touched entities, merge, save, and give the difference of their contributions.

It knows no database: `Rows` is a port, with PostgreSQL (`rows.py`) and memory (`Memory`, which a rebuild uses) behind
it. What it promises: after any sequence of batches the sum of all differences is the contribution of the set of events,
however they were ordered, cut or repeated (KPI rule 1). An entity that another one depends on (an order on its
visitor's touches, on its customer's other orders, on a SKU's cost) is counted anew when that one changes.

Whoever calls it has locked the stores of the batch (`rows.py`), so nothing that is read here changes meanwhile.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol

from services.kpi.calendar import Calendar
from services.kpi.entities import conversation as conversations
from services.kpi.entities import customer as customers
from services.kpi.entities import order as orders
from services.kpi.entities import sku as skus
from services.kpi.entities import visitor as visitors
from services.kpi.entities.customer import Ask, Customer, PaidOrder, Standing
from services.kpi.entities.fact import Fact
from services.kpi.entities.leaf import Ground, LeafKey
from services.kpi.entities.order import Member, Membership, Order
from services.kpi.entities.sku import Fact as SkuFact
from services.kpi.entities.sku import Sku
from services.kpi.entities.touch import DIRECT, LOOK_BACK_US, Attribution, attribute
from services.kpi.entities.visitor import IDENTITY_BYTES, IDLE_US, Day, Scope, Visit, scope_of
from services.kpi.figures import (
    ABROAD,
    NUMBERS,
    BucketsOf,
    Cell,
    Cells,
    Contribution,
    add_all,
    cells_of,
    difference,
    number_of,
)
from services.kpi.leaves import BY_KIND
from services.kpi.states import CROWDED

Key = tuple[str, str]
"""(store, id) of an entity."""

SLICE: Final = 1_000
"""Entities between two turns of the event loop, so that the database works meanwhile."""
_ID_BYTES: Final = 8
NEAR_MIDNIGHT_US: Final = 5 * 60 * 1_000_000
"""How far from midnight a repeat is looked for in the neighbouring day too."""
_REACH_DAYS: Final = 9
"""Days around a visit in which an order may depend on it, and whatever that order depends on: 7 and a margin."""


class StoredDay(NamedTuple):
    """A visitor's day, and 8 bytes of the identity of each of its events."""

    day: Day
    ids: bytes


VisitorDays = dict[int, StoredDay]


class DayRange(NamedTuple):
    """The days of a visitor from `first` to `last`, both included."""

    store: str
    visitor: str
    first: int
    last: int


class OrderRange(NamedTuple):
    """The orders that a visitor placed between two instants."""

    store: str
    visitor: str
    from_us: int
    to_us: int


class Rows(Protocol):
    """Where entity states lie. What is not there is missing from the answer; an empty state is taken away."""

    async def visitor_days(self, ranges: Sequence[DayRange]) -> dict[Key, VisitorDays]: ...
    async def orders(self, keys: Sequence[Key]) -> dict[Key, Order]: ...
    async def orders_of_visitors(self, ranges: Sequence[OrderRange]) -> dict[Key, Order]: ...
    async def orders_with_skus(self, keys: Sequence[Key]) -> dict[Key, Order]: ...
    async def orders_placed_since(self, store: str, us: int) -> dict[Key, Order]: ...
    async def customers(self, keys: Sequence[Key]) -> dict[Key, Customer]: ...
    async def buyers(self, members: Sequence[Member]) -> Membership: ...
    async def skus(self, keys: Sequence[Key]) -> dict[Key, Sku]: ...
    async def visitors_with_skus(self, keys: Sequence[Key]) -> dict[Key, set[int]]: ...
    async def leaves(self, keys: Sequence[LeafKey]) -> dict[LeafKey, Any]: ...
    async def remember(self, identities: Sequence[bytes]) -> set[bytes]:
        """Those of these that were not known before; they are from now on."""

    async def save_visitor_days(self, days: Mapping[Key, VisitorDays]) -> None: ...
    async def save_orders(self, found: Mapping[Key, Order]) -> None: ...
    async def save_customers(self, found: Mapping[Key, Customer]) -> None: ...
    async def save_buyers(self, found: Membership) -> None: ...
    async def save_skus(self, found: Mapping[Key, Sku]) -> None: ...
    async def save_leaves(self, found: Mapping[LeafKey, Any]) -> None: ...


class Shop(NamedTuple):
    """What of a store the engine must know."""

    calendar: Calendar
    traffic_origins: tuple[tuple[int, frozenset[str]], ...] = ()
    """(valid from, origins beside the storefront whose traffic is here), latest first (D30)"""
    currency: str = ""

    def has_traffic_of(self, origin: str | None, us: int) -> bool:
        """Whether orders of this origin count for conversion at this instant."""
        if origin is None or origin == orders.STOREFRONT:
            return origin is not None
        for since, named in self.traffic_origins:
            if us >= since:
                return origin in named
        return False


Shops = Mapping[str, Shop]


@dataclass(slots=True)
class Batch:
    """Events by the entity that they are about, and who caused what."""

    visits: dict[Key, list[Visit]] = field(default_factory=lambda: defaultdict(list))
    orders: dict[Key, list[Fact]] = field(default_factory=lambda: defaultdict(list))
    skus: dict[Key, list[SkuFact]] = field(default_factory=lambda: defaultdict(list))
    leaves: dict[LeafKey, list[Fact]] = field(default_factory=lambda: defaultdict(list))
    origins_changed: dict[str, int] = field(default_factory=dict)
    """store -> the instant from which on other origins have their traffic here"""
    origin_events: dict[str, list[str]] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    """event id -> the import that brought it"""


class Change(NamedTuple):
    """What some events changed of the figures, before it is expanded into cells."""

    difference: Contribution
    cells: Cells
    causes: list[str]


@dataclass(slots=True)
class Outcome:
    """The differences of a batch, added up, and one by one with their causes."""

    places: Contribution
    changes: list[Change]
    repeats: int
    buckets: BucketsOf
    differing: Mapping[str, int]
    """store -> repeats of visits that said something else than what was accepted first (D1)"""

    @property
    def cells(self) -> Cells:
        """Everything that changed, expanded; made anew each time."""
        cells = cells_of(self.places, self.buckets)
        buyers: Cells = {}
        for change in self.changes:
            if change.cells:
                _add_cells(buyers, change.cells)
        for cell, vector in buyers.items():
            kept = {number: value for number, value in vector.items() if value}
            if kept:
                cells[cell] = {**cells.get(cell, {}), **kept}
        return cells


async def fold(batch: Batch, rows: Rows, shops: Shops, shops_before: Shops | None = None) -> Outcome:
    """Apply a batch: read and write the entities through `rows`, return what changed of the figures."""
    work = _Work(batch, rows, shops, shops_before or shops)
    await work.merge_skus()
    await work.merge_leaves()
    await work.merge_orders()
    await work.merge_visits()
    await work.merge_customers()
    await work.find_dependents()
    await work.count_visitors()
    await work.count_orders()
    await work.save()
    return work.outcome()


@dataclass(slots=True)
class _Visitor:
    """A visitor while a batch is applied: his days before and after it, and the range of days that were read."""

    first: int
    last: int
    before: dict[int, Day] = field(default_factory=dict)
    after: dict[int, Day] = field(default_factory=dict)
    ids: dict[int, bytes] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    causes: list[str] = field(default_factory=list)


class _Work:
    """The state of one `fold`, step by step."""

    def __init__(self, batch: Batch, rows: Rows, shops: Shops, shops_before: Shops) -> None:
        self.batch, self.rows, self.shops, self.shops_before = batch, rows, shops, shops_before
        self.visitors: dict[Key, _Visitor] = {}
        self.orders_before: dict[Key, Order] = {}
        self.orders_after: dict[Key, Order] = {}
        self.affected: dict[Key, list[str]] = {}
        """orders to be counted anew, and why"""
        self.customers_before: dict[Key, Customer] = {}
        self.customers_after: dict[Key, Customer] = {}
        self.standing_before: dict[Key, dict[str, Standing]] = {}
        self.standing_after: dict[Key, dict[str, Standing]] = {}
        self.skus_before: dict[Key, Sku] = {}
        self.skus_after: dict[Key, Sku] = {}
        self.known_skus: set[Key] = set()
        self.customer_causes: dict[Key, list[str]] = {}
        self.visitor_causes: dict[Key, list[str]] = {}
        self.buyers: Membership = {}
        self.leaves_after: dict[LeafKey, Any] = {}
        self.asks_left: dict[Key, list[Ask]] = defaultdict(list)
        self.asks_joined: dict[Key, list[Ask]] = defaultdict(list)
        self.ask_causes: dict[Key, list[str]] = defaultdict(list)
        self.changes: list[Change] = []
        self.repeats = 0
        self.differing: dict[str, int] = {}
        """store -> repeats of visits that said something else"""
        self.crowd: dict[bytes, bool] = {}
        """events of crowded days -> whether they are new"""

    # merging

    async def merge_skus(self) -> None:
        if not self.batch.skus:
            return
        await self._know_skus(self.batch.skus)
        for key, facts in self.batch.skus.items():
            self.skus_after[key] = skus.merge(self.skus_before.get(key), facts)

    async def merge_leaves(self) -> None:
        if not self.batch.leaves:
            return
        stored = await self.rows.leaves(sorted(self.batch.leaves))
        for key, facts in self.batch.leaves.items():
            leaf, before = BY_KIND[key.kind], stored.get(key)
            after = self.leaves_after[key] = leaf.merge(before, facts)
            shop = self.shops[key.store]
            ground = Ground(key.store, shop.calendar, shop.currency)
            causes = [fact.id for fact in facts]
            old = {} if before is None else leaf.contribution(before, ground)
            if changed := difference(leaf.contribution(after, ground), old):
                self.changes.append(Change(changed, {}, causes))
            if key.kind == conversations.LEAF.kind:
                self._move_ask(key, before, after, causes)

    def _move_ask(self, key: LeafKey, before: Any, after: Any, causes: Sequence[str]) -> None:
        """Who asked what, where a conversation says it anew."""
        was, now = conversations.ask_of(before, key.id), conversations.ask_of(after, key.id)
        if was == now:
            return
        for found, into in ((was, self.asks_left), (now, self.asks_joined)):
            if found is not None:
                into[key.store, found[0]].append(found[1])
                self.ask_causes[key.store, found[0]] += causes

    async def merge_orders(self) -> None:
        if not self.batch.orders:
            return
        self.orders_before = await self.rows.orders(sorted(self.batch.orders))
        for key, facts in self.batch.orders.items():
            self.orders_after[key] = orders.merge(self.orders_before.get(key), facts)
            self.affected[key] = [fact.id for fact in facts]

    async def merge_visits(self) -> None:
        wanted: dict[Key, set[int]] = defaultdict(set)
        for key, visits in self.batch.visits.items():
            wanted[key] = _days_of(visits, self.shops[key[0]].calendar)
        await self._touch(wanted)
        await self._touch_visitors_of(self.batch.orders)
        await self._remember_crowds()
        for number, (key, visits) in enumerate(self.batch.visits.items()):
            self._merge_visits(key, visits)
            await _breathe(number)

    async def _remember_crowds(self) -> None:
        """A visitor with very many events in a day is a machine: his row must not grow with each of them."""
        crowd: set[bytes] = set()
        for key, visits in self.batch.visits.items():
            ids, slot = self.visitors[key].ids, self.shops[key[0]].calendar.slot
            days = {day for day, known in ids.items() if len(known) >= CROWDED * _ID_BYTES}
            if days:
                crowd.update(_identity(key, visit) for visit in visits if slot(visit.us)[0] in days)
        if crowd:
            new = await self.rows.remember(sorted(crowd))
            self.crowd = {identity: identity in new for identity in crowd}

    async def _touch_visitors_of(self, keys: Iterable[Key]) -> None:
        """An order converts the session in or after which it was placed."""
        wanted: dict[Key, set[int]] = defaultdict(set)
        for key in keys:
            for order in self._versions(key):
                if order.visitor is not None and order.came_us is not None:
                    slot = self.shops[key[0]].calendar.slot
                    days = {slot(order.came_us)[0], slot(order.came_us - IDLE_US)[0]}
                    wanted[key[0], order.visitor].update(days)
        await self._touch(wanted)

    async def _touch(self, wanted: Mapping[Key, set[int]]) -> None:
        """Read the visitors' days around these and have what happened on them counted anew."""
        await self._read_days(wanted)
        for key, days in wanted.items():
            self.visitors[key].touched |= days

    def _merge_visits(self, key: Key, visits: Sequence[Visit]) -> None:
        visitor, calendar = self.visitors[key], self.shops[key[0]].calendar
        fresh: dict[int, list[tuple[int, Visit]]] = {}
        seen: dict[int, dict[bytes, bytes]] = {}
        slot, ids = calendar.slot, visitor.ids
        for visit in visits:
            day, hour = slot(visit.us)
            keys, identity = seen.get(day), visit.key[:IDENTITY_BYTES]
            if keys is None:
                keys = seen[day] = {}
                fresh[day] = []
            if (
                identity in keys
                or ((ids or len(seen) > 1) and _known(visit, day, (ids, seen), calendar))
                or self._known_in_crowd(key, visit)
            ):
                self.repeats += 1
                if _differs(visit.key, identity, seen, ids):
                    self.differing[key[0]] = self.differing.get(key[0], 0) + 1
                continue
            keys[identity] = visit.key
            fresh[day].append((hour, visit))
        for day, arrived in fresh.items():
            if not arrived:
                continue
            visitor.after[day] = visitors.merge(visitor.before.get(day), arrived)
            if len(ids.get(day, b"")) < CROWDED * _ID_BYTES:
                ids[day] = ids.get(day, b"") + b"".join([visit.key for _, visit in arrived])
            visitor.changed.add(day)
            visitor.causes += [visit.id for _, visit in arrived]

    def _known_in_crowd(self, key: Key, visit: Visit) -> bool:
        return bool(self.crowd) and not self.crowd.get(_identity(key, visit), True)

    async def _reach(self) -> None:
        """A session may run over midnight: the days that it joins change together."""
        wider: dict[Key, set[int]] = {}
        for key, visitor in self.visitors.items():
            calendar = self.shops[key[0]].calendar
            reached = visitors.affected(visitor.touched, visitor.before, visitor.after, calendar)
            if len(reached) > len(visitor.touched):
                visitor.touched = reached
                wider[key] = reached
        if wider:
            await self._read_days(wider)

    async def merge_customers(self) -> None:
        left: dict[Key, list[PaidOrder]] = defaultdict(list)
        joined: dict[Key, list[PaidOrder]] = defaultdict(list)
        for key in self.batch.orders:
            before, after = self.orders_before.get(key), self.orders_after[key]
            for order, into in ((before, left), (after, joined)):
                if order is not None and order.customer is not None and order.paid is not None:
                    paid = (order.paid.stamp[0], key[1], order.paid.amount, order.paid.said.currency)
                    into[key[0], order.customer].append(paid)
        changed = [key for key in left.keys() | joined.keys() if left.get(key) != joined.get(key)]
        asked = self.asks_left.keys() | self.asks_joined.keys()
        await self._know_customers(left.keys() | joined.keys() | asked)
        for key in asked:
            self.customers_after[key] = customers.merge_asks(
                self.customers_before.get(key), self.asks_left.get(key, ()), self.asks_joined.get(key, ())
            )
        for key in changed:
            before_ = self.customers_after.get(key) or self.customers_before.get(key)
            self.customers_after[key] = customers.merge(before_, left.get(key, ()), joined.get(key, ()))
            self.standing_after[key] = customers.standings(self.customers_after[key])
        for key in {*changed, *asked}:
            self._count_customer(key)
        await self._moved_by_customers(changed)

    def _count_customer(self, key: Key) -> None:
        second_of = self.shops[key[0]].calendar.second
        changed = difference(
            customers.contribution(key[0], self.customers_after[key], second_of),
            customers.contribution(key[0], self.customers_before.get(key), second_of),
        )
        if changed:
            causes = [*self._causes_of_customer(key), *self.ask_causes.get(key, ())]
            self.changes.append(Change(changed, {}, causes))

    async def _moved_by_customers(self, changed: Iterable[Key]) -> None:
        """Other orders of a customer whose standing changed: an earlier first order makes a later one a repeat."""
        moved: dict[Key, list[str]] = {}
        for key in changed:
            before, after = self.standing_before.get(key, {}), self.standing_after[key]
            for order_id in before.keys() & after.keys():
                if before[order_id] != after[order_id] and (key[0], order_id) not in self.orders_after:
                    moved[key[0], order_id] = self._causes_of_customer(key)
        await self._affect(moved)

    def _causes_of_customer(self, key: Key) -> list[str]:
        if not self.customer_causes:
            self._index_causes(self.customer_causes, lambda order: order.customer)
        return self.customer_causes.get(key, [])

    def _causes_of_visitor(self, key: Key) -> list[str]:
        if not self.visitor_causes:
            self._index_causes(self.visitor_causes, lambda order: order.visitor)
        return self.visitor_causes.get(key, [])

    def _index_causes(self, index: dict[Key, list[str]], about: Callable[[Order], str | None]) -> None:
        """Who is told of by which events of orders."""
        for key, causes in self.affected.items():
            for name in {name for order in self._versions(key) if (name := about(order)) is not None}:
                index.setdefault((key[0], name), []).extend(causes)

    # dependents

    async def find_dependents(self) -> None:
        """Orders that change without an event of their own."""
        if self.batch.skus:
            keys = sorted(self.batch.skus)
            causes = {key: [fact.id for fact in facts] for key, facts in self.batch.skus.items()}
            found = await self.rows.orders_with_skus(keys)
            self._take_orders(found)
            for key, order in found.items():
                told = [cause for sku in order.named_skus for cause in causes.get((key[0], sku), ())]
                self.affected.setdefault(key, told)
            await self._visitors_of_skus(causes)
        for store, since in self.batch.origins_changed.items():
            found = await self.rows.orders_placed_since(store, since)
            self._take_orders(found)
            for key in found:
                self.affected.setdefault(key, self.batch.origin_events[store])
            await self._touch_visitors_of(found)
        await self._reach()
        await self._orders_of_visitors()
        await self._moved_by_touches()

    async def _visitors_of_skus(self, causes: Mapping[Key, list[str]]) -> None:
        """Visitors who met a SKU whose category may have changed."""
        told = [cause for ids in causes.values() for cause in ids]
        found = await self.rows.visitors_with_skus(sorted(causes))
        await self._touch(found)
        for key in found:
            self.visitors[key].causes += told

    async def _orders_of_visitors(self) -> None:
        ranges = []
        for key, visitor in self.visitors.items():
            if not visitor.touched:
                continue
            calendar = self.shops[key[0]].calendar
            from_us = calendar.day_start(visitor.first) * 1_000_000
            ranges.append(OrderRange(*key, from_us, calendar.day_start(visitor.last + 1) * 1_000_000))
        if ranges:
            self._take_orders(await self.rows.orders_of_visitors(ranges))

    async def _moved_by_touches(self) -> None:
        """Orders without a channel of their own whose visitor now has another last touch before them (D29)."""
        for key in list(self.orders_after):
            order = self.orders_after[key]
            if key in self.affected or order.given is not None or order.visitor is None or order.came_us is None:
                continue
            visitor = self.visitors[key[0], order.visitor]
            if not visitor.changed:
                continue
            if attribute(visitor.before, order.came_us) != attribute(visitor.after, order.came_us):
                self.affected[key] = visitor.causes

    async def _affect(self, moved: Mapping[Key, list[str]]) -> None:
        if moved:
            self._take_orders(await self.rows.orders(sorted(moved)))
            self.affected.update(moved)

    def _take_orders(self, found: Mapping[Key, Order]) -> None:
        """Orders that were read and have no event in this batch are the same before and after it."""
        for key, order in found.items():
            if key not in self.orders_after:
                self.orders_before[key] = self.orders_after[key] = order

    # counting

    async def count_visitors(self) -> None:
        placed_before, placed_after = (
            self._placed(self.orders_before, self.shops_before),
            self._placed(self.orders_after, self.shops),
        )
        await self._know_skus(self._skus_of_visitors())
        for number, (key, visitor) in enumerate(self.visitors.items()):
            if not visitor.touched:
                continue
            scope = scope_of(self.shops[key[0]].calendar, tuple(sorted(visitor.touched)))
            old = self._contribution_of(key, visitor.before, placed_before.get(key, ()), scope, before=True)
            new = self._contribution_of(key, visitor.after, placed_after.get(key, ()), scope, before=False)
            changed = difference(new, old) if old else new
            if changed:
                self.changes.append(Change(changed, {}, visitor.causes or self._causes_of_visitor(key)))
            await _breathe(number)

    def _contribution_of(
        self, key: Key, days: Mapping[int, Day], placed: Sequence[int], scope: Scope, *, before: bool
    ) -> Contribution:
        store = key[0]
        category_of = self._category_of(store, before=before)
        return visitors.contribution(store, days, placed, scope, self.shops[store].calendar, category_of)

    def _placed(self, found: Mapping[Key, Order], shops: Shops) -> dict[Key, list[int]]:
        """visitor -> instants at which he placed orders that count for conversion."""
        placed: dict[Key, list[int]] = defaultdict(list)
        for (store, _), order in found.items():
            us = order.placed_us
            if order.visitor is not None and us is not None and shops[store].has_traffic_of(order.origin, us):
                placed[store, order.visitor].append(us)
        return placed

    async def count_orders(self) -> None:
        if not self.affected:
            return
        await self._know_customers(
            {(key[0], order.customer) for key in self.affected for order in self._versions(key) if order.customer}
        )
        await self._read_days(self._days_for_attribution())
        await self._know_skus(
            (key[0], sku) for key in self.affected for order in self._versions(key) for sku in order.named_skus
        )
        memberships: dict[Member, list[tuple[Mapping[str, tuple[int, int]], int, list[str]]]] = defaultdict(list)
        for number, (key, causes) in enumerate(self.affected.items()):
            self._count_order(key, causes, memberships)
            await _breathe(number * 20)
        await self._count_buyers(memberships)

    def _count_order(
        self,
        key: Key,
        causes: list[str],
        memberships: dict[Member, list[tuple[Mapping[str, tuple[int, int]], int, list[str]]]],
    ) -> None:
        second_of = self.shops[key[0]].calendar.second
        made: list[Contribution] = []
        for order, before in ((self.orders_before.get(key), True), (self.orders_after.get(key), False)):
            if order is None:
                made.append({})
                continue
            setting = self._setting(key, order, before=before)
            made.append(orders.contribution(order, setting))
            for member, cells in orders.membership(order, setting, second_of).items():
                memberships[member].append((cells, -1 if before else 1, causes))
        changed = difference(made[1], made[0]) if made[0] else made[1]
        if changed:
            self.changes.append(Change(changed, {}, causes))

    def _setting(self, key: Key, order: Order, *, before: bool) -> orders.Setting:
        store = key[0]
        shop = (self.shops_before if before else self.shops)[store]
        came_us = order.came_us
        return orders.Setting(
            store,
            self._attribution(store, order, before=before),
            self._standing(key, order, before=before),
            came_us is not None and shop.has_traffic_of(order.origin, came_us),
            self._hour_of(store),
            self._category_of(store, before=before),
            self._cost_of(store, before=before),
            shop.currency,
        )

    def _attribution(self, store: str, order: Order, *, before: bool) -> Attribution:
        if order.given is not None:
            return order.given
        visitor = self.visitors.get((store, order.visitor)) if order.visitor is not None else None
        if visitor is None or order.came_us is None:
            return DIRECT
        return attribute(visitor.before if before else visitor.after, order.came_us)

    def _standing(self, key: Key, order: Order, *, before: bool) -> Standing | None:
        if order.customer is None or order.paid is None:
            return None
        customer = (key[0], order.customer)
        if not before and customer in self.standing_after:
            return self.standing_after[customer][key[1]]
        return self.standing_before[customer][key[1]]

    async def _count_buyers(
        self, memberships: Mapping[Member, Sequence[tuple[Mapping[str, tuple[int, int]], int, list[str]]]]
    ) -> None:
        if not memberships:
            return
        stored = await self.rows.buyers(sorted(memberships))
        for member, parts in memberships.items():
            known = stored.get(member, {})
            before: dict[str, tuple[int, int]] = {}
            for cells, sign, _ in parts:
                _move_members(known, before, cells, sign)
            changed = [name for name, was in before.items() if known.get(name, (0, 0)) != was]
            if changed:
                self.buyers[member] = known
                causes = list(dict.fromkeys(cause for _, _, ids in parts for cause in ids))
                self.changes.append(Change({}, _buyer_cells(member, changed, before, known), causes))

    # reading

    async def _read_days(self, wanted: Mapping[Key, set[int]]) -> None:
        """Have the days read that these days' weeks, months, sessions and orders depend on."""
        ranges: dict[Key, tuple[int, int]] = {}
        for key, days in wanted.items():
            scope = scope_of(self.shops[key[0]].calendar, tuple(sorted(days)))
            ranges[key] = (
                min(scope.first - 1, scope.days[0] - _REACH_DAYS),
                max(scope.after, scope.days[-1] + _REACH_DAYS),
            )
        while ranges:
            missing = [
                DayRange(*key, first, last) for key, (first, last) in ranges.items() if self._lacks(key, first, last)
            ]
            if not missing:
                return
            found = await self.rows.visitor_days(missing)
            ranges = {}
            for asked in missing:
                key = (asked.store, asked.visitor)
                self._keep_days(key, asked, found.get(key, {}))
                wider = self._wider(key)
                if wider is not None:
                    ranges[key] = wider

    def _lacks(self, key: Key, first: int, last: int) -> bool:
        known = self.visitors.get(key)
        return known is None or first < known.first or last > known.last

    def _keep_days(self, key: Key, asked: DayRange, found: VisitorDays) -> None:
        visitor = self.visitors.get(key)
        if visitor is None:
            visitor = self.visitors[key] = _Visitor(asked.first, asked.last)
        visitor.first, visitor.last = min(visitor.first, asked.first), max(visitor.last, asked.last)
        for day, stored in found.items():
            if day not in visitor.before:
                visitor.before[day] = stored.day
                visitor.ids.setdefault(day, stored.ids)
                visitor.after.setdefault(day, stored.day)

    def _wider(self, key: Key) -> tuple[int, int] | None:
        """The range that is needed because a session runs over the edge of what was read; None if none does."""
        visitor, calendar = self.visitors[key], self.shops[key[0]].calendar
        first, last = visitor.first, visitor.last
        if visitors.open_at_start(visitor.before.get(first), calendar.day_start(first) * 1_000_000):
            first -= 1
        if visitors.open_at_end(visitor.before.get(last), calendar.day_start(last + 1) * 1_000_000):
            last += 1
        return (first, last) if (first, last) != (visitor.first, visitor.last) else None

    def _days_for_attribution(self) -> dict[Key, set[int]]:
        wanted: dict[Key, set[int]] = defaultdict(set)
        for key in self.affected:
            for order in self._versions(key):
                if order.given is None and order.visitor is not None and order.came_us is not None:
                    slot = self.shops[key[0]].calendar.slot
                    wanted[key[0], order.visitor].update(
                        {slot(order.came_us)[0], slot(order.came_us - LOOK_BACK_US)[0]}
                    )
        return wanted

    def _skus_of_visitors(self) -> Iterator[Key]:
        for key, visitor in self.visitors.items():
            for days in (visitor.before, visitor.after):
                for day in days.values():
                    for sku in day.skus:
                        yield key[0], sku.sku

    async def _know_skus(self, keys: Iterable[Key]) -> None:
        missing = set(keys) - self.known_skus
        if missing:
            self.known_skus |= missing
            self.skus_before.update(await self.rows.skus(sorted(missing)))

    async def _know_customers(self, keys: Iterable[Key]) -> None:
        missing = [key for key in keys if key not in self.standing_before]
        if not missing:
            return
        found = await self.rows.customers(sorted(missing))
        self.customers_before.update(found)
        for key in missing:
            known = found.get(key)
            self.standing_before[key] = customers.standings(known) if known else {}

    # small things

    def _versions(self, key: Key) -> list[Order]:
        return [order for order in (self.orders_before.get(key), self.orders_after.get(key)) if order is not None]

    def _hour_of(self, store: str) -> Callable[[int], int]:
        calendar = self.shops[store].calendar

        def hour_of(us: int) -> int:
            day, hour = calendar.slot(us)
            return calendar.hours(day)[hour]

        return hour_of

    def _category_of(self, store: str, *, before: bool) -> Callable[[str, int], str | None]:
        def category_of(sku: str, us: int) -> str | None:
            known = self._sku(store, sku, before)
            return known.category_at(us) if known is not None else None

        return category_of

    def _cost_of(self, store: str, *, before: bool) -> Callable[[str, int], int | None]:
        def cost_of(sku: str, us: int) -> int | None:
            known = self._sku(store, sku, before)
            return known.cost_at(us) if known is not None else None

        return cost_of

    def _sku(self, store: str, sku: str, before: bool) -> Sku | None:
        key = (store, sku)
        if not before and key in self.skus_after:
            return self.skus_after[key]
        return self.skus_before.get(key)

    # the end

    async def save(self) -> None:
        days = {
            key: {day: StoredDay(visitor.after[day], visitor.ids[day]) for day in sorted(visitor.changed)}
            for key, visitor in self.visitors.items()
            if visitor.changed
        }
        if days:
            await self.rows.save_visitor_days(days)
        if self.batch.orders:
            await self.rows.save_orders({key: self.orders_after[key] for key in self.batch.orders})
        if self.customers_after:
            await self.rows.save_customers(self.customers_after)
        if self.buyers:
            await self.rows.save_buyers(self.buyers)
        if self.skus_after:
            await self.rows.save_skus(self.skus_after)
        if self.leaves_after:
            await self.rows.save_leaves(self.leaves_after)

    def outcome(self) -> Outcome:
        places: Contribution = {}
        for change in self.changes:
            add_all(places, change.difference)
        buckets = BucketsOf({store: shop.calendar for store, shop in self.shops.items()})
        return Outcome(places, self.changes, self.repeats, buckets, self.differing)


def _identity(key: Key, visit: Visit) -> bytes:
    return blake2b(f"{key[0]}\0{key[1]}\0".encode() + visit.key[:IDENTITY_BYTES], digest_size=16).digest()


def _differs(key: bytes, identity: bytes, seen: Mapping[int, Mapping[bytes, bytes]], ids: Mapping[int, bytes]) -> bool:
    """Whether a repeat says something else than what was accepted first; of a machine's overflow it is not known."""
    for keys in seen.values():
        if identity in keys:
            return keys[identity] != key
    for known in ids.values():
        if (place := known.find(identity)) >= 0:
            return known[place : place + len(key)] != key
    return False


def _days_of(visits: Sequence[Visit], calendar: Calendar) -> set[int]:
    """The days of these events; most visitors have one in a batch."""
    day, _ = calendar.slot(visits[0].us)
    start, end = calendar.day_start(day) * 1_000_000, calendar.day_start(day + 1) * 1_000_000
    days = {day}
    for visit in visits:
        if not start <= visit.us < end:
            days.add(calendar.slot(visit.us)[0])
    return days


def _known(visit: Visit, day: int, known: Sequence[Mapping[int, Collection[Any]]], calendar: Calendar) -> bool:
    """Whether the event is a repeat: by the ids of its day, and of the neighbouring one within 5 min of midnight."""
    days = [day]
    if visit.us - calendar.day_start(day) * 1_000_000 < NEAR_MIDNIGHT_US:
        days.append(day - 1)
    if calendar.day_start(day + 1) * 1_000_000 - visit.us <= NEAR_MIDNIGHT_US:
        days.append(day + 1)
    identity = visit.key[:IDENTITY_BYTES]
    return any(identity in ids[one] for ids in known for one in days if one in ids)


async def _breathe(number: int) -> None:
    if number % SLICE == SLICE - 1:
        await asyncio.sleep(0)


def _move_members(
    known: dict[str, tuple[int, int]],
    before: dict[str, tuple[int, int]],
    cells: Mapping[str, tuple[int, int]],
    sign: int,
) -> None:
    """Add an order to its customer's cells, or take it out; what was there first is kept in `before`."""
    for cell, (paid, here) in cells.items():
        was = known.get(cell, (0, 0))
        before.setdefault(cell, was)
        now = (was[0] + sign * paid, was[1] + sign * here)
        if now == (0, 0):
            known.pop(cell, None)
        else:
            known[cell] = now


_BUYERS, _BUYERS_HERE = NUMBERS["buyers_paid"], NUMBERS["buyers_paid_here"]
_BUYERS_ABROAD = number_of("buyers_paid", ABROAD)


def _buyer_cells(
    member: Member,
    changed: Iterable[str],
    before: Mapping[str, tuple[int, int]],
    after: Mapping[str, tuple[int, int]],
) -> Cells:
    """The cells in which the customer began or ceased to be a buyer."""
    cells: Cells = {}
    abroad = _by_cell(name for name in (*after, *before) if name.count("\n") > 1)
    for name in changed:
        by, value, *currency = name.split("\n")
        was, now = before[name], after.get(name, (0, 0))
        if currency:
            counts = {number_of("buyers_paid", currency[0]): (now[0] > 0) - (was[0] > 0)}
        else:
            counts = {_BUYERS: (now[0] > 0) - (was[0] > 0), _BUYERS_HERE: (now[1] > 0) - (was[1] > 0)}
            if name in abroad:
                there = [(before.get(n, after.get(n, (0, 0)))[0], after.get(n, (0, 0))[0]) for n in abroad[name]]
                only = (now[0] > 0 and now[0] == sum(n for _, n in there)) - (
                    was[0] > 0 and was[0] == sum(w for w, _ in there)
                )
                counts[_BUYERS_ABROAD] = only
        if vector := {number: change for number, change in counts.items() if change}:
            cell = Cell(member.store, member.grain, by, member.bucket, value)
            cells[cell] = {**cells.get(cell, {}), **vector}
    return cells


def _by_cell(names: Iterable[str]) -> dict[str, set[str]]:
    """Cells of foreign currencies by the cell that they are part of."""
    found: dict[str, set[str]] = {}
    for name in names:
        found.setdefault(name.rpartition("\n")[0], set()).add(name)
    return found


def _add_cells(into: Cells, cells: Cells) -> None:
    for cell, vector in cells.items():
        known = into.setdefault(cell, {})
        for number, value in vector.items():
            known[number] = known.get(number, 0) + value
