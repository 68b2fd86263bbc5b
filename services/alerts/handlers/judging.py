"""Edges: an event fires a rule, another one ends it."""

from typing import Any

from libs.events.codec import Envelope
from libs.events.consumer import Reaction, on
from libs.events.transaction import Transaction
from services.alerts.domain.incidents import Finding, matter_key
from services.alerts.handlers.finding import found, recovered
from services.alerts.rulebook import Rulebook
from services.alerts.rules import EDGES, Edge
from services.alerts.store import memory
from services.alerts.store.memory import Sku


def on_edge(rule: Edge) -> list[Reaction]:
    """The reactions that an edge rule needs."""

    async def raise_alert(event: Envelope[Any], tx: Transaction) -> None:
        about = rule.about(event.data)
        sku = await memory.load_sku(event.store, about["sku"], tx) if "sku" in about else Sku("")
        terms = await Rulebook(tx).terms(rule, event.store, about, category=sku.category)
        if terms is None or not rule.breaches(event.data, terms.numbers):
            return
        await found(Finding(rule, about, rule.figures(event.data), event.time, sku.title), event.store, tx)

    return [on(rule.fires, raise_alert)]


def on_recovery(event_type: type[Any]) -> Reaction:
    """One reaction for all edge rules that an event ends."""
    rules = [rule for rule in EDGES if rule.recovers is event_type]

    async def recover(event: Envelope[Any], tx: Transaction) -> None:
        for key in dict.fromkeys(matter_key(rule, rule.about(event.data)) for rule in rules):
            await recovered(event.store, key, [rule.id for rule in rules], event.time, tx)

    return on(event_type, recover)


REACTIONS = (
    *(reaction for rule in EDGES for reaction in on_edge(rule)),
    *(on_recovery(event) for event in dict.fromkeys(rule.recovers for rule in EDGES if rule.recovers)),
)
