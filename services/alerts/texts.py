"""Incidents in words, in both languages."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from services.alerts.rules import RULE

Language = Literal["zh", "en"]


def title(rule: str, about: Mapping[str, str], name: str, figures: Mapping[str, Any], language: Language) -> str:
    """The one line of an incident, such as "A001 夏季连衣裙: 9 left, safety level 10"."""
    template = getattr(RULE[rule], language)
    values = {**figures, **about, "name": _named(about, name, language)}
    return str(template.format_map(_Forgiving(values)))


def _named(about: Mapping[str, str], name: str, language: Language) -> str:
    if "sku" in about:
        return f"{about['sku']} {name}".strip()
    if "channel" in about:
        return f"{about['channel']} "
    return "" if language == "en" else "全店"


class _Forgiving(dict[str, Any]):
    """An older incident may lack a figure that a newer wording names."""

    def __missing__(self, key: str) -> str:
        return "-"


def percent(ratio: float) -> str:
    """Such as 2.47%."""
    return f"{(Decimal(str(ratio)) * 100).quantize(Decimal('0.01'), ROUND_HALF_UP)}%"
