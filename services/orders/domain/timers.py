"""What waits for a time: rows with a due time, taken by a ticker. Which ones there are follows from the order alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.orders.domain.life import completion_due, is_completable
from services.orders.domain.policies import Policies
from services.orders.domain.state import Order, Status

OLD_FACT = timedelta(hours=1)
"""Imported facts older than this start no timers (D6)."""


class Timer(StrEnum):
    """What is done when a time has come."""

    UNPAID = "unpaid"
    COMPLETE = "complete"
    BACKORDER = "backorder"


@dataclass(frozen=True, slots=True)
class Due:
    """A timer that has come due."""

    store: str
    kind: Timer
    order_id: str


def timers_of(order: Order, policies: Policies, *, is_imported: bool = False) -> Mapping[Timer, datetime]:
    """The timers that the order has now. Time runs from acceptance, never from a `placed_at` in the past (D62)."""
    timers = {}
    is_old_fact = is_imported and order.accepted_at - order.placed_at > OLD_FACT
    if order.status is Status.PLACED and not is_old_fact:
        timers[Timer.UNPAID] = order.accepted_at + policies.unpaid_timeout
    if is_completable(order):
        timers[Timer.COMPLETE] = completion_due(order, policies.return_window)
    if order.backordered_at is not None:
        timers[Timer.BACKORDER] = order.backordered_at
    return timers
