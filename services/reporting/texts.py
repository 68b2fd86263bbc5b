"""Reports in words: both languages, one place."""

from collections.abc import Mapping
from typing import Any, Literal

from services.reporting import exact
from services.reporting.reports import Figure, Report, Shown

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

CHANNEL: Mapping[str, Mapping[Language, str]] = {
    "natural_search": {"zh": "自然搜索", "en": "natural search"},
    "paid": {"zh": "付费推广", "en": "paid"},
    "social": {"zh": "社交", "en": "social"},
    "direct": {"zh": "直接访问", "en": "direct"},
    "referral": {"zh": "引荐", "en": "referral"},
    "other": {"zh": "其他", "en": "other"},
}

NOTE: Mapping[str, Mapping[Language, str]] = {
    "conversion_below_target": {
        "zh": "转化率低于目标 {points} 个百分点",
        "en": "conversion below target by {points} percentage points",
    },
}

WORD: Mapping[str, Mapping[Language, str]] = {
    "figure": {"zh": "指标", "en": "Figure"},
    "value": {"zh": "数值", "en": "Value"},
    "target": {"zh": "目标", "en": "Target"},
    "previous": {"zh": "前一日", "en": "Day before"},
    "change": {"zh": "变化", "en": "Change"},
    "edition": {"zh": "版次", "en": "Edition"},
    "published": {"zh": "发布时间", "en": "Published"},
    "live": {"zh": "实时(尚未发布)", "en": "live, not yet published"},
    "complete": {"zh": "数据完整", "en": "Data complete"},
    "incomplete": {"zh": "数据不完整", "en": "Data incomplete"},
    "missing": {"zh": "缺少", "en": "missing"},
    "store": {"zh": "店铺", "en": "Store"},
    "separator": {"zh": ";", "en": "; "},
    "none": {"zh": "无", "en": "none"},
}


def word(key: str, language: Language) -> str:
    """A fixed word of the pages."""
    return WORD[key][language]


def note(entry: Mapping[str, Any], language: Language) -> str:
    """An anomaly note in words."""
    return NOTE[entry["code"]][language].format(**{k: v for k, v in entry.items() if k != "code"})


def notes(row: Mapping[str, Any], language: Language) -> str:
    """All notes of a row in one cell."""
    return word("separator", language).join(note(entry, language) for entry in row["notes"])


def row_texts(row: Mapping[str, Any], language: Language) -> dict[str, str]:
    """The cells of a daily row as the template prints them: 2.47%, 156.00, 自然搜索 45% (D34)."""
    return {
        "date": row["date"],
        "uv": _count(row["uv"]),
        "pv": _count(row["pv"]),
        "orders": _count(row["orders"]),
        "conversion": exact.percent(*row["exact"].get("conversion", [0, 0])),
        "aov": exact.money(row["aov_cents"]),
        "main_source": _main_source(row, language),
        "notes": notes(row, language),
    }


def _main_source(row: Mapping[str, Any], language: Language) -> str:
    if row["main_source"] is None:
        return "-"
    uv, whole = row["exact"]["main_source_share"]
    return f"{CHANNEL[row['main_source']][language]} {exact.percent(uv, whole, 0)}"


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)


def figure_text(figure: Figure, value: float | None) -> str:
    """A section's value as people read it."""
    if value is None:
        return "-"
    if figure.shown in (Shown.MONEY, Shown.AVERAGE):
        return exact.money(round(value))
    if figure.shown is Shown.PERCENT:
        return exact.percent(round(value * 10**exact.RATIO_DECIMALS), 10**exact.RATIO_DECIMALS)
    return str(round(value))


def change_text(change: float | None) -> str:
    """A relative change, with its sign."""
    if change is None:
        return "-"
    shown = exact.percent(round(change * 10**exact.RATIO_DECIMALS), 10**exact.RATIO_DECIMALS, 1)
    return shown if change < 0 else f"+{shown}"


def localized(report: Report, content: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """The content with its words in one language: what the JSON shape gives."""
    names = {section.id: getattr(section, language) for section in report.sections}
    return {
        **content,
        "rows": [
            {
                **{name: value for name, value in row.items() if name != "exact"},
                "notes": [note(entry, language) for entry in row["notes"]],
                "text": row_texts(row, language),
            }
            for row in content["rows"]
        ],
        "sections": [{**section, "title": names[section["id"]]} for section in content["sections"]],
    }
