"""What alerts does with events: judge them by the rules, open and move incidents, and have people told."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from libs.events.codec import Envelope
from libs.events.consumer import Reaction, Reactions, on, on_batch
from libs.events.contracts import (
    AlertFired,
    AlertRecovered,
    IncidentAcknowledged,
    IncidentEscalated,
    IncidentInvestigating,
    IncidentOpened,
    IncidentResolved,
    KpiMeasured,
    SkuChanged,
    SkuListed,
    TargetSet,
)
from libs.events.contracts.alerts import IncidentRecord
from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from services.alerts import domain, store, windows
from services.alerts.domain import Alert, Change, Finding, Incident, Told, matter_key
from services.alerts.routing import add_notifications
from services.alerts.rules import CONVERSION_BELOW_TARGET, EDGES, MANUAL, Edge, Rule, Severity, Verdict
from services.alerts.wire import incident_title

# edges


def on_edge(rule: Edge) -> list[Reaction]:
    """The reactions that an edge rule needs."""

    async def raise_alert(event: Envelope[Any], tx: Transaction) -> None:
        if not await is_enabled(rule, event.store, tx):
            return
        about = rule.about(event.data)
        name = await store.load_sku_name(event.store, about["sku"], tx) if "sku" in about else ""
        await found(Finding(rule, about, rule.figures(event.data), event.time, name), event.store, tx)

    return [on(rule.fires, raise_alert)]


def on_recovery(event_type: type[Any]) -> Reaction:
    """One reaction for all edge rules that an event ends."""
    rules = [rule for rule in EDGES if rule.recovers is event_type]

    async def recover(event: Envelope[Any], tx: Transaction) -> None:
        for key in dict.fromkeys(matter_key(rule, rule.about(event.data)) for rule in rules):
            await recovered(event.store, key, [rule.id for rule in rules], event.time, tx)

    return on(event_type, recover)


# windows


async def judge_windows(events: Sequence[Envelope[KpiMeasured]], tx: Transaction) -> None:
    """Judge measured alarm windows against the conversion targets in force (ALR-1), in the order of the log."""
    measured = [event for event in events if windows.speaks(event.data)]
    targets = await store.load_targets({e.store for e in measured}, CONVERSION_BELOW_TARGET.metric, tx)
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


# what all rules share


async def is_enabled(rule: Rule, of: str, tx: Transaction) -> bool:
    """Whether the store wants this rule."""
    setting = await store.load_rule_setting(of, rule.id, "", tx)
    return setting is None or bool(setting.enabled)


async def numbers_of(rule: Rule, of: str, tx: Transaction) -> Mapping[str, float]:
    """The rule's numbers with what the store has set."""
    setting = await store.load_rule_setting(of, rule.id, "", tx)
    return {**rule.parameters, **(setting.parameters if setting else {})}


async def found(finding: Finding, of: str, tx: Transaction) -> Incident:
    """A rule's condition holds: open an incident or join the one that stands, and have people told (ALR-15)."""
    await store.lock_matter(of, finding.key, tx)
    standing = await store.load_standing(of, finding.key, tx)
    previous = None if standing else await store.load_previous(of, finding.key, tx)
    ids = (f"inc_{uuid7(tx.now)}", f"al_{uuid7(tx.now)}")
    change = domain.fire(finding, standing, store=of, ids=ids, previous=previous, now=tx.now)
    await _settle(change, f"rule:{finding.rule.id}", tx, opened=standing is None)
    return change.incident


async def recovered(of: str, key: str, rules: Sequence[str], at: datetime, tx: Transaction) -> None:
    """The condition of these rules holds no more."""
    await store.lock_matter(of, key, tx)
    standing = await store.load_standing(of, key, tx)
    change = domain.recover(standing, rules, at, tx.now) if standing else None
    if change is None or change.alert is None:
        return
    incident = change.incident
    await store.save_incident(incident, tx)
    await store.add_to_timeline(incident, "recovered", f"rule:{change.alert.rule}", "", tx, at=at)
    tx.emit(AlertRecovered(**_alert_fields(incident, change.alert)), store=of, time=at)
    await add_notifications(change, tx)


async def _settle(change: Change, by: str, tx: Transaction, *, opened: bool) -> None:
    """Save a fired incident, write its timeline, publish its events, have it told."""
    incident, alert = change.incident, change.alert
    assert alert is not None, "a finding always has an alert"
    await store.save_incident(incident, tx)
    words = incident_title(incident, "en")
    await store.add_to_timeline(incident, "opened" if opened else alert.reason, by, words, tx, at=alert.fired_at)
    tx.emit(AlertFired(**_alert_fields(incident, alert)), store=incident.store, time=alert.fired_at)
    if opened:
        tx.emit(
            IncidentOpened(
                **_incident_fields(incident, by), figures=dict(incident.figures), previous=incident.previous
            ),
            store=incident.store,
            time=incident.opened_at,
        )
    elif change.told is Told.ESCALATED:
        tx.emit(
            IncidentEscalated(**_incident_fields(incident, by), reason="severity"), store=incident.store, time=tx.now
        )
    await add_notifications(change, tx)


def _alert_fields(incident: Incident, alert: Alert) -> dict[str, Any]:
    return {
        "alert_id": alert.alert_id,
        "incident_id": incident.incident_id,
        "rule": alert.rule,
        "about": dict(incident.about),
        "severity": incident.severity.value,
        "figures": dict(incident.figures),
        "reason": alert.reason,
        "retroactive": incident.retroactive,
        "fired_at": alert.fired_at,
    }


def _incident_fields(incident: Incident, by: str) -> dict[str, Any]:
    return {
        "incident_id": incident.incident_id,
        "alerts": tuple(alert.alert_id for alert in incident.alerts),
        "owner": incident.owner,
        "rule": incident.rule,
        "severity": incident.severity.value,
        "title": incident_title(incident, "en"),
        "about": dict(incident.about),
        "by": by,
        "retroactive": incident.retroactive,
    }


# people


async def open_by_hand(
    title: str, description: str, severity: str, about: Mapping[str, str], *, of: str, by: str, tx: Transaction
) -> Incident:
    """A person opens an incident (ALR-16); two with the same title are one matter while the first stands."""
    figures = {"title": title, "description": description}
    rule = replace(MANUAL, severity=Severity(severity))
    finding = Finding(rule, {**about, "title": title}, figures, tx.now)
    incident = await found(finding, of, tx)
    await store.add_to_timeline(incident, "comment", by, description, tx)
    return incident


async def acknowledge(incident_id: str, *, of: str, by: str, tx: Transaction) -> Incident:
    """Somebody has seen the incident (ALR-12)."""
    before = await store.load_incident(of, incident_id, tx, lock=True)
    after = domain.acknowledge(before, by, tx.now)
    if after is not before:
        await _moved(after, "acknowledged", by, tx)
        tx.emit(IncidentAcknowledged(**_incident_fields(after, by)))
    return after


async def investigate(incident_id: str, *, of: str, by: str, tx: Transaction) -> Incident:
    """Somebody looks for the cause (ALR-12)."""
    before = await store.load_incident(of, incident_id, tx, lock=True)
    after = domain.investigate(before, by, tx.now)
    if after is not before:
        await _moved(after, "investigating", by, tx)
        tx.emit(IncidentInvestigating(**_incident_fields(after, by)))
    return after


async def assign(incident_id: str, owner: str, *, of: str, by: str, tx: Transaction) -> Incident:
    """Give the incident to somebody."""
    after = domain.assign(await store.load_incident(of, incident_id, tx, lock=True), owner)
    await _moved(after, "assigned", by, tx, words=owner)
    return after


async def comment(incident_id: str, words: str, *, of: str, by: str, tx: Transaction) -> Incident:
    """Write something into the incident's timeline."""
    incident = await store.load_incident(of, incident_id, tx, lock=True)
    await store.add_to_timeline(incident, "comment", by, words, tx)
    return incident


async def resolve(incident_id: str, record: Mapping[str, Any], *, of: str, by: str, tx: Transaction) -> Incident:
    """Close the incident with its record (ALR-14)."""
    before = await store.load_incident(of, incident_id, tx, lock=True)
    after = domain.resolve(before, record, tx.now)
    if after is not before:
        await _moved(after, "resolved", by, tx, words=str(record["cause"]))
        tx.emit(IncidentResolved(**_incident_fields(after, by), record=IncidentRecord.model_validate(dict(record))))
        await add_notifications(Change(after, None, Told.RESOLVED), tx)
    return after


async def _moved(incident: Incident, kind: str, by: str, tx: Transaction, words: str = "") -> None:
    await store.save_incident(incident, tx)
    await store.add_to_timeline(incident, kind, by, words, tx)


# what is remembered for later


async def name_sku(event: Envelope[SkuListed], tx: Transaction) -> None:
    """Remember what a SKU is called."""
    await store.save_sku_name(event.store, event.data.sku, event.data.title, event.time, tx)


async def rename_sku(event: Envelope[SkuChanged], tx: Transaction) -> None:
    """Remember a SKU's new title."""
    if event.data.after.title is not None:
        await store.save_sku_name(event.store, event.data.sku, event.data.after.title, event.time, tx)


async def keep_target(event: Envelope[TargetSet], tx: Transaction) -> None:
    """Remember a target (ALR-1)."""
    await store.save_target(event, tx)


REACTIONS = Reactions(
    *(reaction for rule in EDGES for reaction in on_edge(rule)),
    *(on_recovery(event) for event in dict.fromkeys(rule.recovers for rule in EDGES if rule.recovers)),
    on_batch((KpiMeasured,), judge_windows),
    on(SkuListed, name_sku),
    on(SkuChanged, rename_sku),
    on(TargetSet, keep_target),
)
