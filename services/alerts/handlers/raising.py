"""Raising what rules find, and ending it: once while it lasts (ALR-15)."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from libs.events.transaction import Transaction
from services.alerts.domain.incidents import Finding, Incident, matter_key
from services.alerts.handlers.finding import found, recovered
from services.alerts.rules import About, Rule
from services.alerts.store import incidents, memory, standing


async def raise_once(finding: Finding, of: str, tx: Transaction) -> Incident | None:
    """Raise it, unless this very rule is firing in the matter's incident already."""
    await incidents.lock_matter(of, finding.key, tx)
    known = await incidents.load_standing(of, finding.key, tx)
    if known and any(alert.rule == finding.rule.id and alert.recovered_at is None for alert in known.alerts):
        return None
    return await found(finding, of, tx)


class Ended(NamedTuple):
    """A rule's condition holds no more for something."""

    store: str
    rule: Rule
    about: About
    at: datetime

    @property
    def key(self) -> str:
        """The matter that it belongs to."""
        return matter_key(self.rule, self.about)


async def end_all(ended: Sequence[Ended], tx: Transaction) -> None:
    """Recover those of them that have a standing incident."""
    stand = await standing.standing_keys({(one.store, one.key) for one in ended}, tx)
    for one in ended:
        if (one.store, one.key) in stand:
            await recovered(one.store, one.key, [one.rule.id], one.at, tx)


async def name_of(of: str, about: About, tx: Transaction) -> str:
    """What people call the thing: the title of a SKU."""
    return (await memory.load_sku(of, about["sku"], tx)).title if "sku" in about else ""


async def end_absent(of: str, rule: Rule, present: Iterable[About], at: datetime, tx: Transaction) -> None:
    """Recover every incident of a store in which the rule fires for something that is not among these any more."""
    keys = {matter_key(rule, about) for about in present}
    for one in await standing.list_standing([rule.id], tx, store=of):
        if one.key not in keys:
            await recovered(of, one.key, [rule.id], at, tx)
