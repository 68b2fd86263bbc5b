"""A complaint: when it was filed, about what, and whether it was settled in time (SRV-7, KPI-10)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from libs.events.contracts import ComplaintFiled, ComplaintResolved
from services.kpi.entities.fact import Fact, Stamp
from services.kpi.entities.leaf import Ground, Leaf, copy_of, earliest
from services.kpi.figures import EVERY_GRAIN, NUMBERS, Contribution, Place

LIMIT_US: Final = 24 * 3_600 * 1_000_000
"""The limit of SRV-3 (D80)."""


class Complaint(msgspec.Struct, array_like=True):
    """`filed` holds the SKU, '' where the complaint names none."""

    filed: tuple[Stamp, str] | None = None
    resolved: tuple[Stamp, str] | None = None


def merge(old: Complaint | None, facts: Sequence[Fact]) -> Complaint:
    """The complaint with these events in it; the first of each kind counts."""
    state = copy_of(old, Complaint)
    for fact in facts:
        event = fact.event
        if isinstance(event, ComplaintFiled):
            state.filed = earliest(state.filed, fact.stamp, event.sku or "")
        elif isinstance(event, ComplaintResolved):
            state.resolved = earliest(state.resolved, fact.stamp, "")
    return state


def contribution(state: Complaint, ground: Ground) -> Contribution:
    """Booked when it was filed."""
    if state.filed is None:
        return {}
    stamp, sku = state.filed
    vector = {NUMBERS["complaints"]: 1}
    if state.resolved is not None:
        vector[NUMBERS["complaints_resolved"]] = 1
        if state.resolved[0][0] - stamp[0] <= LIMIT_US:
            vector[NUMBERS["complaints_in_time"]] = 1
    second = ground.calendar.second("hour", stamp[0])
    return {Place(ground.store, EVERY_GRAIN, second, ("complaint", sku or None)): vector}


LEAF: Final = Leaf(
    "complaint",
    (ComplaintFiled, ComplaintResolved),
    lambda event: str(event.complaint_id),
    Complaint,
    merge,
    contribution,
)
