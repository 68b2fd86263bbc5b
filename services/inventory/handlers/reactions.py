"""What inventory does about the events of orders, campaigns and policy, and the table of who reacts to what."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from libs.events.codec import Envelope
from libs.events.consumer import Reactions, on, on_batch
from libs.events.contracts import (
    CampaignChanged,
    CampaignEnded,
    CampaignPlanned,
    OrderAmended,
    OrderCancelled,
    OrderCompleted,
    OrderPaid,
    OrderPlaced,
    PolicyChanged,
    ReturnApproved,
    ReturnInspected,
    ShipmentCreated,
)
from libs.events.contracts.base import Event, Line, StockLine
from libs.events.transaction import Transaction
from services.inventory.domain import commands as c
from services.inventory.domain.orders import first_reservation_id
from services.inventory.handlers.apply import apply
from services.inventory.handlers.campaigns import end_campaign, take_plan
from services.inventory.handlers.policies import take_policy

STOREFRONT = "storefront"
FUTURE = timedelta(minutes=5)
"""An order dated further ahead of its acceptance is in quarantine (D64): it takes no stock."""


async def follow_orders(envelopes: Sequence[Envelope[Any]], tx: Transaction) -> None:
    """Fold a batch of order events into one change of stock (INV-1); they stay in the order of the log."""
    commands = [_COMMANDS[type(envelope.data)](envelope) for envelope in envelopes]
    await apply([command for command in commands if command is not None], tx)


def _pieces(lines: Sequence[Line | StockLine]) -> tuple[c.Piece, ...]:
    return tuple(c.Piece(line.sku, line.quantity) for line in lines)


def _cause(envelope: Envelope[Any], kind: str = "order", name: str | None = None) -> c.Cause:
    return c.Cause(
        kind, name or envelope.data.order_id, envelope.time, "service:orders", envelope.import_id, trigger=envelope
    )


def _place(envelope: Envelope[OrderPlaced]) -> c.Command | None:
    """A storefront's order has its hold already; one sold elsewhere is a fact (INV-5, D13)."""
    order = envelope.data
    if order.origin == STOREFRONT or envelope.time > envelope.recorded_time + FUTURE:
        return None
    return c.AcceptOutside(
        envelope.store,
        _cause(envelope),
        order.order_id,
        _pieces(order.lines),
        order.reservation_id or first_reservation_id(order.order_id),
        order.campaign,
    )


def _pay(envelope: Envelope[OrderPaid]) -> c.Command:
    order = envelope.data
    return c.Pay(envelope.store, _cause(envelope), order.order_id, _pieces(order.lines), order.campaign)


def _cancel(envelope: Envelope[OrderCancelled]) -> c.Command:
    return c.Cancel(envelope.store, _cause(envelope), envelope.data.order_id)


def _amend(envelope: Envelope[OrderAmended]) -> c.Command:
    order = envelope.data
    return c.Amend(envelope.store, _cause(envelope), order.order_id, _pieces(order.lines_after))


def _ship(envelope: Envelope[ShipmentCreated]) -> c.Command:
    parcel = envelope.data
    cause = _cause(envelope, "shipment", parcel.shipment_id)
    return c.Ship(envelope.store, cause, parcel.order_id, _pieces(parcel.lines), parcel.shipment_id, parcel.warehouse)


def _await_return(envelope: Envelope[ReturnApproved]) -> c.Command:
    back = envelope.data
    cause = _cause(envelope, "return", back.return_id)
    return c.AwaitReturn(envelope.store, cause, back.order_id, _pieces(back.lines), back.return_id)


def _take_back(envelope: Envelope[ReturnInspected]) -> c.Command:
    back = envelope.data
    cause = _cause(envelope, "return", back.return_id)
    return c.TakeBack(
        envelope.store, cause, back.order_id, _pieces(back.lines), back.return_id, back.condition, back.warehouse
    )


def _complete(envelope: Envelope[OrderCompleted]) -> c.Command:
    return c.Complete(envelope.store, _cause(envelope), envelope.data.order_id)


_COMMANDS: Mapping[type[Event], Callable[[Envelope[Any]], c.Command | None]] = {
    OrderPlaced: _place,
    OrderPaid: _pay,
    OrderCancelled: _cancel,
    OrderAmended: _amend,
    ShipmentCreated: _ship,
    ReturnApproved: _await_return,
    ReturnInspected: _take_back,
    OrderCompleted: _complete,
}


def reactions(after_batch: Callable[[], None] = lambda: None) -> Reactions:
    """Who reacts to what. `after_batch` is called behind each batch of order events, before its commit."""

    async def follow(envelopes: Sequence[Envelope[Any]], tx: Transaction) -> None:
        await follow_orders(envelopes, tx)
        after_batch()

    return Reactions(
        on(PolicyChanged, take_policy),
        on(CampaignPlanned, take_plan),
        on(CampaignChanged, take_plan),
        on(CampaignEnded, end_campaign),
        on_batch(tuple(_COMMANDS), follow),
    )


REACTIONS = reactions()
