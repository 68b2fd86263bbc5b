"""Entity rows in PostgreSQL: the engine's port, with one statement a table, keys sorted, on the driver itself.

Who may write what at a time is settled by one advisory lock a store, taken before anything is read: batches of traffic
share it (a visitor lives in one partition, so no two of them meet in a row), whatever else touches the entities of a
store holds it alone. So an order sees every touch before it, and a touch every order after it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.events.locks import lock_number
from services.kpi.columns import joined, listed
from services.kpi.engine import DayRange, Key, OrderRange, StoredDay, VisitorDays
from services.kpi.entities.customer import Customer
from services.kpi.entities.leaf import LeafKey
from services.kpi.entities.order import Member, Membership, Order
from services.kpi.entities.sku import Sku
from services.kpi.leaves import decode as decode_leaf
from services.kpi.states import decode_customer, decode_day, decode_members, decode_order, decode_sku, encode

_NO_SKU: Final = encode(Sku())


async def driver(session: AsyncConnection) -> Any:
    """The asyncpg connection under a session, inside its transaction."""
    return (await session.get_raw_connection()).driver_connection


async def lock_stores(connection: Any, stores: Mapping[str, bool]) -> None:
    """Lock these stores until the end of the transaction, in order: alone (True) or with other traffic (False)."""
    for store in sorted(stores):
        shared = "" if stores[store] else "_shared"
        await connection.execute(f"SELECT pg_advisory_xact_lock{shared}($1)", lock_number(f"kpi.store/{store}"))


class PostgresRows:
    """`engine.Rows` on one transaction."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def visitor_days(self, ranges: Sequence[DayRange]) -> dict[Key, VisitorDays]:
        found: dict[Key, VisitorDays] = defaultdict(dict)
        rows = await self.connection.fetch(_VISITOR_DAYS, *map(joined, _columns(ranges, 4)))
        for store, visitor, day, state, ids in rows:
            found[store, visitor][day] = StoredDay(decode_day(state), ids)
        return found

    async def orders(self, keys: Sequence[Key]) -> dict[Key, Order]:
        return _orders(await self.connection.fetch(_ORDERS, *_columns(keys, 2)))

    async def orders_of_visitors(self, ranges: Sequence[OrderRange]) -> dict[Key, Order]:
        return _orders(await self.connection.fetch(_ORDERS_OF_VISITORS, *_columns(ranges, 4)))

    async def orders_with_skus(self, keys: Sequence[Key]) -> dict[Key, Order]:
        found: dict[Key, Order] = {}
        for store, skus in _by_store(keys).items():
            found |= _orders(await self.connection.fetch(_ORDERS_WITH_SKUS, store, skus))
        return found

    async def orders_placed_since(self, store: str, us: int) -> dict[Key, Order]:
        return _orders(await self.connection.fetch(_ORDERS_PLACED_SINCE, store, us))

    async def customers(self, keys: Sequence[Key]) -> dict[Key, Customer]:
        rows = await self.connection.fetch(_CUSTOMERS, *_columns(keys, 2))
        return {(store, customer): decode_customer(state) for store, customer, state in rows}

    async def buyers(self, members: Sequence[Member]) -> Membership:
        rows = await self.connection.fetch(_BUYERS, *_columns(members, 4))
        return {Member(*key): decode_members(state) for *key, state in rows}

    async def skus(self, keys: Sequence[Key]) -> dict[Key, Sku]:
        rows = await self.connection.fetch(_SKUS, *_columns(keys, 2))
        return {(store, sku): decode_sku(state) for store, sku, state in rows if state != _NO_SKU}

    async def visitors_with_skus(self, keys: Sequence[Key]) -> dict[Key, set[int]]:
        """Looks through the days between the first and the last on which traffic named the SKU."""
        found: dict[Key, set[int]] = defaultdict(set)
        spans = await self.connection.fetch(_SKU_SPANS, *_columns(keys, 2))
        for store, skus in _by_store([(store, sku) for store, sku, _, _ in spans]).items():
            first = min(row[2] for row in spans if row[0] == store)
            last = max(row[3] for row in spans if row[0] == store)
            wanted = set(skus)
            async for visitor, day, state in self.connection.cursor(_DAYS_OF_STORE, store, first, last):
                if any(sku.sku in wanted for sku in decode_day(state).skus):
                    found[store, visitor].add(day)
        return found

    async def leaves(self, keys: Sequence[LeafKey]) -> dict[LeafKey, Any]:
        rows = await self.connection.fetch(_LEAVES, *_columns(keys, 3))
        return {LeafKey(store, kind, key): decode_leaf(kind, state) for store, kind, key, state in rows}

    async def remember(self, identities: Sequence[bytes]) -> set[bytes]:
        rows = await self.connection.fetch(_REMEMBER, list(identities))
        return {row[0] for row in rows}

    async def save_visitor_days(self, days: Mapping[Key, VisitorDays]) -> None:
        rows = [
            (*key, day, encode(stored.day), stored.ids)
            for key in sorted(days)
            for day, stored in sorted(days[key].items())
        ]
        stores, visitors, numbers, states, ids = _columns(rows, 5)
        await self.connection.execute(
            _SAVE_VISITOR_DAYS, joined(stores), joined(visitors), joined(numbers), states, ids
        )
        await self._widen_sku_spans(days)

    async def _widen_sku_spans(self, days: Mapping[Key, VisitorDays]) -> None:
        spans: dict[Key, tuple[int, int]] = {}
        for (store, _), changed in days.items():
            for day, stored in changed.items():
                for sku in stored.day.skus:
                    key = store, sku.sku
                    known_span = spans.get(key)
                    if known_span is None:
                        spans[key] = (day, day)
                    elif not known_span[0] <= day <= known_span[1]:
                        spans[key] = (min(known_span[0], day), max(known_span[1], day))
        if not spans:
            return
        known = {
            (row[0], row[1]): (row[2], row[3]) for row in await self.connection.fetch(_SKU_SPANS, *_columns(spans, 2))
        }
        wider = [
            (*key, _NO_SKU, first, last)
            for key, (first, last) in sorted(spans.items())
            if key not in known or first < known[key][0] or last > known[key][1]
        ]
        if wider:
            await self.connection.execute(_SAVE_SKU_SPANS, *_columns(wider, 5))

    async def save_orders(self, found: Mapping[Key, Order]) -> None:
        rows = [
            (*key, order.visitor, order.placed_us, order.paid_us, "\n".join(order.named_skus), encode(order))
            for key, order in sorted(found.items())
        ]
        await self.connection.execute(_SAVE_ORDERS, *_columns(rows, 7))

    async def save_customers(self, found: Mapping[Key, Customer]) -> None:
        kept = [
            (*key, len(customer.paid), encode(customer))
            for key, customer in sorted(found.items())
            if customer.paid or customer.asks
        ]
        gone = [key for key, customer in sorted(found.items()) if not (customer.paid or customer.asks)]
        if kept:
            await self.connection.execute(_SAVE_CUSTOMERS, *_columns(kept, 4))
        if gone:
            await self.connection.execute(_DELETE_CUSTOMERS, *_columns(gone, 2))

    async def save_buyers(self, found: Membership) -> None:
        kept = [(*member, encode(cells)) for member, cells in sorted(found.items()) if cells]
        gone = [member for member, cells in sorted(found.items()) if not cells]
        if kept:
            await self.connection.execute(_SAVE_BUYERS, *_columns(kept, 5))
        if gone:
            await self.connection.execute(_DELETE_BUYERS, *_columns(gone, 4))

    async def save_skus(self, found: Mapping[Key, Sku]) -> None:
        rows = [(*key, encode(sku)) for key, sku in sorted(found.items())]
        await self.connection.execute(_SAVE_SKUS, *_columns(rows, 3))

    async def save_leaves(self, found: Mapping[LeafKey, Any]) -> None:
        rows = [(*key, encode(found[key])) for key in sorted(found)]
        await self.connection.execute(_SAVE_LEAVES, *_columns(rows, 4))


def _columns(rows: Iterable[Sequence[Any]], count: int) -> list[list[Any]]:
    """Rows as the arrays that `unnest` takes."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(count)]


def _by_store(keys: Iterable[Key]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for store, name in keys:
        found[store].append(name)
    return found


def _orders(rows: Iterable[Sequence[Any]]) -> dict[Key, Order]:
    return {(store, order_id): decode_order(state) for store, order_id, state in rows}


_VISITOR_DAYS = f"""
SELECT v.store, v.visitor, v.day, v.state, v.ids
FROM unnest({listed("$1")}, {listed("$2")}, CAST({listed("$3")} AS int[]), CAST({listed("$4")} AS int[]))
 AS k (store, visitor, first, last)
JOIN kpi.visitor_day v ON v.store = k.store AND v.visitor = k.visitor AND v.day BETWEEN k.first AND k.last
"""
_SAVE_VISITOR_DAYS = f"""
INSERT INTO kpi.visitor_day (store, visitor, day, state, ids)
SELECT * FROM unnest({listed("$1")}, {listed("$2")}, CAST({listed("$3")} AS int[]), $4::bytea[], $5::bytea[])
ON CONFLICT (store, visitor, day) DO UPDATE SET state = excluded.state, ids = excluded.ids
"""
_REMEMBER = "INSERT INTO kpi.seen (key) SELECT unnest($1::bytea[]) ON CONFLICT DO NOTHING RETURNING key"
_DAYS_OF_STORE = "SELECT visitor, day, state FROM kpi.visitor_day WHERE store = $1 AND day BETWEEN $2 AND $3"

_ORDERS = """
SELECT o.store, o.order_id, o.state FROM unnest($1::text[], $2::text[]) AS k (store, order_id)
JOIN kpi.orders o ON o.store = k.store AND o.order_id = k.order_id
"""
_ORDERS_OF_VISITORS = """
SELECT o.store, o.order_id, o.state
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS k (store, visitor, from_us, to_us)
JOIN kpi.orders o ON o.store = k.store AND o.visitor = k.visitor
 AND coalesce(o.placed_us, o.paid_us) >= k.from_us AND coalesce(o.placed_us, o.paid_us) < k.to_us
"""
_ORDERS_WITH_SKUS = "SELECT store, order_id, state FROM kpi.orders WHERE store = $1 AND skus && $2::text[]"
_ORDERS_PLACED_SINCE = """
SELECT store, order_id, state FROM kpi.orders WHERE store = $1 AND coalesce(placed_us, paid_us) >= $2
"""
_SAVE_ORDERS = """
INSERT INTO kpi.orders (store, order_id, visitor, placed_us, paid_us, skus, state)
SELECT store, order_id, visitor, placed_us, paid_us, string_to_array(skus, E'\\n'), state
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bytea[])
 AS k (store, order_id, visitor, placed_us, paid_us, skus, state)
ON CONFLICT (store, order_id) DO UPDATE SET visitor = excluded.visitor, placed_us = excluded.placed_us,
 paid_us = excluded.paid_us, skus = excluded.skus, state = excluded.state
"""

_CUSTOMERS = """
SELECT c.store, c.customer, c.state FROM unnest($1::text[], $2::text[]) AS k (store, customer)
JOIN kpi.customer c ON c.store = k.store AND c.customer = k.customer
"""
_SAVE_CUSTOMERS = """
INSERT INTO kpi.customer (store, customer, orders, state)
SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bytea[])
ON CONFLICT (store, customer) DO UPDATE SET orders = excluded.orders, state = excluded.state
"""
_DELETE_CUSTOMERS = """
DELETE FROM kpi.customer c USING unnest($1::text[], $2::text[]) AS k (store, customer)
WHERE c.store = k.store AND c.customer = k.customer
"""

_BUYERS = """
SELECT b.store, b.customer, b.grain, b.bucket, b.state
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS k (store, customer, grain, bucket)
JOIN kpi.buyer b ON b.store = k.store AND b.customer = k.customer AND b.grain = k.grain AND b.bucket = k.bucket
"""
_SAVE_BUYERS = """
INSERT INTO kpi.buyer (store, customer, grain, bucket, state)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[])
ON CONFLICT (store, customer, grain, bucket) DO UPDATE SET state = excluded.state
"""
_DELETE_BUYERS = """
DELETE FROM kpi.buyer b USING unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
 AS k (store, customer, grain, bucket)
WHERE b.store = k.store AND b.customer = k.customer AND b.grain = k.grain AND b.bucket = k.bucket
"""

_SKUS = """
SELECT s.store, s.sku, s.state FROM unnest($1::text[], $2::text[]) AS k (store, sku)
JOIN kpi.sku s ON s.store = k.store AND s.sku = k.sku
"""
_SAVE_SKUS = """
INSERT INTO kpi.sku (store, sku, state) SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])
ON CONFLICT (store, sku) DO UPDATE SET state = excluded.state
"""
_SKU_SPANS = """
SELECT s.store, s.sku, s.seen_from, s.seen_to FROM unnest($1::text[], $2::text[]) AS k (store, sku)
JOIN kpi.sku s ON s.store = k.store AND s.sku = k.sku WHERE s.seen_from IS NOT NULL
"""
_SAVE_SKU_SPANS = """
INSERT INTO kpi.sku (store, sku, state, seen_from, seen_to)
SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::int[], $5::int[])
ON CONFLICT (store, sku) DO UPDATE SET seen_from = least(sku.seen_from, excluded.seen_from),
 seen_to = greatest(sku.seen_to, excluded.seen_to)
"""

_LEAVES = """
SELECT l.store, l.kind, l.id, l.state FROM unnest($1::text[], $2::text[], $3::text[]) AS k (store, kind, id)
JOIN kpi.leaf l ON l.store = k.store AND l.kind = k.kind AND l.id = k.id
"""
_SAVE_LEAVES = """
INSERT INTO kpi.leaf (store, kind, id, state) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[])
ON CONFLICT (store, kind, id) DO UPDATE SET state = excluded.state
"""
