"""What callers get: stock, reservations, ledger entries and lists as they are on the wire."""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Row

from libs.service import wire
from services.inventory.domain.commands import Compared, Count, Piece, Standing
from services.inventory.domain.promises import Status
from services.inventory.domain.stock import Level
from services.inventory.store.catalogue import Sku
from services.inventory.store.reads import Reasons


def sku_body(sku: Sku) -> dict[str, Any]:
    """A SKU."""
    return {
        "sku": sku.sku,
        "kind": sku.kind,
        "title": sku.title,
        "category": sku.category,
        "price_cents": sku.price_cents,
        "cost_cents": sku.cost_cents,
        "safety": sku.safety,
        "lead_days": sku.lead_days,
        "image_url": sku.image_url,
        "listed": sku.listed,
        "version": sku.version,
        "changed_at": sku.changed_at,
    }


def level_body(level: Level) -> dict[str, Any]:
    """A level (D22)."""
    return {
        "sku": level.sku,
        "version": level.version,
        "on_hand": level.on_hand,
        "held": level.held,
        "allocated": level.allocated,
        "locked": level.locked,
        "short": level.short,
        "returning": level.returning,
        "damaged": level.damaged,
        "safety": level.safety,
        "safety_hidden": level.safety_hidden,
        "available": level.available,
        "state": level.state,
        "warehouses": [
            {"warehouse": w.warehouse, "on_hand": w.on_hand, "returning": w.returning, "damaged": w.damaged}
            for w in level.warehouses
        ],
    }


def reasons_body(level: Level, reasons: Reasons) -> list[dict[str, Any]]:
    """Why so many are available: each term of the formula, with those who have the units."""
    return [
        _term("on_hand", level.on_hand, [], 0),
        _term("held", -level.held, [held_body(r) for r in reasons.held], reasons.held_count),
        _term("allocated", -level.allocated, [owned_body(r) for r in reasons.allocated], reasons.allocated_count),
        _term("locked", -level.locked, [locked_body(r) for r in reasons.locked], reasons.locked_count),
        _term("safety_hidden", -level.safety_hidden, [], 0),
    ]


def held_body(row: Row[Any]) -> dict[str, Any]:
    """A hold, as a reason."""
    return {**owned_body(row), "expires_at": row.expires_at}


def owned_body(row: Row[Any]) -> dict[str, Any]:
    """A promise to an order (or a cart), as a reason."""
    return {"reservation_id": row.reservation_id, "order_id": row.order_id, "quantity": int(row.quantity)}


def locked_body(row: Row[Any]) -> dict[str, Any]:
    """A campaign's lock, as a reason."""
    return {"campaign": row.campaign, "quantity": int(row.quantity), "ends_at": row.ends_at}


def _term(name: str, quantity: int, items: list[dict[str, Any]], count: int) -> dict[str, Any]:
    return {"term": name, "quantity": quantity, "items": items, "item_count": count}


def _lines(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": quantity} for sku, quantity in pieces]


def standing_body(standing: Standing) -> dict[str, Any]:
    """A reservation as it stands."""
    body: dict[str, Any] = {
        "reservation_id": standing.reservation_id,
        "status": standing.status,
        "lines": _lines(standing.pieces),
        "expires_at": standing.expires_at if standing.status is Status.HELD else None,
    }
    if standing.order_id is not None:
        body["order_id"] = standing.order_id
    if standing.short:
        body["short"] = _lines(standing.short)
    return body


def standing_json(standing: Standing, zone: ZoneInfo | None) -> bytes:
    """The same, as it is sent."""
    body = standing_body(standing)
    if body["expires_at"] is not None:
        body["expires_at"] = wire.instant(body["expires_at"], zone)
    return _encode(body)


_encode = msgspec.json.Encoder().encode


def reservation_body(rows: Sequence[Row[Any]]) -> dict[str, Any]:
    """A reservation with its lines."""
    head = rows[0]
    lines = [
        {"sku": r.sku, "quantity": int(r.quantity), "short": int(r.short), "shipped": int(r.shipped)}
        for r in rows
        if r.sku is not None
    ]
    return {
        "reservation_id": head.reservation_id,
        "status": head.status,
        "order_id": head.order_id,
        "campaign": head.campaign,
        "lines": lines,
        "expires_at": head.expires_at if head.status == Status.HELD else None,
    }


def count_body(count: Count, compared: Compared, *, dry_run: bool) -> dict[str, Any]:
    """A count: the lines that differ or could not be compared."""
    return {
        "count_id": count.count_id,
        "dry_run": dry_run,
        "item_count": len(compared.lines),
        "differences": [
            {
                "sku": line.sku,
                "expected": line.expected,
                "counted": line.counted,
                "difference": line.difference,
                "status": line.status,
            }
            for line in compared.differences
        ],
    }


def movement_body(row: Row[Any]) -> dict[str, Any]:
    """A ledger entry."""
    return {
        "movement_id": str(row.movement_id),
        "sku": row.sku,
        "warehouse": row.warehouse,
        "at": row.at,
        "kind": row.kind,
        "quantity": int(row.quantity),
        "from_state": row.from_state,
        "to_state": row.to_state,
        "cause": {"type": row.cause_type, "id": row.cause_id},
        "by": row.by,
        "reason": row.reason,
    }
