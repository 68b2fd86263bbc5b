"""Orders as rows and back, and many rows in one statement."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Row, Table, TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orders import tables
from services.orders.domain.state import (
    Decision,
    Hold,
    HoldState,
    Line,
    Order,
    Payment,
    Refund,
    Return,
    ReturnStatus,
    Review,
    Scan,
    Shipment,
    Status,
    Units,
)

CHILDREN: Mapping[str, Table] = {
    "payments": tables.payments,
    "shipments": tables.shipments,
    "returns": tables.returns,
    "refunds": tables.refunds,
}
"""What belongs to an order, by its field."""

_json = msgspec.json.Encoder().encode
_TYPES = postgresql.dialect()  # type: ignore[no-untyped-call]


async def insert_rows(
    session: AsyncConnection,
    table: Table,
    values: Sequence[Mapping[str, Any]],
    *,
    replace: bool = False,
    returning: str = "store",
) -> Sequence[Any]:
    """Insert all rows in one statement; a row whose key exists is left as it is.

    With `replace` it is replaced, if it belongs to the same order. Returns the column `returning` of the rows written.
    """
    if not values:
        return ()
    names = tuple(values[0])
    statement = _insert_statement(table, names, replace, returning)
    parameters = {name: _column(table, name, values) for name in names}
    return (await session.execute(statement, parameters)).scalars().all()


@cache
def _insert_statement(table: Table, names: tuple[str, ...], replace: bool, returning: str) -> TextClause:
    return text(_insert_sql(table, names, replace, returning))


def _insert_sql(table: Table, names: Sequence[str], replace: bool, returning: str) -> str:
    """`unnest` takes an array a column: a tenth of the work of as many VALUES."""
    arrays = ", ".join(f"CAST(:{name} AS {_array_of(table, name)}[])" for name in names)
    chosen = ", ".join(f"CAST(n.{name} AS jsonb)" if _is_json(table, name) else f"n.{name}" for name in names)
    return (
        f"INSERT INTO {table.fullname} AS {table.name} ({', '.join(names)})"
        f" SELECT {chosen} FROM unnest({arrays}) AS n({', '.join(names)})"
        f" ON CONFLICT ({', '.join(table.primary_key.columns.keys())}) {_resolution(table, names, replace)}"
        f" RETURNING {returning}"
    )


def _resolution(table: Table, names: Sequence[str], replace: bool) -> str:
    if not replace:
        return "DO NOTHING"
    kept = table.primary_key.columns.keys()
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in kept)
    same_order = f" WHERE {table.name}.order_id = excluded.order_id" if "order_id" in names else ""
    return f"DO UPDATE SET {changes}{same_order}"


def _is_json(table: Table, name: str) -> bool:
    return isinstance(table.c[name].type, JSONB)


def _array_of(table: Table, name: str) -> str:
    return "text" if _is_json(table, name) else str(table.c[name].type.compile(_TYPES))


def _column(table: Table, name: str, values: Sequence[Mapping[str, Any]]) -> list[Any]:
    given = [row[name] for row in values]
    if not _is_json(table, name):
        return given
    return [None if value is None else _json(value).decode() for value in given]


# orders

_PLAIN = (
    "order_id",
    "origin",
    "customer_id",
    "customer_tier",
    "channel",
    "source",
    "campaign",
    "visitor_id",
    "currency",
    "items_cents",
    "shipping_cents",
    "discount_cents",
    "total_cents",
    "paid_cents",
    "refunded_cents",
    "status",
    "placed_at",
    "accepted_at",
    "paid_at",
    "ship_due_at",
    "delivered_at",
    "completed_at",
    "cancelled_at",
    "cancelled_by",
    "cancel_reason",
    "backordered_at",
    "import_id",
    "version",
)
"""Columns that are attributes of the order."""
_plain_of = attrgetter(*_PLAIN)
_STORED = tuple(field.name for field in fields(Order) if field.name in _PLAIN and field.name != "status")


def order_row(store: str, order: Order) -> dict[str, Any]:
    """The row of an order, without what belongs to it."""
    row = dict(zip(_PLAIN, _plain_of(order), strict=True))
    row["store"] = store
    row["lines"] = [_line_json(line) for line in order.lines]
    row["review"] = _review_json(order.review)
    row["hold"] = _hold_json(order.hold)
    return row


def child_rows(store: str, changes: Iterable[tuple[Order | None, Order]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of what belongs to orders, of `(before, after)` each; what was the same before is left out."""
    made: dict[str, list[dict[str, Any]]] = {kind: [] for kind in CHILDREN}
    for before, after in changes:
        for kind in CHILDREN:
            old = getattr(before, kind, ())
            for position, child in enumerate(getattr(after, kind)):
                if child not in old:
                    row = _MAKERS[kind](child) | {"store": store, "order_id": after.order_id, "position": position}
                    made[kind].append(row)
    return made


def order_of(row: Row[Any], children: Mapping[str, Sequence[Row[Any]]]) -> Order:
    """The order of a row and the rows of what belongs to it."""
    return Order(
        **{name: getattr(row, name) for name in _STORED},
        status=Status(row.status),
        lines=tuple(Line(**line) for line in row.lines),
        review=_review_of(row.review),
        hold=_hold_of(row.hold),
        payments=tuple(_payment_of(p) for p in children["payments"]),
        shipments=tuple(_shipment_of(s) for s in children["shipments"]),
        returns=tuple(_return_of(r) for r in children["returns"]),
        refunds=tuple(_refund_of(r) for r in children["refunds"]),
    )


def _line_json(line: Line) -> dict[str, Any]:
    """Without what has its default value: most lines have most."""
    plain: dict[str, Any] = {
        "sku": line.sku,
        "quantity": line.quantity,
        "unit_price_cents": line.unit_price_cents,
    }
    if line.discount_cents:
        plain["discount_cents"] = line.discount_cents
    if line.cost_cents is not None:
        plain["cost_cents"] = line.cost_cents
    if line.kind != "goods":
        plain["kind"] = line.kind
    if line.shipped:
        plain["shipped"] = line.shipped
    if line.returned:
        plain["returned"] = line.returned
    return plain


def _review_json(review: Review) -> dict[str, Any]:
    return {
        "decision": review.decision.value,
        "reasons": review.reasons,
        "by": review.by,
        "at": _written(review.at),
        "note": review.note,
    }


def _review_of(plain: Mapping[str, Any]) -> Review:
    return Review(Decision(plain["decision"]), tuple(plain["reasons"]), plain["by"], _read(plain["at"]), plain["note"])


def _hold_json(hold: Hold | None) -> dict[str, Any] | None:
    if hold is None:
        return None
    return {
        "reservation_id": hold.reservation_id,
        "attempt": hold.attempt,
        "expires_at": _written(hold.expires_at),
        "state": hold.state.value,
    }


def _hold_of(plain: Mapping[str, Any] | None) -> Hold | None:
    if plain is None:
        return None
    return Hold(plain["reservation_id"], plain["attempt"], _read(plain["expires_at"]), HoldState(plain["state"]))


# what belongs to an order


_NAMES: Mapping[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(kind)) for kind in (Payment, Shipment, Return, Refund)
}


def _values(source: Any, kind: type) -> dict[str, Any]:
    """The attributes of a value, or of its row, under the names of its fields."""
    return {name: getattr(source, name) for name in _NAMES[kind]}


def _payment_row(payment: Payment) -> dict[str, Any]:
    return _values(payment, Payment)


def _payment_of(row: Row[Any]) -> Payment:
    return Payment(**_values(row, Payment))


def _shipment_row(shipment: Shipment) -> dict[str, Any]:
    row = _values(shipment, Shipment)
    row["lines"] = _units_json(shipment.lines)
    row["scans"] = [{"status": s.status, "at": _written(s.at), "place": s.place} for s in shipment.scans]
    return row


def _shipment_of(row: Row[Any]) -> Shipment:
    scans = tuple(Scan(s["status"], datetime.fromisoformat(s["at"]), s["place"]) for s in row.scans)
    return Shipment(**_values(row, Shipment) | {"lines": _units_of(row.lines), "scans": scans})


def _return_row(item: Return) -> dict[str, Any]:
    row = _values(item, Return)
    return row | {"lines": _units_json(item.lines), "status": item.status.value}


def _return_of(row: Row[Any]) -> Return:
    return Return(**_values(row, Return) | {"lines": _units_of(row.lines), "status": ReturnStatus(row.status)})


def refund_row(refund: Refund) -> dict[str, Any]:
    """The row of a refund, without its order."""
    row = _values(refund, Refund)
    return row | {"lines": _units_json(refund.lines)}


def _refund_of(row: Row[Any]) -> Refund:
    return Refund(**_values(row, Refund) | {"lines": _units_of(row.lines)})


_MAKERS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "payments": _payment_row,
    "shipments": _shipment_row,
    "returns": _return_row,
    "refunds": refund_row,
}


def _units_json(units: Iterable[Units]) -> list[dict[str, Any]]:
    return [{"sku": one.sku, "quantity": one.quantity} for one in units]


def _units_of(plain: Iterable[Mapping[str, Any]]) -> tuple[Units, ...]:
    return tuple(Units(one["sku"], one["quantity"]) for one in plain)


def _written(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _read(at: str | None) -> datetime | None:
    return None if at is None else datetime.fromisoformat(at)
