"""Checks of plans and texts (ALR-8, ALR-9)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.alerts.rules.shapes import Numbers, PlanCheck, Role

_TERMS: Final = """
国家级 世界级 宇宙级 最高级 最佳 最好 最大 最小 最低 最高 最强 最优 最新 最先进 最便宜 最受欢迎 最
第一 唯一 顶级 顶尖 极品 极致 终极 首选 独一无二 全网第一 销量第一 史无前例 前无古人 万能 绝对
100% 100％ 百分之百 No.1 NO.1 TOP1
"""
_HARMLESS: Final = """
最近 最后 最初 最终 最迟 最晚 最多 最少 第一次 第一时间 第一步 第一代 第一季 第一件 唯一码 唯一编号
"""
WORDS: Final = tuple(_TERMS.split())
"""Terms that advertising law forbids (ALR-9)."""
HARMLESS: Final = tuple(_HARMLESS.split())
"""Words that contain one of the terms and praise nothing."""

CAMPAIGN_PRICE = PlanCheck(
    id="campaign_price",
    source="ALR-8",
    role=Role.LEAD,
    zh="活动 {campaign}: {count} 个商品的活动价不符合规则 (低于日常价 {share} 且不高于近 {days} 天最低价)",
    en="Campaign {campaign}: {count} prices break the rule ({share} under the daily price, "
    "not above the lowest of {days} days)",
    parameters={"share": 0.2, "days": 30},
    scopes=("campaign",),
)
ABSOLUTE_WORDING = PlanCheck(
    id="absolute_wording",
    source="ALR-9",
    role=Role.SPECIALIST,
    zh="{name}: 文案含极限词 {words} ({field})",
    en="{name}: absolute terms {words} ({field})",
    scopes=("category", "campaign", "sku"),
    words=WORDS,
)

RULES = (CAMPAIGN_PRICE, ABSOLUTE_WORDING)


def absolute_terms(text: str, words: Iterable[str] = WORDS) -> list[str]:
    """The absolute terms 极限词 in a text, each once, in their order there; of overlapping ones the longest."""
    rest = text
    for harmless in HARMLESS:
        rest = rest.replace(harmless, "\0" * len(harmless))
    found: list[tuple[int, str]] = []
    for word in sorted(set(words), key=lambda w: (-len(w), w)):
        if not word:
            continue
        at = rest.find(word)
        if at >= 0:
            found.append((at, word))
            rest = rest.replace(word, "\0" * len(word))
    return [word for _, word in sorted(found)]


@dataclass(frozen=True, slots=True)
class Priced:
    """A SKU of a campaign: its campaign price, its daily price, the lowest of the last days (None: not known)."""

    sku: str
    price_cents: int
    daily_cents: int | None
    lowest_cents: int | None


def wrong_price(priced: Priced, numbers: Numbers) -> Mapping[str, Any] | None:
    """What is wrong with a campaign price (ALR-8); None when nothing is, or nothing is known to compare with."""
    said = {"sku": priced.sku, "price_cents": priced.price_cents}
    if priced.daily_cents is not None:
        limit = int(priced.daily_cents * (1 - numbers["share"]) + 1e-9)
        if priced.price_cents > limit:
            return {**said, "kind": "not_low_enough", "limit_cents": limit, "daily_cents": priced.daily_cents}
    if priced.lowest_cents is not None and priced.price_cents > priced.lowest_cents:
        return {**said, "kind": "above_lowest", "limit_cents": priced.lowest_cents}
    return None
