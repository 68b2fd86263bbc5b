"""Entity rows in memory: what a rebuild works on, and what the engine's tests compare with brute force."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.kpi.engine import DayRange, Key, OrderRange, StoredDay, VisitorDays
from services.kpi.entities.customer import Customer
from services.kpi.entities.leaf import LeafKey
from services.kpi.entities.order import Member, Membership, Order
from services.kpi.entities.sku import Sku
from services.kpi.leaves import decode as decode_leaf
from services.kpi.states import (
    canonical,
    canonical_ids,
    decode_customer,
    decode_day,
    decode_members,
    decode_order,
    decode_sku,
    encode,
)


class Memory:
    """`engine.Rows` without a database; states are kept as bytes, so that nothing is shared with whoever wrote them."""

    def __init__(self) -> None:
        self.days: dict[Key, dict[int, tuple[bytes, bytes]]] = {}
        self.found_orders: dict[Key, bytes] = {}
        self.by_visitor: dict[Key, dict[str, int]] = {}
        self.by_sku: dict[Key, set[str]] = {}
        self.found_customers: dict[Key, bytes] = {}
        self.found_buyers: dict[Member, bytes] = {}
        self.found_skus: dict[Key, bytes] = {}
        self.found_leaves: dict[LeafKey, bytes] = {}
        self.remembered: set[bytes] = set()
        self._other_skus: Mapping[Key, bytes] = {}
        self.seen_skus: dict[Key, dict[str, set[int]]] = {}

    def beside(self) -> "Memory":
        """A memory of other entities that sees the SKUs of this one, and does not count them among its own rows."""
        other = Memory()
        other._other_skus = self.found_skus
        return other

    def adopt(self, other: "Memory", row: tuple[str | int, ...]) -> None:
        """Take over a row (table and key) of another memory, if it has it."""
        table, *key = row
        if table == "visitor_day":
            store, visitor, day = key
            found = other.days.get((str(store), str(visitor)), {}).get(int(day))
            if found is not None:
                self.days.setdefault((str(store), str(visitor)), {})[int(day)] = found
            return
        rows = self._of_table(str(table)), other._of_table(str(table))
        if tuple(key) in rows[1]:
            rows[0][tuple(key)] = rows[1][tuple(key)]

    def _of_table(self, table: str) -> dict[Any, bytes]:
        tables: dict[str, dict[Any, bytes]] = {
            "orders": self.found_orders,
            "customer": self.found_customers,
            "buyer": self.found_buyers,
            "sku": self.found_skus,
            "leaf": self.found_leaves,
        }
        return tables.get(table, {})

    async def visitor_days(self, ranges: Sequence[DayRange]) -> dict[Key, VisitorDays]:
        found: dict[Key, VisitorDays] = {}
        for store, visitor, first, last in ranges:
            days = self.days.get((store, visitor))
            if days:
                found[store, visitor] = {
                    day: StoredDay(decode_day(state), ids) for day, (state, ids) in days.items() if first <= day <= last
                }
        return found

    async def orders(self, keys: Sequence[Key]) -> dict[Key, Order]:
        return {key: decode_order(self.found_orders[key]) for key in keys if key in self.found_orders}

    async def orders_of_visitors(self, ranges: Sequence[OrderRange]) -> dict[Key, Order]:
        keys = [
            (store, order_id)
            for store, visitor, from_us, to_us in ranges
            for order_id, us in self.by_visitor.get((store, visitor), {}).items()
            if from_us <= us < to_us
        ]
        return await self.orders(keys)

    async def orders_with_skus(self, keys: Sequence[Key]) -> dict[Key, Order]:
        return await self.orders(
            sorted({(store, order_id) for store, sku in keys for order_id in self.by_sku.get((store, sku), ())})
        )

    async def orders_placed_since(self, store: str, us: int) -> dict[Key, Order]:
        found = await self.orders([key for key in self.found_orders if key[0] == store])
        return {key: order for key, order in found.items() if (order.came_us or 0) >= us}

    async def customers(self, keys: Sequence[Key]) -> dict[Key, Customer]:
        return {key: decode_customer(self.found_customers[key]) for key in keys if key in self.found_customers}

    async def buyers(self, members: Sequence[Member]) -> Membership:
        return {member: decode_members(self.found_buyers[member]) for member in members if member in self.found_buyers}

    async def skus(self, keys: Sequence[Key]) -> dict[Key, Sku]:
        return {
            key: decode_sku(state)
            for key in keys
            if (state := self.found_skus.get(key) or self._other_skus.get(key)) is not None
        }

    async def leaves(self, keys: Sequence[LeafKey]) -> dict[LeafKey, Any]:
        return {key: decode_leaf(key.kind, self.found_leaves[key]) for key in keys if key in self.found_leaves}

    async def visitors_with_skus(self, keys: Sequence[Key]) -> dict[Key, set[int]]:
        found: dict[Key, set[int]] = {}
        for store, sku in keys:
            for visitor, days in self.seen_skus.get((store, sku), {}).items():
                found.setdefault((store, visitor), set()).update(days)
        return found

    async def remember(self, identities: Sequence[bytes]) -> set[bytes]:
        new = set(identities) - self.remembered
        self.remembered |= new
        return new

    async def save_visitor_days(self, days: Mapping[Key, VisitorDays]) -> None:
        for key, changed in days.items():
            kept = self.days.setdefault(key, {})
            for day, stored in changed.items():
                kept[day] = (encode(stored.day), stored.ids)
                for sku in stored.day.skus:
                    self.seen_skus.setdefault((key[0], sku.sku), {}).setdefault(key[1], set()).add(day)

    async def save_orders(self, found: Mapping[Key, Order]) -> None:
        for key, order in found.items():
            self.found_orders[key] = encode(order)
            if order.visitor is not None and order.came_us is not None:
                self.by_visitor.setdefault((key[0], order.visitor), {})[key[1]] = order.came_us
            for sku in order.named_skus:
                self.by_sku.setdefault((key[0], sku), set()).add(key[1])

    async def save_customers(self, found: Mapping[Key, Customer]) -> None:
        for key, customer in found.items():
            if customer.paid or customer.asks:
                self.found_customers[key] = encode(customer)
            else:
                self.found_customers.pop(key, None)

    async def save_buyers(self, found: Membership) -> None:
        for member, cells in found.items():
            if cells:
                self.found_buyers[member] = encode(cells)
            else:
                self.found_buyers.pop(member, None)

    async def save_skus(self, found: Mapping[Key, Sku]) -> None:
        for key, sku in found.items():
            self.found_skus[key] = encode(sku)

    async def save_leaves(self, found: Mapping[LeafKey, Any]) -> None:
        for key, state in found.items():
            self.found_leaves[key] = encode(state)

    def states(self) -> Iterator[tuple[tuple[str | int, ...], bytes]]:
        """Every entity row as (table and key, canonical bytes)."""
        for (store, visitor), days in self.days.items():
            for day, (state, ids) in days.items():
                yield ("visitor_day", store, visitor, day), state + canonical_ids(ids)
        for key, state in self.found_orders.items():
            yield ("orders", *key), canonical(decode_order(state))
        for key, state in self.found_customers.items():
            yield ("customer", *key), canonical(decode_customer(state))
        for member, state in self.found_buyers.items():
            yield ("buyer", *member), canonical(decode_members(state))
        for key, state in self.found_skus.items():
            yield ("sku", *key), canonical(decode_sku(state))
        for key_, state in self.found_leaves.items():
            yield ("leaf", *key_), canonical(decode_leaf(key_.kind, state))
