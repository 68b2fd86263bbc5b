"""The catalogue: every measure that is counted, every figure made of them, each named once.

A new figure is one entry of `KPIS` (KPI-1 to KPI-12); API, validation, completeness, docs and the topics that it
reads follow from it. Formulas are sums of measures, so numerator and denominator stay exact integers until shown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType


class Unit(StrEnum):
    """What a figure's value is measured in."""

    COUNT = "count"
    CENTS = "cents"
    RATIO = "ratio"
    SECONDS = "seconds"
    DAYS = "days"


CHANNELS: tuple[str, ...] = ("natural_search", "paid", "social", "direct", "referral", "other")
"""Channels in the order that settles ties (D39)."""

Kept = frozenset[tuple[str, ...]]
"""Combinations of dimensions that are kept, each sorted by name; the empty one is the store's total."""


def _kept(alone: str, with_channel: str = "") -> Kept:
    pairs = {tuple(sorted(("channel", name))) for name in with_channel.split()}
    return frozenset({(), *((name,) for name in alone.split()), *pairs})


VISITOR_HOURLY = _kept("channel source campaign device", "source campaign device")
"""What traffic measures keep at every grain."""
VISITOR_DAILY = VISITOR_HOURLY | _kept("sku category", "sku")
"""What they keep from the day up: SKUs live inside the visitor's day (D32)."""
ORDER = _kept(
    "channel source campaign sku category customer_kind customer_tier origin",
    "source campaign sku customer_kind origin",
)
"""What order measures keep (D32)."""
WHOLE_ORDER = frozenset(names for names in ORDER if not {"sku", "category"} & set(names))
"""What is kept of what belongs to no line of an order; of distinct customers by the hour."""
TOTAL = _kept("")
"""Only the store's total."""
SERVICE = _kept("class agent customer_tier") | {("agent", "class")}
"""What measures of conversations keep."""
ASKERS = _kept("class agent")
COMPLAINT = _kept("sku")
AD = _kept("channel source campaign sku plan", "source campaign sku")
"""What ad reports keep."""
COST = _kept("campaign sku")
NOTHING: Kept = frozenset()
"""Of what is reported by the day alone, by the hour."""
ATTRIBUTED = frozenset({"channel", "source", "campaign"})
"""Dimensions of an order that come from its visitor's touches when the order does not name them (D29)."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is counted: an integer per bucket and dimension values.

    `distinct` measures are never summed over buckets or dimension values; money is in minor units of one currency.
    """

    name: str
    zh: str
    en: str
    unit: Unit
    topics: tuple[str, ...]
    kept: Kept
    kept_hourly: Kept
    distinct: bool = False
    sampled: bool = False
    """a whole distribution, of which a figure takes a percentile; no figure by itself"""
    of: str = ""
    """another measure that this one is part of: orders of channels that have ad spend (D69)"""
    counted_when_asked: bool = False
    """not kept in buckets: worked out of what it depends on when it is asked for"""
    every_hour: bool = True
    """whether it adds up over the hours; what is reported by the day is in days and longer only"""

    @property
    def adds_up(self) -> bool:
        """Whether its values over hours are its value over the whole."""
        return not (self.distinct or self.sampled or self.of or self.counted_when_asked) and self.every_hour

    def keeps(self, dimensions: tuple[str, ...], hourly: bool) -> bool:
        """Whether values by these dimensions (sorted) exist at this grain."""
        return dimensions in (self.kept_hourly if hourly else self.kept)


def _traffic(name: str, zh: str, en: str, *, by_sku: bool = True, distinct: bool = False) -> Measure:
    kept = VISITOR_DAILY if by_sku else VISITOR_HOURLY
    return Measure(name, zh, en, Unit.COUNT, ("traffic",), kept, VISITOR_HOURLY, distinct)


def _order(
    name: str,
    zh: str,
    en: str,
    unit: Unit = Unit.COUNT,
    *,
    kept: Kept = ORDER,
    distinct: bool = False,
    topics: str = "orders",
) -> Measure:
    return Measure(name, zh, en, unit, tuple(topics.split()), kept, WHOLE_ORDER if distinct else kept, distinct)


def _service(name: str, zh: str, en: str, unit: Unit = Unit.COUNT, *, topics: str = "service") -> Measure:
    return Measure(name, zh, en, unit, tuple(topics.split()), SERVICE, SERVICE)


def _ad(name: str, zh: str, en: str, unit: Unit = Unit.COUNT) -> Measure:
    return Measure(name, zh, en, unit, ("marketing",), AD, AD, every_hour=False)


def _attributed(name: str, zh: str, en: str, of: str, unit: Unit = Unit.COUNT) -> Measure:
    kept = AD - {("plan",)}
    return Measure(name, zh, en, unit, ("marketing", "orders", "traffic"), kept, kept, of=of)


def _asker(name: str, zh: str, en: str, topics: str) -> Measure:
    return Measure(name, zh, en, Unit.COUNT, tuple(topics.split()), ASKERS, ASKERS, distinct=True)


def _cost(name: str, zh: str, en: str) -> Measure:
    return Measure(name, zh, en, Unit.CENTS, ("marketing",), COST, NOTHING, every_hour=False)


def _counted(name: str, zh: str, en: str, unit: Unit, topics: str, kept: Kept) -> Measure:
    return Measure(name, zh, en, unit, tuple(topics.split()), kept, NOTHING, counted_when_asked=True)


MEASURES: tuple[Measure, ...] = (
    # traffic events, by the visitor's first touch in the bucket
    _traffic("pv", "浏览量", "page views"),
    _traffic("uv", "独立访客", "distinct visitors", distinct=True),
    _traffic("cart_adds", "加购次数", "additions to a cart"),
    _traffic("cart_visitors", "加购访客", "visitors who added to a cart", distinct=True),
    _traffic("favorites", "收藏次数", "favourites"),
    _traffic("favorite_visitors", "收藏访客", "visitors who favourited", distinct=True),
    _traffic("fav_or_cart_visitors", "收藏或加购访客", "visitors who favourited or added to a cart", distinct=True),
    _traffic("checkout_visitors", "结算访客", "visitors who started a checkout", by_sku=False, distinct=True),
    _traffic("product_visitors", "商品页访客", "visitors who saw a product page", distinct=True),
    _traffic("sessions", "会话数", "sessions started (30 idle minutes end one)", by_sku=False),
    _traffic("bounces", "跳出会话", "sessions with one page view", by_sku=False),
    Measure(
        "sessions_converted",
        "下单会话",
        "sessions with a placed order",
        Unit.COUNT,
        ("traffic", "orders"),
        VISITOR_HOURLY,
        VISITOR_HOURLY,
    ),
    Measure("excluded_bots", "排除的机器人事件", "events of bots left out", Unit.COUNT, ("traffic",), TOTAL, TOTAL),
    Measure("excluded_staff", "排除的员工事件", "events of staff left out", Unit.COUNT, ("traffic",), TOTAL, TOTAL),
    # order events, at the hour of placing
    _order("orders_placed", "下单数", "orders placed, of every origin"),
    _order("orders_placed_here", "本店流量下单数", "orders placed whose origin has its traffic here"),
    _order("orders_placed_paid", "下单后已付款", "orders placed in the bucket that were paid, whenever"),
    _order("orders_cancelled", "取消订单数", "orders cancelled"),
    _order("gmv", "成交总额", "total of placed orders with later amendments, at placing", Unit.CENTS),
    # at the hour of payment
    _order("orders_paid", "付款订单数", "orders paid"),
    _order("buyers_paid", "付款买家数", "distinct customers with a paid order", distinct=True),
    _order(
        "buyers_paid_here", "本店流量付款买家数", "distinct customers paying an order with traffic here", distinct=True
    ),
    _order("units_paid", "付款件数", "units paid"),
    _order("paid_amount", "付款金额", "paid, with shipping, refunds not removed", Unit.CENTS),
    _order("items_amount", "商品金额", "paid goods after discounts, without shipping", Unit.CENTS),
    _order("cost_amount", "商品成本", "units paid x unit cost at the time", Unit.CENTS, topics="orders catalog"),
    _order(
        "covered_items_amount",
        "成本已知的商品金额",
        "paid goods whose cost is known",
        Unit.CENTS,
        topics="orders catalog",
    ),
    _order("first_orders", "新客首单数", "first paid order ever of a customer"),
    _order("first_orders_amount", "新客首单金额", "paid in first orders", Unit.CENTS),
    _order("returning_orders", "老客订单数", "paid orders of customers who paid before"),
    _order("returning_orders_365d", "365 天老客订单数", "paid orders of customers who paid in the 365 days before"),
    _order("returning_orders_30d", "30 天老客订单数", "paid orders of customers who paid in the 30 days before"),
    _order("returning_amount", "老客付款金额", "paid by customers who paid before", Unit.CENTS),
    _order("refund_amount_order_day", "退款金额(按付款日)", "refunds, booked back to the order's payment", Unit.CENTS),
    _order(
        "refund_items_amount_order_day",
        "商品退款金额(按付款日)",
        "refunds of goods, booked back to the order's payment",
        Unit.CENTS,
    ),
    _order("orders_returned_order_day", "退货订单数(按付款日)", "orders returned, booked back to the order's payment"),
    # at the hour of the payment attempt, refund, return, shipment
    _order("payments_tried", "支付次数", "payments tried", kept=WHOLE_ORDER),
    _order("payments_succeeded", "支付成功次数", "payments that succeeded", kept=WHOLE_ORDER),
    _order("refund_amount", "退款金额", "refunds by refund day", Unit.CENTS),
    _order("refund_items_amount", "商品退款金额", "refunds of goods by refund day", Unit.CENTS),
    _order("refunds", "退款笔数", "refunds"),
    _order("disputes", "纠纷数", "refunds that were disputes"),
    _order("returns_requested", "申请退货数", "returns requested"),
    _order("orders_returned", "退货订单数", "orders at their first goods received back"),
    _order("orders_shipped", "发货订单数", "orders at their last line's shipment", kept=WHOLE_ORDER),
    _order(
        "orders_shipped_on_time", "按时发货订单数", "orders due in the bucket that shipped by then", kept=WHOLE_ORDER
    ),
    _order("orders_due_to_ship", "应发货订单数", "orders due to ship in the bucket, shipped or not", kept=WHOLE_ORDER),
    _order("orders_delivered", "签收订单数", "orders delivered", kept=WHOLE_ORDER),
    _order("delivery_seconds", "配送时长", "seconds from first shipment to delivery", Unit.SECONDS, kept=WHOLE_ORDER),
    _order("freight_amount", "运费支出", "freight of shipments", Unit.CENTS),
    _order("orders_reviewed", "已审订单数", "orders that passed review, at that moment", kept=WHOLE_ORDER),
    _order("orders_reviewed_on_time", "按时审单数", "those of them within the limit", kept=WHOLE_ORDER),
    _order(
        "orders_delivered_wrong",
        "错发漏发订单数",
        "orders delivered with a return or complaint for wrong or missing goods",
        kept=WHOLE_ORDER,
        topics="orders service",
    ),
    # at the hour of a customer's first payment
    Measure(
        "cohort_customers", "首购客户数", "customers by their first payment", Unit.COUNT, ("orders",), TOTAL, TOTAL
    ),
    Measure(
        "cohort_repurchased_30d",
        "30 天内复购客户数",
        "those of them who paid again within 30 days",
        Unit.COUNT,
        ("orders",),
        TOTAL,
        TOTAL,
    ),
    # of the customer service, at the moment the customer asked
    _service("conversations", "会话咨询数", "conversations opened"),
    _service("first_responses_due", "首响到期数", "first responses met or breached, given or not", topics="alerts"),
    _service("first_responses", "首次响应数", "conversations that a person answered", topics="alerts"),
    _service("first_response_seconds", "首次响应时长", "seconds to the first response", Unit.SECONDS, topics="alerts"),
    _service("first_responses_in_time", "首响达标数", "first responses within the limit", topics="alerts"),
    Measure(
        "first_response_times",
        "首次响应时长分布",
        "every first response's seconds",
        Unit.SECONDS,
        ("alerts",),
        SERVICE,
        SERVICE,
        sampled=True,
    ),
    _service("resolved", "已解决数", "those of the conversations opened that were solved"),
    _service("resolution_seconds", "解决时长", "seconds to their solution", Unit.SECONDS, topics="alerts service"),
    _service("resolved_in_time", "按时解决数", "those solved within the limit", topics="alerts service"),
    _service("ratings", "评价数", "ratings given"),
    _service("rating_sum", "评分合计", "sum of the ratings' 1 to 5"),
    _service("ratings_good", "好评数", "ratings of 4 or 5"),
    _asker("askers", "询单人数", "distinct customers who opened a conversation", "service"),
    _asker("askers_who_paid", "询单成交人数", "those who paid within 24 h after asking", "orders service"),
    Measure("complaints", "投诉数", "complaints filed", Unit.COUNT, ("service",), COMPLAINT, COMPLAINT),
    Measure("complaints_resolved", "已处理投诉数", "those settled", Unit.COUNT, ("service",), COMPLAINT, COMPLAINT),
    Measure(
        "complaints_in_time",
        "按时处理投诉数",
        "those settled within 24 h",
        Unit.COUNT,
        ("service",),
        COMPLAINT,
        COMPLAINT,
    ),
    # brought by people and files; what is reported by the day is in days and longer
    _ad("impressions", "展现量", "ad impressions"),
    _ad("clicks", "点击量", "ad clicks"),
    _ad("ad_spend", "推广花费", "ad spend", Unit.CENTS),
    _attributed("attributed_orders", "推广成交订单数", "paid orders of channels with ad spend", "orders_paid"),
    _attributed("attributed_paid_amount", "推广成交金额", "paid in these orders", "paid_amount", Unit.CENTS),
    _cost("platform_fees", "平台费用", "platform fees entered"),
    _cost("entered_costs", "录入成本", "staff, freight and other costs entered"),
    # of stock
    Measure("count_lines", "盘点行数", "lines of stock counts", Unit.COUNT, ("inventory",), TOTAL, TOTAL),
    Measure(
        "count_lines_exact", "盘点相符行数", "lines without a difference", Unit.COUNT, ("inventory",), TOTAL, TOTAL
    ),
    _counted(
        "stock_value",
        "平均库存金额",
        "stock on hand x unit cost, average of the days' ends",
        Unit.CENTS,
        "catalog inventory",
        _kept("sku"),
    ),
    _counted(
        "campaign_units_sold",
        "活动销售件数",
        "units of a campaign's SKUs paid while it lasts, at its start",
        Unit.COUNT,
        "marketing orders",
        _kept("campaign"),
    ),
    _counted(
        "campaign_units_at_start",
        "活动开始时库存件数",
        "sellable units of its SKUs at its start",
        Unit.COUNT,
        "inventory marketing",
        _kept("campaign"),
    ),
)

MEASURE: Mapping[str, Measure] = MappingProxyType({measure.name: measure for measure in MEASURES})


@dataclass(frozen=True, slots=True)
class Sum:
    """A signed sum of measures, such as `items_amount - refund_items_amount`."""

    terms: tuple[tuple[int, str], ...]

    @classmethod
    def parse(cls, text: str) -> "Sum":
        """Reads `a - b + c`; every name must be a measure (KeyError otherwise)."""
        signs, terms = {"+": 1, "-": -1}, []
        sign = 1
        for word in text.split():
            if word in signs:
                sign = signs[word]
            else:
                terms.append((sign, MEASURE[word].name))
        return cls(tuple(terms))

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of its measures, in order."""
        return tuple(name for _, name in self.terms)

    def of(self, values: Mapping[str, int]) -> int:
        """The sum over these values; a missing one is zero."""
        total = 0
        for sign, name in self.terms:
            total += sign * values.get(name, 0)
        return total

    def __str__(self) -> str:
        first = True
        parts: list[str] = []
        for sign, name in self.terms:
            parts.append(("" if sign > 0 else "-") + name if first else f"{'+' if sign > 0 else '-'} {name}")
            first = False
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Kpi:
    """One figure with one definition: numerator and, for ratios and averages, a denominator.

    `total_over` names dimensions that the denominator ignores (a share of the whole). `matures` is the time after a
    bucket's end until which its value still grows by nature. `coverage` says which share of the numerator's ground
    is known. Names are in both languages; `variants` are ids that the trade uses for the same word.
    """

    id: str
    zh: str
    en: str
    unit: Unit
    numerator: Sum
    denominator: Sum | None = None
    version: int = 1
    total_over: tuple[str, ...] = ()
    matures: timedelta = timedelta(0)
    coverage: tuple[Sum, Sum] | None = None
    variants: tuple[str, ...] = ()
    note: str = ""
    rule: str = ""
    percentile: int | None = None
    """of a distribution: the value (nearest rank) of this many of a hundred; the denominator is how many (D34)"""
    since: str = ""
    """the day from which on this version is the definition"""

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of all measures that it reads, once each."""
        sums = [self.numerator, *([self.denominator] if self.denominator else []), *(self.coverage or ())]
        return tuple(dict.fromkeys(name for part in sums for name in part.measures))

    def topics(self, by: Iterable[str] = ()) -> tuple[str, ...]:
        """Topics whose watermarks decide whether a bucket of it is complete; attribution to a channel reads traffic."""
        read = {topic for name in self.measures for topic in MEASURE[name].topics}
        return tuple(sorted(read | ({"traffic"} if set(by) & ATTRIBUTED else set())))

    @property
    def money(self) -> bool:
        """Whether it reads amounts, so that an answer is of one currency."""
        return any(MEASURE[name].unit is Unit.CENTS for name in self.measures)

    def kept(self, hourly: bool = False) -> Kept:
        """Combinations of dimensions that all of its measures keep at this grain."""
        return frozenset.intersection(
            *((MEASURE[name].kept_hourly if hourly else MEASURE[name].kept) for name in self.measures)
        )

    @property
    def formula(self) -> str:
        """The formula as printed in the catalogue."""
        if self.percentile is not None:
            return f"{self.percentile}th percentile of {self.numerator}"
        if self.denominator is None:
            return str(self.numerator)
        over = f" (over all of {', '.join(self.total_over)})" if self.total_over else ""
        top = f"({self.numerator})" if len(self.numerator.terms) > 1 else str(self.numerator)
        return f"{top} / {self.denominator}{over}"


def _base(measure: Measure) -> Kpi:
    """Every measure is a figure of its own: its value, no denominator."""
    return Kpi(measure.name, measure.zh, measure.en, measure.unit, Sum.parse(measure.name))


def _ratio(
    key: str,
    zh: str,
    en: str,
    numerator: str,
    denominator: str,
    *,
    unit: Unit = Unit.RATIO,
    total_over: tuple[str, ...] = (),
    matures: timedelta = timedelta(0),
    coverage: tuple[str, str] | None = None,
    note: str = "",
    rule: str = "",
) -> Kpi:
    top, bottom = Sum.parse(numerator), Sum.parse(denominator)
    return Kpi(key, zh, en, unit, top, bottom, 1, total_over, matures, _coverage(coverage), (), note, rule)


def _coverage(given: tuple[str, str] | None) -> tuple[Sum, Sum] | None:
    return (Sum.parse(given[0]), Sum.parse(given[1])) if given else None


def _sum(
    key: str, zh: str, en: str, formula: str, *, rule: str, coverage: tuple[str, str] | None = None, note: str = ""
) -> Kpi:
    return Kpi(key, zh, en, Unit.CENTS, Sum.parse(formula), coverage=_coverage(coverage), note=note, rule=rule)


def _percentile(key: str, zh: str, en: str, measure: str, share: int, *, rule: str) -> Kpi:
    return Kpi(key, zh, en, Unit.SECONDS, Sum.parse(measure), rule=rule, percentile=share, note="nearest rank")


_PROFIT = (
    "items_amount - refund_items_amount_order_day - cost_amount - ad_spend - freight_amount - platform_fees"
    " - entered_costs"
)
_COSTS_KNOWN = ("covered_items_amount", "items_amount")


DAY = timedelta(days=1)

FIGURES: tuple[Kpi, ...] = (
    _ratio("pv_per_uv", "人均浏览量", "page views per visitor", "pv", "uv", rule="KPI-1"),
    _ratio(
        "channel_share",
        "渠道占比",
        "share of visitors by channel",
        "uv",
        "uv",
        total_over=("channel",),
        note="sums to 100 %: each visitor has one channel in the bucket",
        rule="KPI-1",
    ),
    _ratio("bounce_rate", "跳出率", "bounce rate", "bounces", "sessions", rule="KPI-1"),
    _ratio(
        "conversion.order_uv",
        "订单转化率",
        "orders per visitor",
        "orders_placed_here",
        "uv",
        note="default; counts orders whose origin has its traffic here",
        rule="KPI-2",
    ),
    _ratio(
        "conversion.buyer_uv",
        "支付转化率",
        "paying customers per visitor",
        "buyers_paid_here",
        "uv",
        note="as marketplaces report it",
        rule="KPI-2",
    ),
    _ratio(
        "conversion.session",
        "会话转化率",
        "sessions with an order per session",
        "sessions_converted",
        "sessions",
        note="as Shopify reports it: an order from its start to 30 min after its last event",
        rule="KPI-2",
    ),
    _ratio("cart_rate", "加购率", "add-to-cart rate", "cart_visitors", "uv", rule="KPI-2"),
    _ratio(
        "payment_success",
        "支付成功率",
        "placed orders that were paid",
        "orders_placed_paid",
        "orders_placed",
        matures=DAY,
        note="default",
        rule="KPI-2",
    ),
    _ratio(
        "payment_success.attempts",
        "支付尝试成功率",
        "payment attempts that succeeded",
        "payments_succeeded",
        "payments_tried",
        rule="KPI-2",
    ),
    _ratio(
        "aov",
        "客单价",
        "average order value",
        "paid_amount",
        "orders_paid",
        unit=Unit.CENTS,
        note="default; per order",
        rule="KPI-5",
    ),
    _ratio(
        "aov.buyer",
        "人均客单价",
        "average value per buyer",
        "paid_amount",
        "buyers_paid",
        unit=Unit.CENTS,
        note="as marketplaces report it",
        rule="KPI-5",
    ),
    _ratio(
        "aov.returning",
        "老客客单价",
        "average order value of returning customers",
        "returning_amount",
        "returning_orders",
        unit=Unit.CENTS,
        rule="KPI-3",
    ),
    _sum(
        "net_sales", "净销售额", "net sales by order day", "items_amount - refund_items_amount_order_day", rule="KPI-5"
    ),
    _sum(
        "net_sales.refund_day",
        "净销售额(按退款日)",
        "net sales by refund day",
        "items_amount - refund_items_amount",
        rule="KPI-5",
    ),
    _ratio(
        "gross_margin",
        "毛利率",
        "gross margin",
        "covered_items_amount - cost_amount",
        "covered_items_amount",
        coverage=("covered_items_amount", "items_amount"),
        note="over the sales whose cost is known; `covered` is their share",
        rule="KPI-5",
    ),
    _ratio(
        "refund_rate",
        "退款率",
        "refund rate by order day",
        "refund_amount_order_day",
        "paid_amount",
        matures=30 * DAY,
        rule="KPI-4",
    ),
    _ratio(
        "refund_rate.refund_day",
        "退款率(按退款日)",
        "refund rate by refund day",
        "refund_amount",
        "paid_amount",
        rule="KPI-4",
    ),
    _ratio(
        "return_rate",
        "退货率",
        "return rate by order day",
        "orders_returned_order_day",
        "orders_paid",
        matures=30 * DAY,
        rule="KPI-4",
    ),
    _ratio(
        "return_rate.return_day",
        "退货率(按退货日)",
        "return rate by return day",
        "orders_returned",
        "orders_paid",
        rule="KPI-4",
    ),
    _ratio("dispute_rate", "纠纷率", "dispute rate", "disputes", "orders_paid", rule="KPI-4"),
    _ratio("new_customer_share", "新客占比", "share of first orders", "first_orders", "orders_paid", rule="KPI-3"),
    _ratio(
        "new_customer_share.amount",
        "新客销售占比",
        "share of first orders by amount",
        "first_orders_amount",
        "paid_amount",
        rule="KPI-3",
    ),
    _ratio(
        "returning_share",
        "老客占比",
        "share of returning customers' orders",
        "returning_orders",
        "orders_paid",
        rule="KPI-3",
    ),
    _ratio(
        "returning_share.365d",
        "老客占比(365 天)",
        "share of orders of customers who paid in the 365 days before",
        "returning_orders_365d",
        "orders_paid",
        rule="KPI-3",
    ),
    _ratio(
        "returning_share.30d",
        "老客占比(30 天)",
        "share of orders of customers who paid in the 30 days before",
        "returning_orders_30d",
        "orders_paid",
        rule="KPI-3",
    ),
    _ratio(
        "repurchase_30d",
        "30 天复购率",
        "customers who paid again within 30 days of their first payment",
        "cohort_repurchased_30d",
        "cohort_customers",
        matures=30 * DAY,
        note="by the day or month of the first payment; shown with what is known so far until it is 30 days old",
        rule="KPI-3",
    ),
    _ratio(
        "on_time_shipping",
        "发货及时率",
        "on-time shipping",
        "orders_shipped_on_time",
        "orders_due_to_ship",
        rule="ORD-4",
    ),
    _ratio(
        "delivery_time_avg",
        "平均配送时长",
        "average delivery time",
        "delivery_seconds",
        "orders_delivered",
        unit=Unit.SECONDS,
        rule="KPI-10",
    ),
    _ratio(
        "logistics_cost_per_order",
        "单均物流成本",
        "freight per shipped order",
        "freight_amount",
        "orders_shipped",
        unit=Unit.CENTS,
        rule="KPI-10",
    ),
    _ratio(
        "delivery_accuracy",
        "配送准确率",
        "orders delivered without wrong or missing goods",
        "orders_delivered - orders_delivered_wrong",
        "orders_delivered",
        note="1 - orders with a return or complaint for `wrong_goods` or `missing_goods`",
        rule="KPI-10",
    ),
    _ratio("stock_accuracy", "库存准确率", "count lines without a difference", "count_lines_exact", "count_lines"),
    _ratio(
        "review_on_time",
        "审单及时率",
        "orders reviewed within the limit",
        "orders_reviewed_on_time",
        "orders_reviewed",
        note="30 min",
        rule="ORD-1",
    ),
    _ratio(
        "stock_turnover",
        "库存周转率",
        "cost of goods sold per average stock value",
        "cost_amount",
        "stock_value",
        note="for the bucket's own length",
        rule="INV-12",
    ),
    _ratio(
        "stock_cleared",
        "库存清理率",
        "campaign units sold of the sellable units at its start",
        "campaign_units_sold",
        "campaign_units_at_start",
        note="in the bucket of the campaign's start",
        rule="KPI-9",
    ),
    _ratio(
        "new_product_interest",
        "新品收藏加购率",
        "visitors who favourite or add to a cart of those who saw the product page",
        "fav_or_cart_visitors",
        "product_visitors",
        note="by SKU; GET /v1/new-products gives the first 3 days after listing",
        rule="KPI-7",
    ),
    # customer service
    _ratio("complaint_rate", "投诉率", "complaint rate", "complaints", "orders_paid", rule="KPI-4"),
    _ratio("csat", "客户满意度", "average rating, 1 to 5", "rating_sum", "ratings", rule="SRV-7"),
    _ratio("csat.good", "好评率", "share of ratings 4 and 5", "ratings_good", "ratings", rule="SRV-7"),
    _ratio(
        "first_response_avg",
        "平均首次响应时长",
        "average first response",
        "first_response_seconds",
        "first_responses",
        unit=Unit.SECONDS,
        note="in the service hours of policy `default`",
        rule="SRV-7",
    ),
    _percentile(
        "first_response_p50", "首次响应时长中位数", "median first response", "first_response_times", 50, rule="SRV-7"
    ),
    _percentile(
        "first_response_p90",
        "首次响应时长 90 分位",
        "90th percentile of the first response",
        "first_response_times",
        90,
        rule="SRV-7",
    ),
    _ratio(
        "sla_met",
        "首响达标率",
        "first responses within the limit",
        "first_responses_in_time",
        "first_responses_due",
        note="of those met or breached; one never given is breached",
        rule="SRV-1",
    ),
    _ratio(
        "resolution_rate",
        "问题解决率",
        "conversations solved",
        "resolved",
        "conversations",
        matures=DAY,
        note="of those opened in the bucket; until the limit is over some may still be waiting",
        rule="SRV-7",
    ),
    _ratio(
        "resolution_time_avg",
        "平均解决时长",
        "average time to the solution",
        "resolution_seconds",
        "resolved",
        unit=Unit.SECONDS,
        rule="SRV-3",
    ),
    _ratio(
        "ask_to_buy",
        "询单转化率",
        "askers who paid within 24 h",
        "askers_who_paid",
        "askers",
        matures=DAY,
        note="askers of every class; `by=class` gives those before the sale",
        rule="SRV-7",
    ),
    # advertising
    _ratio("ctr", "点击率", "clicks per impression", "clicks", "impressions", rule="KPI-6"),
    _ratio("cpc", "平均点击花费", "spend per click", "ad_spend", "clicks", unit=Unit.CENTS, rule="KPI-6"),
    _ratio("cvr", "点击转化率", "attributed orders per click", "attributed_orders", "clicks", rule="KPI-6"),
    _ratio(
        "cpa",
        "单均推广成本",
        "spend per attributed order",
        "ad_spend",
        "attributed_orders",
        unit=Unit.CENTS,
        rule="KPI-6",
    ),
    _ratio(
        "roas",
        "投入产出比",
        "paid in attributed orders per spend",
        "attributed_paid_amount",
        "ad_spend",
        note="ROI 1:3 is 3.0",
        rule="KPI-6",
    ),
    # profit
    _sum(
        "operating_profit",
        "经营利润",
        "net sales less goods, ads, freight, fees and entered costs",
        _PROFIT,
        coverage=_COSTS_KNOWN,
        note="`covered` is the share of sales whose cost is known",
        rule="KPI-11",
    ),
    _ratio(
        "net_margin",
        "净利率",
        "operating profit per net sales",
        _PROFIT,
        "items_amount - refund_items_amount_order_day",
        coverage=_COSTS_KNOWN,
        rule="KPI-11",
    ),
)


def _family(key: str) -> str:
    return key.split(".")[0]


def _with_variants(figures: Iterable[Kpi]) -> tuple[Kpi, ...]:
    """Fills `variants`: the other ids before whose dot stands the same word."""
    listed = list(figures)
    return tuple(
        replace(kpi, variants=tuple(k.id for k in listed if k is not kpi and _family(k.id) == _family(kpi.id)))
        for kpi in listed
    )


KPIS: tuple[Kpi, ...] = _with_variants((*(_base(measure) for measure in MEASURES if not measure.sampled), *FIGURES))


def find_kpi(key: str, version: int | None = None) -> Kpi | None:
    """The definition with this id: its newest version, or exactly the one asked for; None when there is none."""
    found = [kpi for kpi in KPIS if kpi.id == key and version in (None, kpi.version)]
    return max(found, key=lambda kpi: kpi.version, default=None)
