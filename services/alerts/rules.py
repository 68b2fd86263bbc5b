"""The catalogue of alert rules: what each listens to, when it fires and recovers, its numbers and its words.

Five shapes carry all rules; two of them are here: an *edge* (an event fires it, another one recovers it) and a *window
ratio* (a measured window against a target). Holding, repeating, folding, escalating and telling belong to the engine.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from libs.events.contracts import (
    OrderUnfulfillable,
    StockBackIn,
    StockMismatched,
    StockOversold,
    StockRanLow,
    StockSoldOut,
)
from libs.events.contracts.base import Event
from services.alerts.statistics import poisson_at_most


class Severity(StrEnum):
    """In rising order (D42)."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """To compare by."""
        return ("info", "warning", "critical").index(self.value)


About = Mapping[str, str]
"""What an alert is about: a SKU, an order, a channel ...; empty for the store."""
Numbers = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What all rules have. `group` names rules whose alerts on one thing are one incident (D41)."""

    id: str
    source: str
    severity: Severity
    zh: str
    en: str
    group: str = ""
    parameters: Numbers = field(default_factory=dict)

    @property
    def matter(self) -> str:
        """The incident's kind: alerts of rules with one matter about one thing belong together."""
        return self.group or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge(Rule):
    """Fires on one event, recovers on another."""

    fires: type[Event]
    about: Callable[[Any], dict[str, str]]
    figures: Callable[[Any], dict[str, Any]]
    recovers: type[Event] | None = None


class Verdict(StrEnum):
    """What a window says."""

    TOO_LITTLE = "too_little"
    BREACHED = "breached"
    BETWEEN = "between"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRatio(Rule):
    """A ratio of a measured alarm window against the target in force, with minimum sample and Poisson test."""

    metric: str
    numerator: str
    denominator: str

    def judge(self, measures: Mapping[str, int], target: float, numbers: Numbers) -> Verdict:
        """Whether the window breaches, is clear (with the recovery margin), or says nothing.

        `numbers`: `share` the drop that counts, `minimum_uv`, `minimum_expected`, `probability` (KPI page, alarms).
        """
        top, bottom = measures.get(self.numerator, 0), measures.get(self.denominator, 0)
        expected = bottom * target
        if bottom < numbers["minimum_uv"] or expected < numbers["minimum_expected"]:
            return Verdict.TOO_LITTLE
        threshold = target * (1 - numbers["share"])
        ratio = top / bottom
        if ratio <= threshold and poisson_at_most(top, expected) < numbers["probability"]:
            return Verdict.BREACHED
        return Verdict.CLEAR if ratio >= threshold + (target - threshold) / 10 else Verdict.BETWEEN


def _sku(event: Any) -> dict[str, str]:
    return {"sku": event.sku}


def _available(event: Any) -> dict[str, Any]:
    return {"available": event.available, "safety": event.safety}


def _short(event: Any) -> dict[str, Any]:
    orders = [order.order_id for order in event.affected_orders]
    return {"short": event.short, "affected_orders": orders, "orders": len(orders), "remedy": list(event.remedy)}


def _mismatch(event: Any) -> dict[str, Any]:
    return {"kind": event.kind, "expected": event.expected, "found": event.found}


def _order(event: Any) -> dict[str, str]:
    return {"order_id": event.order_id}


def _short_lines(event: Any) -> dict[str, Any]:
    return {"lines": [{"sku": line.sku, "quantity": line.quantity} for line in event.lines]}


LOW_STOCK = Edge(
    id="low_stock",
    source="INV-3",
    severity=Severity.WARNING,
    zh="{name}: 剩余 {available}, 安全库存 {safety}",
    en="{name}: {available} left, safety level {safety}",
    group="stock",
    parameters={"safety": 10},
    fires=StockRanLow,
    recovers=StockBackIn,
    about=_sku,
    figures=_available,
)
SOLD_OUT = Edge(
    id="sold_out",
    source="INV-3",
    severity=Severity.CRITICAL,
    zh="{name}: 已售罄",
    en="{name}: sold out",
    group="stock",
    fires=StockSoldOut,
    recovers=StockBackIn,
    about=_sku,
    figures=_available,
)
OVERSOLD = Edge(
    id="oversold",
    source="INV-5",
    severity=Severity.CRITICAL,
    zh="{name}: 超卖 {short} 件, 影响 {orders} 个订单",
    en="{name}: oversold by {short}, {orders} orders affected",
    fires=StockOversold,
    about=_sku,
    figures=_short,
)
STOCK_MISMATCH = Edge(
    id="stock_mismatch",
    source="INV-11",
    severity=Severity.CRITICAL,
    zh="{name}: 库存对不上, 应为 {expected}, 实为 {found}",
    en="{name}: stock does not agree, expected {expected}, found {found}",
    fires=StockMismatched,
    about=_sku,
    figures=_mismatch,
)
PAID_UNFULFILLABLE = Edge(
    id="paid_unfulfillable",
    source="ORD-2",
    severity=Severity.CRITICAL,
    zh="订单 {order_id}: 已付款, 无货可发",
    en="Order {order_id}: paid, but there is no stock for it",
    fires=OrderUnfulfillable,
    about=_order,
    figures=_short_lines,
)
CONVERSION_BELOW_TARGET = WindowRatio(
    id="conversion_below_target",
    source="ALR-1",
    severity=Severity.WARNING,
    zh="{name}转化率 {ratio}, 低于目标 {target} ({window})",
    en="{name}conversion {ratio}, below the target of {target} ({window})",
    parameters={"share": 0.2, "minimum_uv": 200, "minimum_expected": 10, "probability": 0.01},
    metric="conversion.order_uv",
    numerator="orders_placed_here",
    denominator="uv",
)
MANUAL = Rule(id="manual", source="ALR-16", severity=Severity.WARNING, zh="{title}", en="{title}")

EDGES: tuple[Edge, ...] = (LOW_STOCK, SOLD_OUT, OVERSOLD, STOCK_MISMATCH, PAID_UNFULFILLABLE)
RULES: tuple[Rule, ...] = (*EDGES, CONVERSION_BELOW_TARGET, MANUAL)
RULE: Mapping[str, Rule] = {rule.id: rule for rule in RULES}
