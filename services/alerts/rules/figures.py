"""Rules about figures (ALR-1 to 7, 10, 17): windows against their level, and figures against each other."""

from services.alerts.rules.shapes import Comparison, Figures, Level, Numbers, Role, Severity, Verdict, WindowRatio
from services.alerts.statistics import poisson_at_least, poisson_at_most

_SAMPLE = {"minimum_uv": 200, "minimum_expected": 10, "probability": 0.01}

CONVERSION_BELOW_TARGET = WindowRatio(
    id="conversion_below_target",
    source="ALR-1",
    role=Role.SPECIALIST,
    zh="{name}转化率 {ratio}, 低于目标 {target} ({window})",
    en="{name}conversion {ratio}, below the target of {target} ({window})",
    group="conversion",
    parameters={"share": 0.2, **_SAMPLE},
    scopes=("channel", "campaign", "sku"),
    metric="conversion.order_uv",
    numerator="orders_placed_here",
    denominator="uv",
)
CONVERSION_DROP = WindowRatio(
    id="conversion_drop",
    source="ALR-2",
    role=Role.SPECIALIST,
    zh="{name}转化率降至 {ratio}, 平时 {level} ({window})",
    en="{name}conversion fell to {ratio}, usually {level} ({window})",
    group="conversion",
    parameters={"share": 0.5, **_SAMPLE},
    scopes=("channel", "campaign", "sku"),
    metric="conversion.order_uv",
    numerator="orders_placed_here",
    denominator="uv",
    level=Level.USUAL,
)
TRAFFIC_DROP = WindowRatio(
    id="traffic_drop",
    source="ALR-17",
    role=Role.PROMOTION,
    zh="{name}访客 {numerator}, 平时 {expected} ({window})",
    en="{name}{numerator} visitors, usually {expected} ({window})",
    parameters={"share": 0.3, "minimum_expected": 200, "probability": 0.01},
    scopes=("channel", "campaign"),
    metric="uv",
    numerator="uv",
    level=Level.USUAL,
    by=("", "channel", "campaign"),
)
BOUNCE_HIGH = WindowRatio(
    id="bounce_high",
    source="ALR-17",
    role=Role.SPECIALIST,
    zh="{name}跳出率 {ratio}, 平时 {level} ({window})",
    en="{name}bounce rate {ratio}, usually {level} ({window})",
    parameters={"share": 0.5, **_SAMPLE},
    scopes=("channel", "campaign"),
    metric="bounce_rate",
    numerator="bounces",
    denominator="sessions",
    level=Level.USUAL,
    by=("", "channel", "campaign"),
    rises=True,
)


def _below(top: float, threshold: float, level: float, *, is_rare: bool = True) -> Verdict:
    """Under the threshold: breached; above it by a tenth of the way to the level: clear."""
    if top <= threshold and is_rare:
        return Verdict.BREACHED
    return Verdict.CLEAR if top >= threshold + (level - threshold) / 10 else Verdict.BETWEEN


def _above(top: float, threshold: float, level: float, *, is_rare: bool = True) -> Verdict:
    if top >= threshold and is_rare:
        return Verdict.BREACHED
    return Verdict.CLEAR if top <= threshold - (threshold - level) / 10 else Verdict.BETWEEN


def _return_on_spend(figures: Figures, numbers: Numbers) -> Verdict:
    if figures["spend_cents"] < numbers["minimum_spend_cents"] or figures["clicks"] < numbers["minimum_clicks"]:
        return Verdict.TOO_LITTLE
    roas = figures["paid_cents"] / figures["spend_cents"] if figures["spend_cents"] else 0.0
    return Verdict.BREACHED if roas < numbers["floor"] else Verdict.CLEAR


def _behind_plan(figures: Figures, numbers: Numbers) -> Verdict:
    if figures["hours"] < numbers["minimum_hours"] or figures["planned"] <= 0:
        return Verdict.TOO_LITTLE
    planned = figures["planned"]
    return _below(figures["actual"], planned * (1 - numbers["share"]), planned)


def _payment_step(figures: Figures, numbers: Numbers) -> Verdict:
    """Many carts, few payments: both far from what is usual, and so few payments that it is no chance."""
    uv, carts, placed, paid = (figures[name] for name in ("uv", "cart_visitors", "orders_placed", "orders_paid"))
    usual_carts, usual_paid = uv * figures["usual_cart_rate"], placed * figures["usual_payment_rate"]
    if uv < numbers["minimum_uv"] or usual_paid < numbers["minimum_expected"]:
        return Verdict.TOO_LITTLE
    rare = poisson_at_most(int(paid), usual_paid) < numbers["probability"]
    few = _below(paid, usual_paid * numbers["payment_factor"], usual_paid, is_rare=rare)
    if few is Verdict.BREACHED and carts < usual_carts * numbers["cart_factor"]:
        return Verdict.BETWEEN
    return few


def _times_the_stores(figures: Figures, numbers: Numbers) -> Verdict:
    """A SKU's rate against the store's: `cases` of `orders`, `store_cases` of `store_orders`."""
    if figures["orders"] < numbers["minimum_orders"] or figures["cases"] < numbers["minimum_cases"]:
        return Verdict.TOO_LITTLE
    usual = figures["orders"] * figures["store_cases"] / max(1, figures["store_orders"])
    rare = poisson_at_least(int(figures["cases"]), usual) < numbers["probability"]
    return _above(figures["cases"], usual * numbers["factor"], usual, is_rare=rare)


def _margin(figures: Figures, numbers: Numbers) -> Verdict:
    if figures["margin"] < numbers["margin"]:
        return Verdict.CLEAR
    usual = figures["uv"] * figures["store_orders"] / max(1, figures["store_uv"])
    if figures["uv"] < numbers["minimum_uv"] or usual < numbers["minimum_expected"]:
        return Verdict.TOO_LITTLE
    rare = poisson_at_most(int(figures["orders"]), usual) < numbers["probability"]
    return _below(figures["orders"], usual * numbers["factor"], usual, is_rare=rare)


def _over_budget(figures: Figures, numbers: Numbers) -> Verdict:
    limit = figures["budget_cents"] * (1 + numbers["share"])
    return Verdict.BREACHED if figures["spend_cents"] > limit else Verdict.CLEAR


def _ahead_of_plan(figures: Figures, numbers: Numbers) -> Verdict:
    limit = figures["planned_cents"] * (1 + numbers["share"])
    return Verdict.BREACHED if figures["spend_cents"] > limit else Verdict.CLEAR


ROAS_BELOW_FLOOR = Comparison(
    id="roas_below_floor",
    source="ALR-3",
    role=Role.PROMOTION,
    zh="{name}投入产出比 {roas}, 低于 {floor} ({day}, 花费 {spend}); 建议暂停或调整出价",
    en="{name}return on ad spend {roas}, under {floor} ({day}, spent {spend}); pause it or change the bid",
    parameters={"floor": 3.0, "minimum_spend_cents": 30_000, "minimum_clicks": 50},
    scopes=("category", "channel", "campaign", "sku"),
    needs=("spend_cents", "clicks", "paid_cents"),
    judge=_return_on_spend,
)
CAMPAIGN_BEHIND_PLAN = Comparison(
    id="campaign_behind_plan",
    source="ALR-4",
    role=Role.LEAD,
    zh="活动 {campaign}: 销售 {actual_text}, 落后于计划 {planned_text} ({behind})",
    en="Campaign {campaign}: sales {actual_text}, {behind} behind the plan of {planned_text}",
    parameters={"share": 0.3, "minimum_hours": 1},
    scopes=("campaign",),
    needs=("actual", "planned", "hours"),
    judge=_behind_plan,
)
PAYMENT_STEP_SUSPECTED = Comparison(
    id="payment_step_suspected",
    source="ALR-5",
    severity=Severity.CRITICAL,
    role=Role.LEAD,
    zh="{name}加购率 {cart_rate} (平时 {usual_carts}), 支付率 {payment_rate} (平时 {usual_payments}): 疑似支付环节异常",
    en="{name}cart rate {cart_rate} (usually {usual_carts}), payment rate {payment_rate} (usually {usual_payments}): "
    "payment step suspected",
    parameters={"cart_factor": 1.2, "payment_factor": 0.7, **_SAMPLE},
    scopes=("channel", "campaign"),
    needs=("uv", "cart_visitors", "orders_placed", "orders_paid", "usual_cart_rate", "usual_payment_rate"),
    judge=_payment_step,
)
_RATES = {"factor": 2, "days": 30, "minimum_orders": 10, "minimum_cases": 3, "probability": 0.01}


def _rate(key: str, zh: str, en: str, role: Role) -> Comparison:
    return Comparison(
        id=key,
        source="ALR-6",
        role=role,
        zh=f"{{name}}: {zh} {{rate}}, 全店 {{store_rate}}",
        en=f"{{name}}: {en} {{rate}}, the store's {{store_rate}}",
        group="after_sale",
        parameters=_RATES,
        scopes=("category", "sku"),
        needs=("cases", "orders", "store_cases", "store_orders"),
        judge=_times_the_stores,
    )


REFUND_RATE_HIGH = _rate("refund_rate_high", "退款率", "refund rate", Role.SPECIALIST)
DISPUTE_RATE_HIGH = _rate("dispute_rate_high", "纠纷率", "dispute rate", Role.SERVICE)
COMPLAINT_RATE_HIGH = _rate("complaint_rate_high", "投诉率", "complaint rate", Role.SERVICE)
MARGIN_WITHOUT_CONVERSION = Comparison(
    id="margin_without_conversion",
    source="ALR-7",
    role=Role.SPECIALIST,
    zh="{name}: 毛利率 {margin_text}, 转化率 {ratio} 不到全店 {store_ratio} 的一半",
    en="{name}: margin {margin_text}, conversion {ratio} against the store's {store_ratio}",
    parameters={"margin": 0.5, "factor": 0.5, **_SAMPLE},
    scopes=("category", "sku"),
    needs=("margin", "orders", "uv", "store_orders", "store_uv"),
    judge=_margin,
)
BUDGET_OVERSPENT = Comparison(
    id="budget_overspent",
    source="ALR-10",
    role=Role.PROMOTION,
    zh="活动 {campaign}: 已花费 {spend}, 超出预算 {budget}",
    en="Campaign {campaign}: {spend} spent, over the budget of {budget}",
    group="budget",
    parameters={"share": 0.05},
    scopes=("campaign",),
    needs=("spend_cents", "budget_cents"),
    judge=_over_budget,
)
BUDGET_AHEAD = Comparison(
    id="budget_ahead",
    source="ALR-10",
    role=Role.PROMOTION,
    zh="活动 {campaign}: 截至 {day} 已花费 {spend}, 快于计划 {planned}",
    en="Campaign {campaign}: {spend} spent until {day}, ahead of the plan of {planned}",
    group="budget",
    parameters={"share": 0.05},
    scopes=("campaign",),
    needs=("spend_cents", "planned_cents"),
    judge=_ahead_of_plan,
)

WINDOWS = (CONVERSION_BELOW_TARGET, CONVERSION_DROP, TRAFFIC_DROP, BOUNCE_HIGH)
RULES = (
    *WINDOWS,
    ROAS_BELOW_FLOOR,
    CAMPAIGN_BEHIND_PLAN,
    PAYMENT_STEP_SUSPECTED,
    REFUND_RATE_HIGH,
    DISPUTE_RATE_HIGH,
    COMPLAINT_RATE_HIGH,
    MARGIN_WITHOUT_CONVERSION,
    BUDGET_OVERSPENT,
    BUDGET_AHEAD,
)
