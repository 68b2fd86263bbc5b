"""Incidents in words, in both languages."""

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from services.alerts.rules import RULE

Language = Literal["zh", "en"]


def title(rule: str, about: Mapping[str, str], name: str, figures: Mapping[str, Any], language: Language) -> str:
    """The one line of an incident, such as "A001 夏季连衣裙: 9 left, safety level 10"."""
    template = getattr(RULE[rule], language)
    values = {**figures, **about, "name": _named(about, name, language)}
    return str(template.format_map(_Forgiving(values)))


_DIMENSIONS: Mapping[str, tuple[str, str]] = {
    "channel": ("", ""),
    "campaign": ("活动 ", "Campaign "),
    "plan": ("计划 ", "Plan "),
}
_CHANNELS: Mapping[str, str] = {
    "natural_search": "自然搜索",
    "paid": "付费推广",
    "social": "社交",
    "direct": "直接访问",
    "referral": "引荐",
    "other": "其他",
}


def _named(about: Mapping[str, str], name: str, language: Language) -> str:
    if "sku" in about:
        return f"{about['sku']} {name}".strip()
    for dimension, (zh, en) in _DIMENSIONS.items():
        if dimension in about:
            value = about[dimension]
            return f"{en}{value} " if language == "en" else f"{zh}{_CHANNELS.get(value, value)} "
    return "" if language == "en" else "全店"


class _Forgiving(dict[str, Any]):
    """An older incident may lack a figure that a newer wording names."""

    def __missing__(self, key: str) -> str:
        return "-"


def percent(ratio: float) -> str:
    """Such as 2.47%."""
    return f"{(Decimal(str(ratio)) * 100).quantize(Decimal('0.01'), ROUND_HALF_UP)}%"


def money(cents: int) -> str:
    """Such as 156.00."""
    return f"{(Decimal(cents) / 100).quantize(Decimal('0.01'), ROUND_HALF_UP)}"


def instant(at: datetime) -> str:
    """Such as 2024-07-01 17:00, by the clock it was given in."""
    return f"{at:%Y-%m-%d %H:%M}"
