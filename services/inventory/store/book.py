"""The working set of stock, from the database and back: one statement a table, SKUs locked first and in order.

Who changes stock holds the locks of all level rows that it touches, taken in one statement in the order of (store,
sku); so no two can wait for each other, and everything else about these SKUs stands still meanwhile.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any

import msgspec
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.events.failures import Transient
from services.inventory.domain.book import Book, Refusal
from services.inventory.domain.commands import Command, Count, LockStock, Unlock
from services.inventory.domain.policy import DEFAULT_SAFETY
from services.inventory.domain.promises import Line, Lock, Reservation, Shortage, Status
from services.inventory.domain.stock import HOUSE, Edge, Key, Level, Movement, Warehouse

sql = cache(text)
"""A statement, parsed once."""

_encode = msgspec.json.Encoder().encode
_decode_warehouses = msgspec.json.Decoder(list[Warehouse]).decode

_KEYS = "unnest(CAST(:stores AS text[]), CAST(:names AS text[]))"
LEVEL_COLUMNS = (
    'store, sku, version, on_hand, held, allocated, locked, short, "returning", damaged, safety, safety_hidden, edge,'
    " is_known, is_goods, has_moved, last_sold_at, CAST(warehouses AS text) AS warehouses"
)
_HEAD = "store, reservation_id, status, ordered_at, order_id, customer_id, campaign, is_outside, expires_at"
_LINE = 'sku, quantity, is_goods, promised, from_lock, short, shipped, sold, "returning", returned, warehouse, position'
_BOTH = (
    ", ".join(f"r.{name.strip()}" for name in _HEAD.split(","))
    + ", CAST(r.refusal AS text) AS refusal, "
    + ", ".join(f"l.{name.strip()}" for name in _LINE.split(","))
)


class Changed(Transient):
    """What was to be locked changed while it was being locked; the same again will find it as it is."""


async def load_book(session: AsyncConnection, commands: Sequence[Command], now: datetime) -> Book:
    """Lock and load everything that these commands are about. Raises Changed (begin anew)."""
    whole, touched = await _discover(session, commands, now)
    book = Book()
    wanted = touched | {(command.store, sku) for command in commands for sku in command.skus}
    await _load_levels(session, book, wanted, creating=_created(commands))
    if whole:
        await _load_whole(session, book, whole)
    await _load_open_lines(session, book, commands, now)
    if _looks_at_locks(book, commands):
        await _load_locks(session, book)
    for command in commands:
        if isinstance(command, Count):
            await _load_moved_since(session, book, command)
    return book


def _columns(keys: Collection[Key]) -> dict[str, list[str]]:
    ordered = sorted(keys)
    return {"stores": [store for store, _ in ordered], "names": [name for _, name in ordered]}


# finding


async def _discover(session: AsyncConnection, commands: Sequence[Command], now: datetime) -> tuple[set[Key], set[Key]]:
    """The reservations that must be loaded whole, and their SKUs, as they seem before anything is locked."""
    parts, arguments = _questions(commands, now)
    if not parts:
        return set(), set()
    rows = await session.execute(
        sql(
            "SELECT r.store, r.reservation_id, l.sku FROM inventory.reservation_line l RIGHT JOIN ("
            + " UNION ".join(parts)
            + ") AS r ON (l.store, l.reservation_id) = (r.store, r.reservation_id)"
        ),
        arguments,
    )
    found = rows.all()
    return {(row[0], row[1]) for row in found}, {(row[0], row[2]) for row in found if row[2] is not None}


def _questions(commands: Sequence[Command], now: datetime) -> tuple[list[str], dict[str, Any]]:
    parts, arguments = [], dict[str, Any]()
    for name, keys, condition in (
        ("id", {(c.store, r) for c in commands for r in c.reservation_ids}, "q.name = r.reservation_id"),
        ("order", {(c.store, c.order_id) for c in commands if c.order_id is not None}, "q.name = r.order_id"),
        (
            "cart",
            {(c.store, c.cart_of) for c in commands if c.cart_of is not None},
            "q.name = r.customer_id AND r.status = 'held' AND r.order_id IS NULL",
        ),
    ):
        if keys:
            parts.append(
                "SELECT r.store, r.reservation_id FROM inventory.reservation r JOIN"
                f" unnest(CAST(:{name}_stores AS text[]), CAST(:{name}_names AS text[])) AS q(store, name)"
                f" ON q.store = r.store AND {condition}"
            )
            arguments |= {f"{name}_{column}": values for column, values in _columns(keys).items()}
    wishes = _wishes(commands)
    if wishes:
        parts.append(_EXPIRED_ON_SHORT_SKUS)
        arguments |= {f"wish_{column}": values for column, values in _columns(wishes).items()}
        arguments |= {"wish_units": [wishes[key] for key in sorted(wishes)], "now": now}
    return parts, arguments


def _wishes(commands: Sequence[Command]) -> dict[Key, int]:
    """Units that commands want and may be refused, by SKU."""
    wanted: dict[Key, int] = {}
    for command in commands:
        for sku, units in command.wishes:
            wanted[command.store, sku] = wanted.get((command.store, sku), 0) + units
    return wanted


_EXPIRED_ON_SHORT_SKUS = """
    (WITH lacking AS MATERIALIZED (
       SELECT store, sku FROM inventory.level v
       JOIN unnest(CAST(:wish_stores AS text[]), CAST(:wish_names AS text[]), CAST(:wish_units AS bigint[]))
         AS wish(store, sku, units) USING (store, sku)
       WHERE v.on_hand - v.held - v.allocated - v.locked - v.safety_hidden < wish.units)
     SELECT r.store, r.reservation_id FROM inventory.reservation r
     WHERE EXISTS (SELECT FROM lacking) AND r.status = 'held' AND r.expires_at <= :now AND EXISTS (
       SELECT FROM inventory.reservation_line w JOIN lacking USING (store, sku)
       WHERE (w.store, w.reservation_id) = (r.store, r.reservation_id))
     ORDER BY r.expires_at LIMIT 1000)"""
"""A peek, not locked: where there is enough, nobody has to wait for a sweep (D18)."""


def _created(commands: Sequence[Command]) -> set[Key]:
    return {(c.store, sku) for c in commands if c.creates_levels for sku in c.skus}


# locking and loading


async def _load_levels(session: AsyncConnection, book: Book, wanted: set[Key], creating: set[Key]) -> None:
    await _lock_levels(session, book, wanted)
    missing = (wanted & creating) - book.levels.keys()
    if missing:
        await _create_levels(session, missing)
        await _lock_levels(session, book, missing)


async def _lock_levels(session: AsyncConnection, book: Book, keys: set[Key]) -> None:
    """Lock the levels in their order. A service's row never changes, so it is read without keeping others waiting."""
    if not keys:
        return
    rows = await session.execute(
        sql(
            f"WITH wanted AS (SELECT * FROM {_KEYS} AS w(store, sku)), goods AS ("
            f"SELECT {LEVEL_COLUMNS} FROM inventory.level JOIN wanted USING (store, sku) WHERE is_goods"
            " ORDER BY store, sku FOR UPDATE OF level)"
            f" SELECT * FROM goods UNION ALL SELECT {LEVEL_COLUMNS} FROM inventory.level"
            " JOIN wanted USING (store, sku) WHERE NOT is_goods"
        ),
        _columns(keys),
    )
    for row in rows:
        book.add_level(level_of(row))


def level_of(row: Any) -> Level:
    """A level as `LEVEL_COLUMNS` selects it."""
    values = list(row)
    values[12], values[17] = Edge(values[12]), _decode_warehouses(values[17])
    return Level(*values)


async def _create_levels(session: AsyncConnection, keys: set[Key]) -> None:
    await session.execute(
        sql(
            "INSERT INTO inventory.level (store, sku, is_known, safety)"
            f" SELECT store, sku, false, {DEFAULT_SAFETY} FROM {_KEYS} AS w(store, sku)"
            " ORDER BY store, sku ON CONFLICT DO NOTHING"
        ),
        _columns(keys),
    )


async def _load_whole(session: AsyncConnection, book: Book, keys: set[Key]) -> None:
    rows = await session.execute(
        sql(
            f"SELECT {_BOTH} FROM inventory.reservation r JOIN {_KEYS} AS w(store, reservation_id)"
            " USING (store, reservation_id) LEFT JOIN inventory.reservation_line l USING (store, reservation_id)"
            " ORDER BY r.store, r.reservation_id, l.position FOR UPDATE OF r"
        ),
        _columns(keys),
    )
    loaded: dict[Key, Reservation] = {}
    for row in rows:
        reservation = loaded.get((row[0], row[1])) or _reservation(row)
        loaded[reservation.key] = reservation
        if row[10] is not None:
            line = Line(*row[10:])
            reservation.lines[line.sku] = line
            if (reservation.store, line.sku) not in book.levels:
                raise Changed(f"reservation {reservation.reservation_id} got another SKU")
    for reservation in loaded.values():
        book.add_reservation(reservation)


def _reservation(row: Any) -> Reservation:
    store, reservation_id, status, ordered_at, order_id, customer_id, campaign, is_outside, expires_at, refusal = row[
        :10
    ]
    reservation = Reservation(
        store,
        reservation_id,
        Status(status),
        ordered_at,
        order_id,
        customer_id,
        campaign,
        is_outside,
        expires_at,
    )
    if refusal is not None:
        told = msgspec.json.decode(refusal)
        reservation.lines = {sku: Line(sku, quantity) for sku, quantity in told["wanted"]}
        reservation.refusal = tuple(Shortage(*short) for short in told["short"])
    return reservation


async def _load_open_lines(session: AsyncConnection, book: Book, commands: Sequence[Command], now: datetime) -> None:
    """Those who are short, where units may become free, and all promises, where some may be lost."""
    short = {level.key for level in book.levels.values() if level.short}
    taken = {
        level.key
        for command in commands
        if command.may_take
        for level in _levels_of(book, command)
        if level.held + level.allocated
    }
    freed = short and (_freed(book, commands) | _expiring(book, now)) & short
    for keys, condition in ((freed - taken, "l.short > 0"), (taken, "(l.promised > 0 OR l.short > 0)")):
        if keys:
            await _load_partly(session, book, keys, condition)


def _freed(book: Book, commands: Sequence[Command]) -> set[Key]:
    return {level.key for c in commands for level in _levels_of(book, c) if level.short and c.frees(level)}


def _expiring(book: Book, now: datetime) -> set[Key]:
    return {(r.store, sku) for r in book.reservations.values() if r.has_expired(now) for sku in r.lines}


def _levels_of(book: Book, command: Command) -> Iterable[Level]:
    """The levels that a command may change: of the SKUs it names, and of the reservations it finds."""
    skus = set(command.skus)
    for reservation_id in command.reservation_ids:
        skus |= _skus_of(book.reservations.get((command.store, reservation_id)))
    if command.order_id is not None:
        for reservation in book.of_order(command.store, command.order_id):
            skus |= _skus_of(reservation)
    if command.cart_of is not None:
        for reservation in book.carts_of(command.store, command.cart_of):
            skus |= _skus_of(reservation)
    return [level for sku in skus if (level := book.level(command.store, sku)) is not None]


def _skus_of(reservation: Reservation | None) -> set[str]:
    return set(reservation.lines) if reservation is not None else set()


async def _load_partly(session: AsyncConnection, book: Book, keys: set[Key], condition: str) -> None:
    rows = await session.execute(
        sql(
            f"SELECT {_BOTH} FROM inventory.reservation_line l JOIN {_KEYS} AS w(store, sku) USING (store, sku)"
            " JOIN inventory.reservation r USING (store, reservation_id)"
            f" WHERE {condition} AND r.status IN ('held', 'allocated')"
        ),
        _columns(keys),
    )
    for row in rows:
        reservation = _reservation(row)
        reservation.is_whole = False
        line = Line(*row[10:])
        reservation.lines[line.sku] = line
        book.add_reservation(reservation)


def _looks_at_locks(book: Book, commands: Sequence[Command]) -> bool:
    """Whether a campaign may be concerned: its orders, goods that top a lock up, losses that eat into it."""
    if any(level.locked for level in book.levels.values()):
        return True
    if any(reservation.campaign for reservation in book.reservations.values()):
        return True
    return any(c.brings_in or isinstance(c, (LockStock, Unlock)) or getattr(c, "campaign", None) for c in commands)


async def _load_locks(session: AsyncConnection, book: Book) -> None:
    rows = await session.execute(
        sql(
            "SELECT store, campaign, sku, wanted, locked, taken, starts_at, ends_at, has_ended"
            f" FROM inventory.campaign_lock JOIN {_KEYS} AS w(store, sku) USING (store, sku) WHERE NOT has_ended"
            " ORDER BY starts_at, campaign"
        ),
        _columns(book.levels.keys()),
    )
    for row in rows:
        book.add_lock(Lock(*row))


async def _load_moved_since(session: AsyncConnection, book: Book, count: Count) -> None:
    house = ", ".join(f"'{state}'" for state in sorted(HOUSE))
    rows = await session.execute(
        sql(
            f"SELECT sku, sum(CASE WHEN to_state IN ({house}) THEN quantity ELSE 0 END"
            f" - CASE WHEN from_state IN ({house}) THEN quantity ELSE 0 END)"
            " FROM inventory.movement WHERE store = :store AND at > :as_of AND warehouse = :warehouse"
            " AND sku = ANY(CAST(:skus AS text[])) GROUP BY sku"
        ),
        {
            "store": count.store,
            "as_of": count.as_of,
            "warehouse": count.warehouse,
            "skus": list(count.skus),
        },
    )
    for sku, change in rows:
        book.moved_since[count.store, sku, count.warehouse] = int(change)


# saving


async def save_book(session: AsyncConnection, book: Book) -> None:
    """Write what the decisions changed, every table in one statement. Raises Changed where another was quicker."""
    written = {name: rows for name, rows in _rows(book).items() if rows}
    if not written:
        return
    arguments: dict[str, Sequence[Any]] = {}
    for name, rows in written.items():
        columns = zip(*rows, strict=True)
        arguments |= {f"{name}_{column}": c for column, c in zip(_PARTS[name].columns, columns, strict=True)}
    made = await session.scalar(_statement(tuple(written)), arguments)
    if made != len(book.new_reservations):
        raise Changed("another process made a reservation of the same id")


def _rows(book: Book) -> dict[str, Sequence[Sequence[Any]]]:
    return {
        "levels": [(*_level_values(level), _encode(level.warehouses).decode()) for level in book.close()],
        "made": [_head(r) for r in book.new_reservations.values()],
        "heads": [
            (r.store, r.reservation_id, r.status, r.order_id, r.expires_at) for r in book.changed_reservations.values()
        ],
        "lines": [_line(r, line) for r, line in book.changed_lines.values()],
        # SKU by SKU they fill few pages of the index that finds them again; those of a SKU stay in their order
        "movements": sorted(book.movements, key=itemgetter(0, 1)),
        "locks": [_lock_values(lock) for lock in book.changed_locks.values()],
        "refusals": book.refusals,
    }


@dataclass(frozen=True, slots=True)
class _Part:
    """One table's share of the statement: its columns with their types, and what is done with their rows `u`."""

    columns: Mapping[str, str]
    statement: str

    def sql(self, name: str) -> str:
        """The share, with its parameters named after it."""
        arrays = ", ".join(f"CAST(:{name}_{column} AS {kind}[])" for column, kind in self.columns.items())
        return self.statement.format(into=_quoted(self.columns), rows=f"unnest({arrays}) AS u({_quoted(self.columns)})")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _kinds(names: Iterable[str], **others: str) -> dict[str, str]:
    """Columns with their types: bigint, but for these."""
    return {name: others.get(name, "bigint") for name in names}


def _taking_over(names: Iterable[str], source: str) -> str:
    return ", ".join(f'"{name}" = {source}."{name}"' for name in names)


_LEVEL_FIELDS = tuple(field.name for field in fields(Level) if field.name != "warehouses")
_level_values = attrgetter(*_LEVEL_FIELDS)
_LEVELS = _kinds(
    (*_LEVEL_FIELDS, "warehouses"),
    store="text",
    sku="text",
    edge="text",
    is_known="boolean",
    is_goods="boolean",
    has_moved="boolean",
    last_sold_at="timestamptz",
    warehouses="text",
)
_HEADS = {
    "store": "text",
    "reservation_id": "text",
    "status": "text",
    "order_id": "text",
    "customer_id": "text",
    "campaign": "text",
    "is_outside": "boolean",
    "ordered_at": "timestamptz",
    "expires_at": "timestamptz",
    "refusal": "text",
}
_LINE_KEY = ("store", "reservation_id", "sku")
_LINE_UNITS = ("promised", "from_lock", "short", "shipped", "sold", "returning", "returned")
_LINES = _kinds(
    (*_LINE_KEY, "quantity", "is_goods", *_LINE_UNITS, "warehouse", "position"),
    **dict.fromkeys((*_LINE_KEY, "warehouse"), "text"),
    is_goods="boolean",
)
_LOCK_KEY = ("store", "campaign", "sku")
_LOCKS = _kinds(
    (*_LOCK_KEY, "wanted", "locked", "taken", "starts_at", "ends_at", "has_ended"),
    **dict.fromkeys(_LOCK_KEY, "text"),
    **dict.fromkeys(("starts_at", "ends_at"), "timestamptz"),
    has_ended="boolean",
)
_lock_values = attrgetter(*_LOCKS)
_REFUSALS = _kinds(Refusal._fields, **dict.fromkeys(("store", "sku", "reservation_id"), "text"), at="timestamptz")
_MOVEMENTS = dict.fromkeys(Movement._fields, "text") | {"at": "timestamptz", "quantity": "bigint"}

_PARTS: Mapping[str, _Part] = {
    "levels": _Part(
        _LEVELS,
        f"UPDATE inventory.level AS l SET {_taking_over([n for n in _LEVEL_FIELDS if n not in ('store', 'sku')], 'u')},"
        " warehouses = CAST(u.warehouses AS jsonb) FROM {rows} WHERE l.store = u.store AND l.sku = u.sku",
    ),
    "made": _Part(
        _HEADS,
        "INSERT INTO inventory.reservation ({into})"
        f" SELECT {_quoted([n for n in _HEADS if n != 'refusal'])}, CAST(refusal AS jsonb) FROM {{rows}}"
        " ON CONFLICT DO NOTHING RETURNING 1",
    ),
    "heads": _Part(
        {name: _HEADS[name] for name in ("store", "reservation_id", "status", "order_id", "expires_at")},
        "UPDATE inventory.reservation AS r SET status = u.status, order_id = u.order_id, expires_at = u.expires_at"
        " FROM {rows} WHERE r.store = u.store AND r.reservation_id = u.reservation_id",
    ),
    "lines": _Part(
        _LINES,
        "INSERT INTO inventory.reservation_line ({into}) SELECT * FROM {rows}"
        " ON CONFLICT (store, reservation_id, sku) DO UPDATE SET "
        + _taking_over(("quantity", *_LINE_UNITS, "warehouse"), "excluded"),
    ),
    "movements": _Part(_MOVEMENTS, "INSERT INTO inventory.movement ({into}) SELECT * FROM {rows}"),
    "refusals": _Part(_REFUSALS, "INSERT INTO inventory.refusal ({into}) SELECT * FROM {rows}"),
    "locks": _Part(
        _LOCKS,
        "INSERT INTO inventory.campaign_lock ({into}) SELECT * FROM {rows} ON CONFLICT (store, campaign, sku)"
        f" DO UPDATE SET {_taking_over([n for n in _LOCKS if n not in _LOCK_KEY], 'excluded')}",
    ),
}


@cache
def _statement(names: tuple[str, ...]) -> TextClause:
    """Everything in one statement; it tells how many reservations were made."""
    parts = ", ".join(f"{name} AS ({_PARTS[name].sql(name)})" for name in names)
    return text(f"WITH {parts} SELECT {'(SELECT count(*) FROM made)' if 'made' in names else '0'}")


def _head(r: Reservation) -> tuple[Any, ...]:
    return (
        r.store,
        r.reservation_id,
        r.status,
        r.order_id,
        r.customer_id,
        r.campaign,
        r.is_outside,
        r.ordered_at,
        r.expires_at,
        _refusal(r) if r.refusal else None,
    )


def _refusal(reservation: Reservation) -> str:
    return _encode({"wanted": list(reservation.pieces.items()), "short": reservation.refusal}).decode()


def _line(r: Reservation, x: Line) -> tuple[Any, ...]:
    return (
        r.store,
        r.reservation_id,
        x.sku,
        x.quantity,
        x.is_goods,
        x.promised,
        x.from_lock,
        x.short,
        x.shipped,
        x.sold,
        x.returning,
        x.returned,
        x.warehouse,
        x.position,
    )


async def goods_with_stock(session: AsyncConnection, store: str, skus: Sequence[str]) -> list[str]:
    """Those of these SKUs whose level has ever moved."""
    if not skus:
        return []
    rows = await session.execute(
        sql(
            "SELECT sku FROM inventory.level WHERE store = :store AND sku = ANY(CAST(:skus AS text[])) AND has_moved"
            " ORDER BY sku"
        ),
        {"store": store, "skus": list(skus)},
    )
    return [row.sku for row in rows]
