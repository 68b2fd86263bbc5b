"""What callers get to see of the whole: campaigns, slow movers, reorders, reconciliation, oversells, history."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from libs.service.numbers import half_up
from services.inventory.domain.book import REMEDIES
from services.inventory.store.campaigns import LockRow, Plan
from services.inventory.store.reconciling import Reconciled
from services.inventory.store.selling import SALES_DAYS

COUPON = {"spend_cents": 20_000, "off_cents": 3_000}
"""What is proposed for the delay (INV-5): 满200减30."""


# campaigns


def campaign_body(
    campaign: str,
    locks: Sequence[LockRow],
    plan: Plan | None,
    burned: Sequence[Row[Any]],
    *,
    lead_days: int,
    now: datetime,
) -> dict[str, Any]:
    """A campaign's lock: what is promised, locked and left, how it is used up, and whether it will last."""
    starts_at, ends_at = (locks[0].starts_at, locks[0].ends_at) if locks else _times(plan)
    promised = plan.promised if plan is not None else {}
    lines = [_lock_line(lock, promised.get(lock.sku), burned, now) for lock in locks]
    lines += [_unlocked_line(sku, units) for sku, units in promised.items() if sku not in {k.sku for k in locks}]
    return {
        "campaign": campaign,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "status": _status(locks),
        "warn_at": starts_at - timedelta(days=lead_days),
        "complete": all(line["missing"] == 0 for line in lines),
        "lines": sorted(lines, key=lambda line: line["sku"]),
        "burn_down": [{"hour": r.hour, "sku": r.sku, "quantity": int(r.units)} for r in burned],
    }


def _times(plan: Plan | None) -> tuple[datetime, datetime]:
    assert plan is not None
    return plan.starts_at, plan.ends_at


def _status(locks: Sequence[LockRow]) -> str:
    if not locks:
        return "planned"
    return "ended" if all(lock.has_ended for lock in locks) else "locked"


def _lock_line(lock: LockRow, promised: int | None, burned: Sequence[Row[Any]], now: datetime) -> dict[str, Any]:
    hours = [(r.hour, int(r.units)) for r in burned if r.sku == lock.sku]
    run_out_at, leftover = projected(lock, hours, now)
    wanted = max(lock.wanted, promised or 0)
    return {
        "sku": lock.sku,
        "promised": promised if promised is not None else lock.wanted,
        "wanted": lock.wanted,
        "locked": lock.locked + lock.taken,
        "taken": lock.taken,
        "left": lock.locked,
        "missing": 0 if lock.has_ended else max(0, wanted - lock.locked - lock.taken),
        "sold": sum(units for _, units in hours),
        "run_out_at": run_out_at,
        "projected_leftover": leftover,
    }


def _unlocked_line(sku: str, promised: int) -> dict[str, Any]:
    nothing = dict.fromkeys(("wanted", "locked", "taken", "left", "sold"), 0)
    return {
        "sku": sku,
        "promised": promised,
        **nothing,
        "missing": promised,
        "run_out_at": None,
        "projected_leftover": None,
    }


def projected(
    lock: LockRow, burned: Sequence[tuple[datetime, int]], now: datetime
) -> tuple[datetime | None, int | None]:
    """(when it will be used up, what will be left at its end) at the pace since its first order.

    The pace is taken over at least an hour. Before anything is sold all of it is left over; an ended lock has neither.
    """
    if lock.has_ended:
        return None, None
    units = sum(quantity for _, quantity in burned)
    if lock.locked == 0 or units == 0:
        return None, lock.locked
    hours = max(1.0, (now - burned[0][0]).total_seconds() / 3600)
    run_out_at = now + timedelta(hours=lock.locked * hours / units)
    if run_out_at <= lock.ends_at:
        return run_out_at, 0
    still = max(0.0, (lock.ends_at - now).total_seconds() / 3600)
    return None, lock.locked - int(still * units / hours)


# selling


def slow_body(row: Row[Any], now: datetime) -> dict[str, Any]:
    """A SKU that does not sell (INV-9)."""
    since = row.last_sold_at or row.first_stocked_at
    return {
        "sku": row.sku,
        "title": row.title,
        "on_hand": int(row.on_hand),
        "last_sold_at": row.last_sold_at,
        "days_without_sale": (now - since).days,
        "stock_value_cents": None if row.cost_cents is None else int(row.on_hand) * int(row.cost_cents),
    }


def reorder_body(row: Row[Any]) -> dict[str, Any]:
    """How long a SKU lasts, and what to order with the arithmetic shown (INV-8).

    Suggested is what brings cover back to the lead time with the safety level left over; 0 where stock lasts.
    """
    units, available, short = int(row.units), int(row.available), int(row.short)
    lead_days, safety = int(row.lead_days), int(row.safety)
    needed = -(-units * lead_days // SALES_DAYS)
    is_due = available * SALES_DAYS < units * lead_days
    suggested = needed + safety + short - available if is_due else 0
    return {
        "sku": row.sku,
        "title": row.title,
        "available": available,
        "units_sold": units,
        "sales_days": SALES_DAYS,
        "daily_units": half_up(units, SALES_DAYS),
        "days_of_cover": half_up(available * SALES_DAYS, units),
        "lead_days": lead_days,
        "safety": safety,
        "short": short,
        "is_due": is_due,
        "suggested_quantity": suggested,
        "arithmetic": (
            f"ceil({units} / {SALES_DAYS} x {lead_days}) + {safety} + {short} - {available} = {suggested}"
            if is_due
            else f"{available} x {SALES_DAYS} / {units} >= {lead_days}"
        ),
    }


# reconciliation


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


# oversells


def oversold_body(
    row: Row[Any], orders: Iterable[Row[Any]], compensated: Mapping[tuple[str, str], Sequence[dict[str, Any]]]
) -> dict[str, Any]:
    """A SKU that is short: who goes without, the latest order first, and what is proposed (INV-5)."""
    mine = [order for order in orders if order.sku == row.sku]
    return {
        "sku": row.sku,
        "title": row.title,
        "short": int(row.short),
        "on_hand": int(row.on_hand),
        "order_count": int(mine[0].total) if mine else 0,
        "affected_orders": [
            {
                "order_id": order.order_id,
                "reservation_id": order.reservation_id,
                "quantity": int(order.quantity),
                "is_paid": order.status == "allocated",
                "ordered_at": order.ordered_at,
                "compensations": compensated.get((order.order_id, row.sku), []),
            }
            for order in mine
        ],
        "remedies": [_remedy(name, row) for name in REMEDIES],
    }


def _remedy(name: str, row: Row[Any]) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if name == "urgent_restock":
        more = {"quantity": int(row.short), "lead_days": row.lead_days}
    elif name == "delay_coupon":
        more = {"coupon": COUPON}
    return {"remedy": name, **more}


def compensation_body(row: Row[Any]) -> dict[str, Any]:
    """What was done for the customer of an order."""
    return dict(row._mapping)


# history


def asked_body(row: Row[Any], saw: int) -> dict[str, Any]:
    """A movement: what was asked for, how many units were free before it and after it."""
    return {
        "at": row.at,
        "recorded_at": row.recorded_at,
        "kind": row.kind,
        "quantity": int(row.quantity),
        "saw": saw,
        "left": saw + int(row.free),
        "reservation_id": row.reservation_id,
        "order_id": row.order_id,
        "customer_id": row.customer_id,
        "campaign": row.campaign,
        "cause": {"type": row.cause_type, "id": row.cause_id},
        "by": row.by,
        "movement_id": str(row.movement_id),
    }


def refused_body(row: Row[Any]) -> dict[str, Any]:
    """A refusal: what was asked for in vain, and what there was for the asker."""
    return {
        "at": row.at,
        "recorded_at": row.recorded_at,
        "kind": "refused",
        "quantity": int(row.wanted),
        "saw": int(row.available),
        "left": int(row.available),
        "reservation_id": row.reservation_id,
        "order_id": row.order_id,
        "customer_id": row.customer_id,
        "campaign": row.campaign,
        "cause": {"type": "reservation", "id": row.reservation_id},
        "version": int(row.version),
    }


def refusal_body(row: Row[Any]) -> dict[str, Any]:
    """A refusal in a list."""
    return {"sku": row.sku, **refused_body(row)}


def lost_body(row: Row[Any]) -> dict[str, Any]:
    """Demand that found no stock."""
    return {
        "sku": row.sku,
        "refusals": int(row.refusals),
        "wanted": int(row.wanted),
        "lacking": int(row.lacking),
        "last_at": row.last_at,
    }
