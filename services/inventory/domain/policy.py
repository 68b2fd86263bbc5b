"""What a store's policies say about its SKUs, valid at a time (INV-3, INV-7 to INV-9, D10, D23)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

DEFAULT_SAFETY = 10
DEFAULT_SLOW_DAYS = 30
DEFAULT_LEAD_DAYS = 7
DEFAULT_LOCK_LEAD_DAYS = 3
EVERY_CATEGORY = ""

LOW_STOCK, HIDE_SAFETY, SLOW_MOVER_DAYS = "low_stock", "hide_safety", "slow_mover_days"
LEAD_DAYS, LOCK_LEAD = "lead_days", "lock_lead"


@dataclass(frozen=True, slots=True)
class Policy:
    """One decision: `category` is '' for the whole store."""

    kind: str
    category: str
    value: Any
    valid_from: datetime
    decided_at: datetime
    recorded_at: datetime
    event_id: str

    @property
    def rank(self) -> tuple[datetime, datetime, str]:
        """Of two decisions the one with the greater rank holds (D10)."""
        return self.decided_at, self.recorded_at, self.event_id


@dataclass(frozen=True, slots=True)
class Description:
    """What policies make of a SKU: its effective safety level, and how many units are withheld."""

    safety: int
    safety_hidden: int


class Policies:
    """The decisions of one store that hold at a time."""

    def __init__(self, decided: Iterable[Policy], now: datetime) -> None:
        self._standing: dict[tuple[str, str], Policy] = {}
        for policy in decided:
            present = self._standing.get((policy.kind, policy.category))
            if policy.valid_from <= now and (present is None or present.rank < policy.rank):
                self._standing[policy.kind, policy.category] = policy

    def describe(self, own_safety: int | None, category: str | None) -> Description:
        """Effective safety = the SKU's, else its category's, else the store's; withheld are 0 or that many (D23)."""
        safety = own_safety
        if safety is None:
            safety = int(self._value(LOW_STOCK, category, DEFAULT_SAFETY))
        return Description(safety, safety if self._value(HIDE_SAFETY, category, False) else 0)

    @property
    def slow_mover_days(self) -> int:
        """After how many days without a sale a SKU is a slow mover (INV-9)."""
        return int(self._value(SLOW_MOVER_DAYS, None, DEFAULT_SLOW_DAYS))

    @property
    def lock_lead_days(self) -> int:
        """How many days before its start a campaign must be fully locked (INV-7)."""
        return int(self._value(LOCK_LEAD, None, DEFAULT_LOCK_LEAD_DAYS))

    @property
    def lead_days(self) -> dict[str, int]:
        """How long a supplier needs, by category; '' is every other category (INV-8)."""
        named = {category for kind, category in self._standing if kind == LEAD_DAYS}
        return {name: int(self._value(LEAD_DAYS, name, DEFAULT_LEAD_DAYS)) for name in {EVERY_CATEGORY, *named}}

    def _value(self, kind: str, category: str | None, default: Any) -> Any:
        for scope in (category or EVERY_CATEGORY, EVERY_CATEGORY):
            policy = self._standing.get((kind, scope))
            if policy is not None and policy.value is not None:
                return policy.value
        return default
