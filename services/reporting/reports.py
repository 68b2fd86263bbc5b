"""The catalogue of reports: what stands in each, in which order, under which names.

A figure of a section is one line here; JSON, page, spreadsheet and CSV follow from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

CHANNELS: tuple[str, ...] = ("natural_search", "paid", "social", "direct", "referral", "other")
"""In the order that settles ties of the main source (D39)."""


class Shown(StrEnum):
    """How a figure is written for people."""

    COUNT = "count"
    MONEY = "money"
    AVERAGE = "average"
    PERCENT = "percent"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure by its KPI id: a measure, or a ratio of two measures of a bucket."""

    kpi: str
    zh: str
    en: str
    shown: Shown
    numerator: tuple[str, ...]
    denominator: str | None = None
    minus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that belong together under a heading."""

    id: str
    zh: str
    en: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the daily report (template 3, RPT-1)."""

    id: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Report:
    """A kind of report, over one grain of store time."""

    id: str
    grain: str
    zh: str
    en: str
    columns: tuple[Column, ...]
    sections: tuple[Section, ...]


def _measure(kpi: str, zh: str, en: str, shown: Shown = Shown.COUNT) -> Figure:
    return Figure(kpi, zh, en, shown, (kpi,))


CONVERSION = Figure(
    "conversion.order_uv", "订单转化率", "Conversion (orders / UV)", Shown.PERCENT, ("orders_placed_here",), "uv"
)
AOV = Figure("aov", "客单价(元)", "AOV", Shown.AVERAGE, ("paid_amount",), "orders_paid")

DAILY = Report(
    id="daily",
    grain="day",
    zh="运营日报",
    en="Daily report",
    columns=(
        Column("date", "日期", "Date"),
        Column("uv", "UV", "UV"),
        Column("pv", "PV", "PV"),
        Column("orders", "订单数", "Orders"),
        Column("conversion", "转化率", "Conversion"),
        Column("aov", "客单价(元)", "AOV"),
        Column("main_source", "主要流量来源", "Main traffic source"),
        Column("notes", "异常说明", "Anomaly note"),
    ),
    sections=(
        Section(
            "traffic",
            "流量",
            "Traffic",
            (
                _measure("uv", "独立访客 UV", "Visitors (UV)"),
                _measure("pv", "浏览量 PV", "Page views (PV)"),
                _measure("sessions", "会话数", "Sessions"),
                Figure("bounce_rate", "跳出率", "Bounce rate", Shown.PERCENT, ("bounces",), "sessions"),
            ),
        ),
        Section(
            "conversion",
            "转化",
            "Conversion",
            (
                CONVERSION,
                Figure("cart_rate", "加购率", "Add-to-cart rate", Shown.PERCENT, ("cart_visitors",), "uv"),
                Figure(
                    "payment_success",
                    "支付成功率",
                    "Payment success",
                    Shown.PERCENT,
                    ("orders_placed_paid",),
                    "orders_placed",
                ),
            ),
        ),
        Section(
            "sales",
            "销售",
            "Sales",
            (
                _measure("orders_placed", "下单数", "Orders placed"),
                _measure("orders_paid", "付款订单数", "Orders paid"),
                _measure("units_paid", "付款件数", "Units paid"),
                _measure("gmv", "成交总额 GMV", "GMV", Shown.MONEY),
                _measure("paid_amount", "付款金额", "Paid amount", Shown.MONEY),
                _measure("items_amount", "商品金额", "Goods amount", Shown.MONEY),
                AOV,
                _measure("refund_amount", "退款金额(退款日)", "Refunds (by refund day)", Shown.MONEY),
                Figure(
                    "net_sales",
                    "净销售额(付款日)",
                    "Net sales (by order day)",
                    Shown.MONEY,
                    ("items_amount",),
                    None,
                    ("refund_items_amount_order_day",),
                ),
                Figure(
                    "new_customer_share",
                    "新客占比",
                    "New-customer share",
                    Shown.PERCENT,
                    ("first_orders",),
                    "orders_paid",
                ),
            ),
        ),
    ),
)

WEEKLY = replace(DAILY, id="weekly", grain="week", zh="运营周报", en="Weekly report")
MONTHLY = replace(DAILY, id="monthly", grain="month", zh="运营月报", en="Monthly report")

REPORTS: tuple[Report, ...] = (DAILY, WEEKLY, MONTHLY)
REPORT: Mapping[str, Report] = {report.id: report for report in REPORTS}
REPORT_OF_GRAIN: Mapping[str, Report] = {report.grain: report for report in REPORTS}


def measures_of(report: Report) -> frozenset[str]:
    """Every measure that the report is made of."""
    figures = [figure for section in report.sections for figure in section.figures]
    return frozenset(
        name
        for figure in figures
        for name in (*figure.numerator, *figure.minus, *([figure.denominator] if figure.denominator else []))
    )
