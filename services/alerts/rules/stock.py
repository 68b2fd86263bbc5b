"""Rules about stock (INV-2 to INV-11)."""

from typing import Any

from libs.events.contracts import StockBackIn, StockCounted, StockMismatched, StockOversold, StockRanLow, StockSoldOut
from services.alerts.rules.shapes import Deadline, Edge, Numbers, Role, Severity

LISTED = 20
"""How many SKUs an incident's figures list; their count says how many there are."""


def _sku(event: Any) -> dict[str, str]:
    return {"sku": event.sku}


def _available(event: Any) -> dict[str, Any]:
    return {"available": event.available, "safety": event.safety}


def _short(event: Any) -> dict[str, Any]:
    orders = [order.order_id for order in event.affected_orders]
    return {"short": event.short, "affected_orders": orders, "orders": len(orders), "remedy": list(event.remedy)}


def _mismatch(event: Any) -> dict[str, Any]:
    return {"kind": event.kind, "expected": event.expected, "found": event.found}


def _count(event: Any) -> dict[str, str]:
    return {"count_id": event.count_id, "warehouse": event.warehouse}


def _different(event: StockCounted, tolerance: float = 0) -> list[Any]:
    return [d for d in event.differences if d.status == "applied" and abs(d.difference) > tolerance]


def _differences(event: StockCounted) -> dict[str, Any]:
    lines = _different(event)
    listed = [{"sku": d.sku, "expected": d.expected, "counted": d.counted} for d in lines[:LISTED]]
    units = sum(abs(d.difference) for d in lines)
    return {"differences": len(lines), "units": units, "lines": listed, "item_count": event.item_count}


def _past_tolerance(event: StockCounted, numbers: Numbers) -> bool:
    return bool(_different(event, numbers["tolerance"]))


LOW_STOCK = Edge(
    id="low_stock",
    source="INV-3",
    role=Role.SPECIALIST,
    zh="{name}: 剩余 {available}, 安全库存 {safety}",
    en="{name}: {available} left, safety level {safety}",
    group="stock",
    parameters={"safety": 10},
    scopes=("category", "sku"),
    fires=StockRanLow,
    recovers=StockBackIn,
    about=_sku,
    figures=_available,
)
SOLD_OUT = Edge(
    id="sold_out",
    source="INV-3",
    severity=Severity.CRITICAL,
    role=Role.SPECIALIST,
    zh="{name}: 已售罄",
    en="{name}: sold out",
    group="stock",
    scopes=("category", "sku"),
    fires=StockSoldOut,
    recovers=StockBackIn,
    about=_sku,
    figures=_available,
)
OVERSOLD = Edge(
    id="oversold",
    source="INV-5",
    severity=Severity.CRITICAL,
    role=Role.LOGISTICS,
    zh="{name}: 超卖 {short} 件, 影响 {orders} 个订单",
    en="{name}: oversold by {short}, {orders} orders affected",
    scopes=("category", "sku"),
    fires=StockOversold,
    about=_sku,
    figures=_short,
)
STOCK_MISMATCH = Edge(
    id="stock_mismatch",
    source="INV-11",
    severity=Severity.CRITICAL,
    role=Role.LOGISTICS,
    zh="{name}: 库存对不上, 应为 {expected}, 实为 {found}",
    en="{name}: stock does not agree, expected {expected}, found {found}",
    scopes=("category", "sku"),
    fires=StockMismatched,
    about=_sku,
    figures=_mismatch,
)
COUNT_DISCREPANCY = Edge(
    id="count_discrepancy",
    source="INV-10",
    role=Role.LOGISTICS,
    zh="盘点 {count_id}: {differences} 个商品与账面不符, 共差 {units} 件",
    en="Count {count_id}: {differences} SKUs differ from the ledger, by {units} units in all",
    parameters={"tolerance": 0},
    fires=StockCounted,
    about=_count,
    figures=_differences,
    breaches=_past_tolerance,
)
COUNT_MISSING = Deadline(
    id="count_missing",
    source="INV-2",
    role=Role.LOGISTICS,
    zh="{day}: {deadline} 前未收到 ERP 或仓库的库存数据",
    en="{day}: no stock data from the ERP or warehouse by {deadline}",
    parameters={"hour": 17},
    topic="inventory",
    daily=True,
)
LOCK_INCOMPLETE = Deadline(
    id="lock_incomplete",
    source="INV-7",
    role=Role.SPECIALIST,
    zh="活动 {campaign}: 库存锁定不足, 应锁 {wanted} 件, 已锁 {locked} 件",
    en="Campaign {campaign}: stock not fully locked, {locked} of {wanted} units",
    parameters={"lead_days": 3},
    scopes=("campaign",),
    topic="inventory",
)
REORDER_DUE = Deadline(
    id="reorder_due",
    source="INV-8",
    severity=Severity.INFO,
    role=Role.SPECIALIST,
    zh="{name}: 库存可售 {cover_days} 天, 补货周期 {lead_days} 天, 建议补货 {quantity} 件",
    en="{name}: {cover_days} days of cover, lead time {lead_days} days; reorder {quantity}",
    parameters={"lead_days": 7, "sales_days": 7, "hour": 9},
    scopes=("category", "sku"),
    topic="inventory",
    daily=True,
)
SLOW_MOVER = Deadline(
    id="slow_mover",
    source="INV-9",
    severity=Severity.INFO,
    role=Role.SPECIALIST,
    zh="{name}: {days} 天没有销售, 库存 {on_hand} 件",
    en="{name}: no sale for {days} days, {on_hand} on hand",
    parameters={"days": 30, "hour": 9},
    scopes=("category", "sku"),
    topic="inventory",
    daily=True,
)

RULES = (
    LOW_STOCK,
    SOLD_OUT,
    OVERSOLD,
    COUNT_MISSING,
    COUNT_DISCREPANCY,
    LOCK_INCOMPLETE,
    REORDER_DUE,
    SLOW_MOVER,
    STOCK_MISMATCH,
)
