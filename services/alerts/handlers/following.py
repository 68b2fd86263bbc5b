"""Orders are followed: their money, their review, their parcels (ORD-1, ORD-3, ORD-4, ORD-5)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from libs.events.codec import Envelope
from libs.events.consumer import on_batch
from libs.events.contracts import (
    OrderAmended,
    OrderCancelled,
    OrderPaid,
    OrderPlaced,
    OrderReviewed,
    PaymentSucceeded,
    RefundIssued,
    ReturnRequested,
    ShipmentCreated,
    ShipmentMoved,
)
from libs.events.transaction import Transaction
from services.alerts import texts
from services.alerts.domain.incidents import Finding
from services.alerts.domain.orders import Followed, follow, mismatch, open_lines
from services.alerts.handlers.moves import Moves, is_backfill
from services.alerts.handlers.raising import Ended, end_all, raise_once
from services.alerts.handlers.rates import judge_rates
from services.alerts.handlers.remembering import hour_of
from services.alerts.rulebook import Rulebook
from services.alerts.rules import Verdict
from services.alerts.rules.orders import PARCEL_STALLED, PAYMENT_MISMATCH, REVIEW_OVERDUE, SHIPMENT_OVERDUE
from services.alerts.store import memory, orders, tallies
from services.alerts.store.orders import Key
from services.alerts.store.tallies import Tally
from services.alerts.store.timers import Timer

FOLLOWED = (
    OrderPlaced,
    OrderAmended,
    OrderReviewed,
    OrderPaid,
    PaymentSucceeded,
    OrderCancelled,
    ShipmentCreated,
    ShipmentMoved,
    ReturnRequested,
    RefundIssued,
)


async def follow_orders(events: Sequence[Envelope[Any]], tx: Transaction) -> None:
    """Take a batch of orders' events in, then judge the orders that they changed."""
    before = await orders.load_orders({_key(event) for event in events}, tx)
    after = dict(before)
    for event in events:
        after[_key(event)] = follow(after.get(_key(event), Followed()), event.data)
    await orders.save_orders({key: o for key, o in after.items() if o != before.get(key)}, tx.now, tx)
    await _judge_money(events, before, after, tx)
    await _judge_parcels(events, after, tx)
    await _judge_refunds(events, after, tx)


def _key(event: Envelope[Any]) -> Key:
    return event.store, event.data.order_id


# money


async def _judge_money(
    events: Sequence[Envelope[Any]], before: dict[Key, Followed], after: dict[Key, Followed], tx: Transaction
) -> None:
    book = Rulebook(tx)
    money = (PaymentSucceeded, RefundIssued, OrderCancelled)
    heard = [event for event in events if isinstance(event.data, money) and not is_backfill(event, tx.now)]
    last = {_key(event): event for event in heard}
    ended = []
    for key, event in last.items():
        is_wrong = await _money_figures(key, after[key], book)
        tx.cause = event
        if is_wrong:
            about = {"order_id": key[1]}
            await raise_once(Finding(PAYMENT_MISMATCH, about, is_wrong, event.time), key[0], tx)
        elif mismatch(before.get(key, Followed())):
            ended.append(Ended(key[0], PAYMENT_MISMATCH, {"order_id": key[1]}, event.time))
    tx.cause = None
    await end_all(ended, tx)


async def _money_figures(key: Key, order: Followed, book: Rulebook) -> dict[str, Any] | None:
    wrong = mismatch(order)
    terms = await book.terms(PAYMENT_MISMATCH, key[0], {}) if wrong else None
    if wrong is None or terms is None:
        return None
    figures = {"expected_cents": wrong.expected_cents, "found_cents": wrong.found_cents}
    if PAYMENT_MISMATCH.judge(figures, terms.numbers) is not Verdict.BREACHED:
        return None
    shown = {"expected": texts.money(wrong.expected_cents), "found": texts.money(wrong.found_cents)}
    return {"kind": wrong.kind, **figures, **shown}


# review, shipping, parcels


async def _judge_parcels(events: Sequence[Envelope[Any]], after: dict[Key, Followed], tx: Transaction) -> None:
    moves, book = Moves(tx), Rulebook(tx)
    services = await _services(after, tx)
    for event in events:
        match event.data:
            case OrderReviewed():
                await _reviewed(event, moves, book)
            case OrderPaid():
                lines = open_lines(after[_key(event)], services.get(event.store, frozenset()))
                if lines and await book.terms(SHIPMENT_OVERDUE, event.store, {}):
                    moves.start(event, _shipment(event))
            case ShipmentCreated() | ShipmentMoved():
                await _moved(event, after[_key(event)], moves, book)
            case OrderCancelled():
                moves.stop(event, REVIEW_OVERDUE, {"order_id": event.data.order_id})
        _shipped(event, after[_key(event)], services.get(event.store, frozenset()), moves)
    await moves.save()


async def _services(after: dict[Key, Followed], tx: Transaction) -> dict[str, frozenset[str]]:
    """SKUs that are never shipped, by store."""
    wanted: dict[str, set[str]] = {}
    for (store, _), order in after.items():
        wanted.setdefault(store, set()).update(order.lines)
    found = {store: await memory.load_skus(store, skus, tx) for store, skus in wanted.items()}
    return {store: frozenset(s.sku for s in skus.values() if s.kind == "service") for store, skus in found.items()}


async def _reviewed(event: Envelope[OrderReviewed], moves: Moves, book: Rulebook) -> None:
    about = {"order_id": event.data.order_id}
    if event.data.decision == "approved":
        moves.stop(event, REVIEW_OVERDUE, about)
        return
    terms = await book.terms(REVIEW_OVERDUE, event.store, about)
    if terms is not None:
        minutes = terms.numbers["minutes"]
        figures = {"minutes": minutes, "reasons": ", ".join(event.data.reasons), "held_at": event.time.isoformat()}
        due = event.time + timedelta(minutes=minutes)
        moves.start(event, _timer(event, REVIEW_OVERDUE.id, event.data.order_id, due, about, figures))


def _shipment(event: Envelope[OrderPaid]) -> Timer:
    data = event.data
    figures = {"due": texts.instant(data.ship_due_at), "paid_at": event.time.isoformat()}
    return _timer(event, SHIPMENT_OVERDUE.id, data.order_id, data.ship_due_at, {"order_id": data.order_id}, figures)


def _shipped(event: Envelope[Any], order: Followed, services: frozenset[str], moves: Moves) -> None:
    """What is shipped, or cancelled, is due no more."""
    is_end = isinstance(event.data, ShipmentCreated | OrderCancelled | OrderAmended)
    if is_end and (order.is_cancelled or not open_lines(order, services)):
        moves.stop(event, SHIPMENT_OVERDUE, {"order_id": event.data.order_id})


async def _moved(event: Envelope[Any], order: Followed, moves: Moves, book: Rulebook) -> None:
    """A scan starts the parcel's clock anew; its delivery ends it."""
    data = event.data
    about = {"order_id": data.order_id, "shipment_id": data.shipment_id}
    if isinstance(data, ShipmentMoved):
        moves.stop(event, PARCEL_STALLED, about, data.shipment_id, keep=data.status != "delivered")
    terms = await book.terms(PARCEL_STALLED, event.store, about)
    if terms is None or (isinstance(data, ShipmentMoved) and data.status == "delivered"):
        return
    hours = terms.numbers["hours"]
    figures = {"hours": hours, "moved_at": event.time.isoformat(), **order.parcels.get(data.shipment_id, {})}
    due = event.time + timedelta(hours=hours)
    moves.start(event, _timer(event, PARCEL_STALLED.id, data.shipment_id, due, about, figures))


def _timer(
    event: Envelope[Any], rule: str, key: str, due: Any, about: dict[str, str], figures: dict[str, Any]
) -> Timer:
    return Timer(event.store, rule, key, "orders", due, about, figures)


# refunds


async def _judge_refunds(events: Sequence[Envelope[Any]], after: dict[Key, Followed], tx: Transaction) -> None:
    """Count refunds and disputes by SKU; one that names no line counts for each of the order's."""
    counted: list[Tally] = []
    touched: dict[tuple[str, str], Envelope[Any]] = {}
    for event in events:
        if not isinstance(event.data, RefundIssued):
            continue
        lines = [line.sku for line in event.data.lines] if event.data.lines else list(after[_key(event)].lines)
        kinds = ["refund", "dispute"] if event.data.is_dispute else ["refund"]
        for kind in kinds:
            values = ["", *dict.fromkeys(lines)]
            amount = event.data.amount_cents
            counted += [Tally(event.store, kind, value, hour_of(event.time), 1, amount) for value in values]
        touched |= {(event.store, sku): event for sku in lines}
    await tallies.add_tallies(counted, tx)
    await judge_rates(touched, tx)


REACTIONS = (on_batch(FOLLOWED, follow_orders),)
