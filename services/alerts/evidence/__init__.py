"""The four checks of a fallen conversion, made before anybody asks (ALR-13). Pure.

Each check says what was before and what is now, and how many of the lost orders it may account for; what none accounts
for stays unexplained. Nothing here claims a cause: that is for the person who closes the incident.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.alerts.evidence import checks
from services.alerts.evidence.checks import Check
from services.alerts.evidence.facts import (
    CampaignFacts,
    Case,
    Counts,
    Facts,
    MethodFacts,
    PartFacts,
    SkuFacts,
    out_minutes,
)

__all__ = [
    "CHECKS",
    "CampaignFacts",
    "Case",
    "Counts",
    "Facts",
    "Item",
    "MethodFacts",
    "PartFacts",
    "SkuFacts",
    "gather",
    "out_minutes",
    "shown",
]

CHECKS: Final = ("price", "stock", "listing", "reviews", "service", "traffic", "campaign", "payment", "competitor")
Item = Mapping[str, Any]


def gather(case: Case, facts: Facts) -> list[Item]:
    """All checks, the one that may account for most first, then what stays unexplained."""
    explained = checks.explain_skus(case, facts)
    made = [
        checks.stock(facts, explained["stock"]),
        checks.price(facts, explained["price"]),
        checks.listing(facts, explained["listing"]),
        checks.reviews(facts, explained["reviews"]),
        checks.competitor(facts, explained["competitor"]),
        checks.traffic(facts),
        checks.campaign(facts),
        checks.payment(facts),
        checks.service(facts),
    ]
    return _ranked(case, made)


def shown(item: Item, language: str) -> dict[str, Any]:
    """An item as it is answered, in one language."""
    words = item["text"]
    return {**item, "text": words.get(language, words["en"]) if isinstance(words, Mapping) else words}


# ranking


def _ranked(case: Case, made: Sequence[Check]) -> list[Item]:
    """No more can be explained than was lost: where the checks overlap, each is taken down alike."""
    whole = sum(check.lost or 0.0 for check in made)
    scale = min(1.0, case.lost / whole) if whole else 1.0
    ordered = sorted(made, key=lambda check: (-(check.lost or 0.0), check.lost is None, CHECKS.index(check.name)))
    items = [_item(check, n, case, scale) for n, check in enumerate(ordered, 1)]
    rest = max(0.0, case.lost - whole * scale)
    return [*items, _unexplained(case, rest, len(items) + 1)]


def _item(check: Check, rank: int, case: Case, scale: float) -> Item:
    lost = None if check.lost is None else round(check.lost * scale, 2)
    return {
        "check": check.name,
        "rank": rank,
        "before": dict(check.before),
        "after": dict(check.after),
        "lost_orders": lost,
        "share": None if lost is None or not case.lost else round(lost / case.lost, 4),
        "text": {"zh": check.zh, "en": check.en},
    }


def _unexplained(case: Case, rest: float, rank: int) -> Item:
    share = rest / case.lost if case.lost else 0.0
    return {
        "check": "unexplained",
        "rank": rank,
        "before": {"orders": round(case.expected, 2)},
        "after": {"orders": case.actual},
        "lost_orders": round(rest, 2),
        "share": round(share, 4),
        "text": {
            "zh": f"少了 {case.lost:.1f} 单, 其中 {rest:.1f} 单 ({share:.0%}) 未找到解释",
            "en": f"{case.lost:.1f} orders fewer, {rest:.1f} of them ({share:.0%}) stay unexplained",
        },
    }
