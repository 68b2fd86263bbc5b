"""What a time brings to incidents: unacknowledged ones go up, and missing causes are asked for (ALR-12)."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from libs.events.contracts import AlertFired
from libs.events.transaction import Transaction, Transactions
from services.alerts import staff
from services.alerts.domain import handling
from services.alerts.domain.incidents import Change, Incident
from services.alerts.handlers.finding import alert_fields, escalation_time, new_alert_id, tell_escalated
from services.alerts.handlers.muting import circumstances
from services.alerts.routing import add_notifications
from services.alerts.rules import RULE, Role
from services.alerts.store import incidents

AT_ONCE = 200
"""Incidents of one turn; each has a transaction of its own, so that a crash loses nothing and repeats nothing."""


async def keep_time(worker: Transactions) -> int:
    """Escalate what nobody acknowledged in time, and ask for causes that are due; how many incidents that were."""
    return await _all(worker, _escalate_one) + await _all(worker, _ask_one)


async def _all(worker: Transactions, step: Callable[[Transaction], Awaitable[bool]]) -> int:
    for done in range(AT_ONCE):
        async with worker.begin() as tx:
            if not await step(tx):
                return done
    return AT_ONCE


async def _escalate_one(tx: Transaction) -> bool:
    incident = await incidents.take_unacknowledged(tx.now, tx)
    if incident is not None:
        await _escalate(incident, tx)
    return incident is not None


async def _escalate(incident: Incident, tx: Transaction) -> None:
    again_at = await escalation_time(incident.store, incident.about, tx.now, tx)
    known = await circumstances(incident.rule, incident.about, incident.store, tx)
    if again_at is None or known.mute is not None:
        await incidents.save_incident(replace(incident, escalate_at=again_at), tx)
        return
    people = await staff.load(incident.store, tx)
    up = people.next_up(role_of(incident), incident.level, incident.owner, tx.now)
    change = handling.escalate(incident, new_alert_id(tx), up, tx.now, again_at)
    await _tell(change, "unacknowledged", f"to {change.incident.owner}" if up else "nobody is left to go to", tx)


async def _ask_one(tx: Transaction) -> bool:
    incident = await incidents.take_without_cause(tx.now, tx)
    if incident is not None:
        known = await circumstances(incident.rule, incident.about, incident.store, tx)
        await _tell(handling.miss_cause(incident, new_alert_id(tx), known), "cause_missing", "", tx)
    return incident is not None


def role_of(incident: Incident) -> str:
    """Who answers for what an incident is about; the lead for a rule that is no more."""
    rule = RULE.get(incident.rule)
    return rule.role if rule else Role.LEAD


async def _tell(change: Change, reason: str, words: str, tx: Transaction) -> None:
    incident, alert = change.incident, change.alert
    assert alert is not None, "what is asked for is an alert"
    by = f"rule:{alert.rule}"
    await incidents.save_incident(incident, tx)
    await incidents.add_to_timeline(incident, "escalated", by, words, tx)
    tx.emit(AlertFired(**alert_fields(incident, alert)), store=incident.store, time=alert.fired_at)
    tell_escalated(incident, by, reason, tx)
    await add_notifications(change, tx)
