"""The policies that a store may set (D43): a list of values, from which checks, defaults and docs derive."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Parse = Callable[[Any], Any]
"""The value itself, or ValueError saying what is wanted."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One kind of policy; `scopes` are the names by which it may be set for a part of the store."""

    kind: str
    source: str
    default: Any
    parse: Parse
    zh: str
    en: str
    scopes: tuple[str, ...] = ()


def whole_number(least: int, greatest: int) -> Parse:
    """An integer in bounds."""

    def parse(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= greatest:
            raise ValueError(f"a whole number from {least} to {greatest}")
        return value

    return parse


def number(least: float, greatest: float) -> Parse:
    """A number in bounds."""

    def parse(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= greatest:
            raise ValueError(f"a number from {least:g} to {greatest:g}")
        return value

    return parse


def switch(value: Any) -> Any:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def clock_time(value: Any) -> Any:
    """A time of the store's day, such as 17:00."""
    hours, colon, minutes = value.partition(":") if isinstance(value, str) else ("", "", "")
    is_written = colon and len(hours) == len(minutes) == 2 and hours.isdecimal() and minutes.isdecimal()
    if not is_written or not value.isascii() or not (int(hours) < 24 and int(minutes) < 60):
        raise ValueError("a time of the day such as 17:00")
    return value


def labels(value: Any) -> Any:
    """Names, each once."""
    wanted = "up to 100 names, each of 1 to 200 characters"
    if not isinstance(value, list) or len(value) > 100:
        raise ValueError(wanted)
    if not all(isinstance(name, str) and 1 <= len(name) <= 200 and name.isprintable() for name in value):
        raise ValueError(wanted)
    return list(dict.fromkeys(value))


CATEGORY = ("category",)

POLICIES: tuple[Policy, ...] = (
    Policy("hold", "D18", 15, whole_number(1, 1440), "下单后库存保留的分钟数", "minutes that a checkout holds stock"),
    Policy("unpaid_timeout", "D17", 24, number(0, 8760), "未付款订单取消前的小时数", "hours to pay"),
    Policy("ship_promise", "ORD-4", 48, number(0, 8760), "付款后承诺发货的小时数", "hours from payment to shipment"),
    Policy("return_window", "ORD-6", 7, number(0, 365), "无理由退货的天数", "days in which a return needs no reason"),
    Policy("refund_at_once", "ORD-6", False, switch, "验货前即可退款", "refund before inspection"),
    Policy("count_deadline", "INV-2", "17:00", clock_time, "每日盘点数据的截止时间", "when the day's count must be in"),
    Policy("report_deadline", "RPT-1", "09:00", clock_time, "日报的截止时间", "when the daily report must be out"),
    Policy("review_limit", "ORD-1", 30, number(1, 10_080), "审单时限的分钟数", "minutes to review an order"),
    Policy("slow_mover_days", "INV-9", 30, whole_number(1, 3650), "多少天无销售算滞销", "days without a sale"),
    Policy("lock_lead", "INV-7", 3, number(0, 365), "活动前多少天锁定库存", "days before its start to lock a campaign"),
    Policy("hide_safety", "D23", False, switch, "不出售安全库存", "withhold the safety level from sale", CATEGORY),
    Policy("traffic_origins", "D30", [], labels, "在本店有流量的外部来源", "outside origins with traffic here"),
    Policy(
        "retroactive_after", "D5", 60, number(1, 10_080), "超过多少分钟才得知的事只记录", "minutes, then told no more"
    ),
)
POLICY: Mapping[str, Policy] = {policy.kind: policy for policy in POLICIES}
