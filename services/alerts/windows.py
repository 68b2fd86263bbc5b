"""Alarm windows: the first that has enough traffic is the one that speaks, and two in a row end an alarm (ALR-1)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from libs.events.codec import Envelope
from libs.events.contracts import KpiMeasured
from libs.events.transaction import Transaction
from services.alerts import texts
from services.alerts.rules import Numbers, Seen, Verdict, WindowRatio
from services.alerts.store import memory

HOURS: tuple[int, ...] = (1, 3, 6, 12, 24)


def hours_of(grain: str) -> int | None:
    """The length of an alarm window by its grain (`w1` ... `w24`); None for other grains."""
    return int(grain[1:]) if grain.startswith("w") and grain[1:].isdecimal() else None


def speaks(data: KpiMeasured) -> bool:
    """Whether this is an alarm window of the store or of a channel."""
    return hours_of(data.grain) is not None and set(data.dimensions) <= {"channel"}


async def judge(
    rule: WindowRatio,
    event: Envelope[KpiMeasured],
    about: Mapping[str, str],
    target: float,
    numbers: Numbers,
    tx: Transaction,
) -> Verdict:
    """What this window says: TOO_LITTLE where a shorter one has spoken already, CLEAR only at the second in a row."""
    data = event.data
    hours = hours_of(data.grain)
    assert hours is not None, "only windows are judged"
    key = about_key(about)
    await memory.save_window(event.store, key, data.end, hours, data.measures, tx)
    known = await memory.load_windows(event.store, key, data.end, tx)
    if speaker(rule, known, target, numbers) != hours:
        return Verdict.TOO_LITTLE
    verdict = rule.judge(Seen(data.measures, target=target), numbers)
    if verdict is not Verdict.CLEAR:
        return verdict
    before = await memory.load_windows(event.store, key, data.end - timedelta(hours=1), tx)
    spoke = speaker(rule, before, target, numbers)
    was_clear = spoke is not None and rule.judge(Seen(before[spoke], target=target), numbers) is Verdict.CLEAR
    return Verdict.CLEAR if was_clear else Verdict.BETWEEN


def speaker(rule: WindowRatio, known: Mapping[int, Mapping[str, int]], target: float, numbers: Numbers) -> int | None:
    """The shortest of these windows (hours -> measures) that has enough traffic."""
    for hours in HOURS:
        if hours in known and rule.judge(Seen(known[hours], target=target), numbers) is not Verdict.TOO_LITTLE:
            return hours
    return None


def about_key(about: Mapping[str, str]) -> str:
    """Such as `channel=paid`; '' for the store."""
    return ",".join(f"{name}={about[name]}" for name in sorted(about))


def figures(rule: WindowRatio, data: KpiMeasured, target: float) -> dict[str, Any]:
    """The figures of an alert about a window."""
    top, bottom = data.measures.get(rule.numerator, 0), data.measures.get(rule.denominator, 0)
    ratio = round(top / bottom, 6) if bottom else 0.0
    return {
        "numerator": top,
        "denominator": bottom,
        "expected": round(bottom * target, 2),
        "ratio": texts.percent(ratio),
        "target": texts.percent(target),
        "value": ratio,
        "target_value": target,
        "window": f"{data.start:%m-%d %H:%M} - {data.end:%H:%M}",
    }
