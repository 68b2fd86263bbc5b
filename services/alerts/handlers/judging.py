"""Events are judged by the rules."""

from collections.abc import Mapping, Sequence
from typing import Any

from libs.events.codec import Envelope
from libs.events.consumer import Reaction, on, on_batch
from libs.events.contracts import (
    KpiMeasured,
)
from libs.events.transaction import Transaction
from services.alerts import documents, windows
from services.alerts.domain.incidents import Finding, matter_key
from services.alerts.handlers.finding import found, recovered
from services.alerts.rules import CONVERSION_BELOW_TARGET, EDGES, Edge, Rule, Verdict
from services.alerts.store import memory


def on_edge(rule: Edge) -> list[Reaction]:
    """The reactions that an edge rule needs."""

    async def raise_alert(event: Envelope[Any], tx: Transaction) -> None:
        if not await is_enabled(rule, event.store, tx):
            return
        if not rule.breaches(event.data, await numbers_of(rule, event.store, tx)):
            return
        about = rule.about(event.data)
        name = await memory.load_sku_name(event.store, about["sku"], tx) if "sku" in about else ""
        await found(Finding(rule, about, rule.figures(event.data), event.time, name), event.store, tx)

    return [on(rule.fires, raise_alert)]


def on_recovery(event_type: type[Any]) -> Reaction:
    """One reaction for all edge rules that an event ends."""
    rules = [rule for rule in EDGES if rule.recovers is event_type]

    async def recover(event: Envelope[Any], tx: Transaction) -> None:
        for key in dict.fromkeys(matter_key(rule, rule.about(event.data)) for rule in rules):
            await recovered(event.store, key, [rule.id for rule in rules], event.time, tx)

    return on(event_type, recover)


async def judge_windows(events: Sequence[Envelope[KpiMeasured]], tx: Transaction) -> None:
    """Judge measured alarm windows against the conversion targets in force (ALR-1), in the order of the log."""
    measured = [event for event in events if windows.speaks(event.data)]
    targets = await memory.load_targets({e.store for e in measured}, CONVERSION_BELOW_TARGET.metric, tx)
    for event in measured:
        target = targets.in_force(event.store, event.data.dimensions, event.data.start.date())
        if target is not None:
            await _judge_window(event, target, tx)


async def _judge_window(event: Envelope[KpiMeasured], target: float, tx: Transaction) -> None:
    rule, about = CONVERSION_BELOW_TARGET, dict(event.data.dimensions)
    if not await is_enabled(rule, event.store, tx):
        return
    tx.cause = event
    verdict = await windows.judge(rule, event, about, target, await numbers_of(rule, event.store, tx), tx)
    if verdict is Verdict.BREACHED:
        figures = windows.figures(rule, event.data, target)
        await found(Finding(rule, about, figures, event.data.end), event.store, tx)
    elif verdict is Verdict.CLEAR:
        await recovered(event.store, matter_key(rule, about), [rule.id], event.data.end, tx)
    tx.cause = None


async def is_enabled(rule: Rule, of: str, tx: Transaction) -> bool:
    """Whether the store wants this rule."""
    setting = await documents.load(of, "rule", rule.id, tx)
    return setting is None or setting.value is None or bool(setting.value["enabled"])


async def numbers_of(rule: Rule, of: str, tx: Transaction) -> Mapping[str, float]:
    """The rule's numbers with what the store has set."""
    setting = await documents.load(of, "rule", rule.id, tx)
    return {**rule.parameters, **(setting.value["parameters"] if setting and setting.value else {})}


REACTIONS = (
    *(reaction for rule in EDGES for reaction in on_edge(rule)),
    *(on_recovery(event) for event in dict.fromkeys(rule.recovers for rule in EDGES if rule.recovers)),
    on_batch((KpiMeasured,), judge_windows),
)
