"""What a store may set about its orders, with the defaults of the operating rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

KINDS = frozenset({"hold", "unpaid_timeout", "ship_promise", "return_window", "refund_at_once", "review_limit"})
"""The policies that orders follow (D43); the others are other services' business."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of a store at one time."""

    hold: timedelta = timedelta(minutes=15)
    unpaid_timeout: timedelta = timedelta(hours=24)
    ship_promise: timedelta = timedelta(hours=48)
    return_window: timedelta = timedelta(days=7)
    refund_at_once: bool = False
    review_limit: timedelta = timedelta(minutes=30)


def policies_of(values: Mapping[str, Any]) -> Policies:
    """Policies from what is kept of them: hold and review_limit in minutes, unpaid_timeout and ship_promise in hours,
    return_window in days, refund_at_once a boolean. A value that is none of these leaves the default.
    """
    default = Policies()
    return Policies(
        hold=timedelta(minutes=_number(values.get("hold"), 1, 1_440, default.hold / timedelta(minutes=1))),
        unpaid_timeout=timedelta(hours=_number(values.get("unpaid_timeout"), 0, 8_760, 24)),
        ship_promise=timedelta(hours=_number(values.get("ship_promise"), 0, 8_760, 48)),
        return_window=timedelta(days=_number(values.get("return_window"), 0, 365, 7)),
        refund_at_once=values.get("refund_at_once") is True,
        review_limit=timedelta(minutes=_number(values.get("review_limit"), 1, 525_600, 30)),
    )


def _number(value: Any, least: float, greatest: float, default: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and least <= value <= greatest else default
