"""What is remembered of events, for rules that judge later ones and for the evidence of incidents (ALR-13)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from libs.events.codec import Envelope
from libs.events.consumer import on, on_batch
from libs.events.contracts import (
    ComplaintFiled,
    OrderPaid,
    OrderPlaced,
    PaymentFailed,
    PaymentSucceeded,
    ReviewPosted,
    SkuChanged,
    SkuDelisted,
    SkuListed,
    StockBackIn,
    StockLevel,
    StockSoldOut,
    TargetSet,
)
from libs.events.transaction import Transaction
from services.alerts.store import memory, tallies
from services.alerts.store.tallies import Change, Tally

BAD_STARS = 3
"""A review of so many stars or fewer is bad or middling (SRV-8)."""


def hour_of(at: datetime) -> datetime:
    """The full hour in which an instant lies."""
    return at.replace(minute=0, second=0, microsecond=0)


# SKUs

_LISTING = ("kind", "title", "category", "price_cents", "cost_cents", "lead_days")
_CHANGED = (("price", "price_cents"), ("title", "title"), ("image", "image_url"))


async def list_sku(event: Envelope[Any], tx: Transaction) -> None:
    """Remember what a SKU is, at once: an alert in the same batch names it."""
    await memory.save_sku(event.store, event.data.sku, _listing(event.data), event.time, tx)


async def change_sku(event: Envelope[SkuChanged], tx: Transaction) -> None:
    """Remember what is new about a SKU, and what it was."""
    before, after = event.data.before, event.data.after
    said = {name: getattr(after, name) for name in _LISTING if getattr(after, name) is not None}
    if said:
        await memory.save_sku(event.store, event.data.sku, said, event.time, tx)
    changes = [
        _change(event, kind, {"from": getattr(before, name), "to": getattr(after, name)})
        for kind, name in _CHANGED
        if getattr(after, name) is not None and getattr(after, name) != getattr(before, name)
    ]
    await tallies.add_changes(changes, tx)


def _listing(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in _LISTING}


def _change(event: Envelope[Any], kind: str, data: Mapping[str, Any] | None = None) -> Change:
    return Change(event.store, event.time, kind, event.data.sku, data or {})


async def keep_target(event: Envelope[TargetSet], tx: Transaction) -> None:
    """Remember a target (ALR-1)."""
    await memory.save_target(event, tx)


async def keep_levels(events: Sequence[Envelope[StockLevel]], tx: Transaction) -> None:
    """Remember how much of each SKU there is."""
    await memory.save_levels(events, tx)


# what happened how often

_Counted = Iterator[tuple[str, str, int, int]]
"""(kind, value, n, cents)"""


def _placed(event: OrderPlaced) -> _Counted:
    yield "placed", "", 1, event.total_cents
    yield from _lines("placed", event.lines)
    for sku, lines in _by_sku(event.lines).items():
        yield "units", sku, sum(line.quantity for line in lines), 0


def _paid(event: OrderPaid) -> _Counted:
    yield "paid", "", 1, event.amount_cents
    yield from _lines("paid", event.lines)


def _lines(kind: str, lines: Iterable[Any]) -> _Counted:
    for sku, group in _by_sku(lines).items():
        yield kind, sku, 1, sum(line.amount_cents for line in group)


def _by_sku(lines: Iterable[Any]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for line in lines:
        groups.setdefault(line.sku, []).append(line)
    return groups


def _payment(kind: str) -> Callable[[Any], _Counted]:
    def count(event: PaymentFailed | PaymentSucceeded) -> _Counted:
        yield kind, "", 1, event.amount_cents
        yield kind, event.method, 1, event.amount_cents

    return count


def _complaint(event: ComplaintFiled) -> _Counted:
    yield "complaint", "", 1, 0
    if event.sku is not None:
        yield "complaint", event.sku, 1, 0


def _review(event: ReviewPosted) -> _Counted:
    if event.stars <= BAD_STARS:
        yield "bad_review", "", 1, 0
        yield "bad_review", event.sku, 1, 0


_COUNTED: Mapping[type[Any], Callable[[Any], _Counted]] = {
    OrderPlaced: _placed,
    OrderPaid: _paid,
    PaymentFailed: _payment("payment_failed"),
    PaymentSucceeded: _payment("payment_succeeded"),
    ComplaintFiled: _complaint,
    ReviewPosted: _review,
}


async def count_events(events: Sequence[Envelope[Any]], tx: Transaction) -> None:
    """Count what happened by the hour, for the store and its SKUs or payment methods."""
    counted = [
        Tally(event.store, kind, value, hour_of(event.time), n, cents)
        for event in events
        for kind, value, n, cents in _COUNTED[type(event.data)](event.data)
    ]
    await tallies.add_tallies(counted, tx)
    sold: dict[tuple[str, str], datetime] = {}
    for event in events:
        if isinstance(event.data, OrderPlaced):
            for line in event.data.lines:
                key = (event.store, line.sku)
                sold[key] = max(sold.get(key, event.time), event.time)
    await memory.mark_sold(sold, tx)


# what was changed

_NOTED: Mapping[type[Any], tuple[str, tuple[str, ...]]] = {
    SkuListed: ("listed", ()),
    SkuDelisted: ("delisted", ()),
    StockSoldOut: ("sold_out", ()),
    StockBackIn: ("back_in", ("available",)),
}


async def note_changes(events: Sequence[Envelope[Any]], tx: Transaction) -> None:
    """Write down what may explain figures later."""
    changes = []
    for event in events:
        kind, names = _NOTED[type(event.data)]
        changes.append(_change(event, kind, {name: getattr(event.data, name) for name in names}))
    await tallies.add_changes(changes, tx)


REACTIONS = (
    on(SkuListed, list_sku),
    on(SkuDelisted, list_sku),
    on(SkuChanged, change_sku),
    on(TargetSet, keep_target),
    on_batch((StockLevel,), keep_levels),
    on_batch(tuple(_COUNTED), count_events),
    on_batch(tuple(_NOTED), note_changes),
)
