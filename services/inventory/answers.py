"""What callers get: stock, reservations, ledger entries and lists as they are on the wire."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from services.inventory.domain.commands import Compared, Count, Piece, Standing
from services.inventory.domain.promises import Status
from services.inventory.domain.stock import Level
from services.inventory.store.catalogue import Sku
from services.inventory.store.reads import LockRow, Reasons, Reconciled

DEFAULT_LEAD_DAYS = 7
SALES_DAYS = 7


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
    held = [
        {
            "reservation_id": r.reservation_id,
            "order_id": r.order_id,
            "quantity": int(r.quantity),
            "expires_at": r.expires_at,
        }
        for r in reasons.held
    ]
    allocated = [
        {"reservation_id": r.reservation_id, "order_id": r.order_id, "quantity": int(r.quantity)}
        for r in reasons.allocated
    ]
    locked = [{"campaign": r.campaign, "quantity": int(r.quantity), "ends_at": r.ends_at} for r in reasons.locked]
    return [
        _term("on_hand", level.on_hand, [], 0),
        _term("held", -level.held, held, reasons.held_count),
        _term("allocated", -level.allocated, allocated, reasons.allocated_count),
        _term("locked", -level.locked, locked, reasons.locked_count),
        _term("safety_hidden", -level.safety_hidden, [], 0),
    ]


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


def campaign_body(campaign: str, locks: Sequence[LockRow], burned: Sequence[Row[Any]], now: datetime) -> dict[str, Any]:
    """A campaign's lock: what is left, how it was used up by the hour, and when it will be at an end."""
    return {
        "campaign": campaign,
        "starts_at": locks[0].starts_at,
        "ends_at": locks[0].ends_at,
        "status": "ended" if all(lock.has_ended for lock in locks) else "locked",
        "lines": [
            {
                "sku": lock.sku,
                "wanted": lock.wanted,
                "locked": lock.locked + lock.taken,
                "taken": lock.taken,
                "left": lock.locked,
                "run_out_at": run_out(lock, [(r.hour, int(r.units)) for r in burned if r.sku == lock.sku], now),
            }
            for lock in locks
        ],
        "burn_down": [{"hour": r.hour, "sku": r.sku, "quantity": int(r.units)} for r in burned],
    }


def run_out(lock: LockRow, burned: Sequence[tuple[datetime, int]], now: datetime) -> datetime | None:
    """When a lock will be used up at the pace since its first order (at least an hour); None where it sells nothing."""
    units = sum(quantity for _, quantity in burned)
    if lock.has_ended or lock.locked == 0 or units == 0:
        return None
    hours = max(1.0, (now - burned[0][0]).total_seconds() / 3600)
    return now + timedelta(hours=lock.locked / (units / hours))


def slow_body(row: Row[Any], now: datetime) -> dict[str, Any]:
    """A SKU that does not sell."""
    since = row.last_sold_at or row.first_stocked_at
    return {
        "sku": row.sku,
        "title": row.title,
        "on_hand": int(row.on_hand),
        "last_sold_at": row.last_sold_at,
        "days_without_sale": (now - since).days,
        "stock_value_cents": None if row.cost_cents is None else int(row.on_hand) * int(row.cost_cents),
    }


def reorder_body(row: Row[Any]) -> dict[str, Any] | None:
    """A suggestion to reorder; None where stock lasts longer than the supplier needs (INV-8).

    Suggested is what brings cover back to the lead time with the safety level left over.
    """
    units, available, short = int(row.units), int(row.available), int(row.short)
    lead_days = int(row.lead_days) if row.lead_days is not None else DEFAULT_LEAD_DAYS
    if available * SALES_DAYS >= units * lead_days:
        return None
    needed = -(-units * lead_days // SALES_DAYS) + int(row.safety) + short - available
    return {
        "sku": row.sku,
        "title": row.title,
        "available": available,
        "daily_units": round(units / SALES_DAYS, 6),
        "days_of_cover": round(available * SALES_DAYS / units, 6),
        "lead_days": lead_days,
        "suggested_quantity": needed,
    }


def reconciled_body(line: Reconciled) -> dict[str, Any]:
    """A SKU's day, and what does not agree (INV-11)."""
    return {
        "sku": line.sku,
        "opening": line.opening,
        "receipts": line.receipts,
        "returns": line.returns,
        "adjustments": line.adjustments,
        "shipped": line.shipped,
        "closing": line.closing,
        "reserved": line.reserved,
        "mismatches": [{"kind": kind, "expected": a, "found": b} for kind, a, b in line.mismatches()],
    }
