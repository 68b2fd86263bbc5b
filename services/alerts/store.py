"""SQL of alerts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import and_, delete, func, or_, select, text, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from libs.events.codec import Envelope
from libs.events.contracts import TargetSet
from libs.events.locks import lock_number
from libs.events.transaction import Transaction
from libs.service.errors import NotFound
from services.alerts.domain import Alert, Incident, Status
from services.alerts.rules import Severity
from services.alerts.tables import CHANNEL, DELIVERY, INCIDENT, RULE_SETTING, SKU_NAME, TARGET, TIMELINE, WINDOW


@dataclass(frozen=True, slots=True)
class Channel:
    """A place where people are told."""

    store: str
    name: str
    kind: str
    url: str
    secret: str
    language: str
    routes: Sequence[Mapping[str, Any]]
    mention: Sequence[str]
    enabled: bool
    version: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message for one channel, and what became of it."""

    store: str
    notification_id: str
    channel: str
    type: str
    incident_id: str | None
    alert_id: str | None
    body: Mapping[str, Any]
    status: str
    reason: str
    attempts: int
    last_error: str | None
    created_at: datetime
    settled_at: datetime | None


# incidents


async def lock_matter(store: str, key: str, tx: Transaction) -> None:
    """Let one transaction at a time decide about a matter: a new incident has no row yet that could be locked."""
    await tx.session.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": lock_number(f"matter:{store}:{key}")})


async def load_standing(store: str, key: str, tx: Transaction) -> Incident | None:
    """The incident of a matter that is not resolved yet, locked."""
    rows = await tx.session.execute(
        select(INCIDENT)
        .where(INCIDENT.c.store == store, INCIDENT.c.key == key, INCIDENT.c.status != Status.RESOLVED)
        .with_for_update()
    )
    row = rows.one_or_none()
    return _incident(row) if row else None


async def load_previous(store: str, key: str, tx: Transaction) -> str | None:
    """The id of the last resolved incident of a matter."""
    found: str | None = await tx.session.scalar(
        select(INCIDENT.c.incident_id)
        .where(INCIDENT.c.store == store, INCIDENT.c.key == key, INCIDENT.c.status == Status.RESOLVED)
        .order_by(INCIDENT.c.resolved_at.desc())
        .limit(1)
    )
    return found


async def load_incident(store: str, incident_id: str, tx: Transaction, *, lock: bool = False) -> Incident:
    """One incident. Raises NotFound."""
    query = select(INCIDENT).where(INCIDENT.c.store == store, INCIDENT.c.incident_id == incident_id)
    row = (await tx.session.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("there is no such incident")
    return _incident(row)


async def list_incidents(
    store: str, *, status: str | None, rule: str | None, after: tuple[datetime, str] | None, limit: int, tx: Transaction
) -> list[Incident]:
    """Incidents, the newest first; `rule` matches any alert in the incident (D41)."""
    has_rule = INCIDENT.c.alerts.contains([{"rule": rule}]) if rule else true()
    beyond = tuple_(INCIDENT.c.opened_at, INCIDENT.c.incident_id) < after if after else true()
    rows = await tx.session.execute(
        select(INCIDENT)
        .where(INCIDENT.c.store == store, INCIDENT.c.status == status if status else true(), has_rule, beyond)
        .order_by(INCIDENT.c.opened_at.desc(), INCIDENT.c.incident_id.desc())
        .limit(limit)
    )
    return [_incident(row) for row in rows]


async def save_incident(incident: Incident, tx: Transaction) -> None:
    """Write an incident."""
    values = asdict(incident)
    values["alerts"] = [_alert_row(alert) for alert in incident.alerts]
    statement = insert(INCIDENT).values(**values)
    changed = {name: value for name, value in values.items() if name not in ("store", "incident_id")}
    await tx.session.execute(statement.on_conflict_do_update(index_elements=["store", "incident_id"], set_=changed))


def _alert_row(alert: Alert) -> dict[str, Any]:
    recovered = alert.recovered_at.isoformat() if alert.recovered_at else None
    return {**asdict(alert), "fired_at": alert.fired_at.isoformat(), "recovered_at": recovered}


def _incident(row: Any) -> Incident:
    values = dict(row._mapping)
    values["severity"] = Severity(values["severity"])
    values["status"] = Status(values["status"])
    values["alerts"] = tuple(_alert(alert) for alert in values["alerts"])
    return Incident(**values)


def _alert(row: Mapping[str, Any]) -> Alert:
    recovered = datetime.fromisoformat(row["recovered_at"]) if row["recovered_at"] else None
    return Alert(row["alert_id"], row["rule"], datetime.fromisoformat(row["fired_at"]), row["reason"], recovered)


async def add_to_timeline(
    incident: Incident, kind: str, by: str, words: str, tx: Transaction, *, at: datetime | None = None
) -> None:
    """Write down what happened to an incident."""
    await tx.session.execute(
        TIMELINE.insert().values(
            store=incident.store, incident_id=incident.incident_id, at=at or tx.now, kind=kind, by=by, text=words
        )
    )


async def load_timeline(store: str, incident_id: str, tx: Transaction) -> list[Any]:
    """What happened to an incident, in order."""
    rows = await tx.session.execute(
        select(TIMELINE.c.at, TIMELINE.c.kind, TIMELINE.c.by, TIMELINE.c.text)
        .where(TIMELINE.c.store == store, TIMELINE.c.incident_id == incident_id)
        .order_by(TIMELINE.c.id)
    )
    return list(rows)


# what findings need to know


async def save_sku_name(store: str, sku: str, title: str, said_at: datetime, tx: Transaction) -> None:
    """Remember what a SKU is called; the latest word wins."""
    statement = insert(SKU_NAME).values(store=store, sku=sku, title=title, said_at=said_at)
    await tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["store", "sku"],
            set_={"title": title, "said_at": said_at},
            where=SKU_NAME.c.said_at <= said_at,
        )
    )


async def load_sku_name(store: str, sku: str, tx: Transaction) -> str:
    """What a SKU is called; empty where nobody said."""
    name = await tx.session.scalar(select(SKU_NAME.c.title).where(SKU_NAME.c.store == store, SKU_NAME.c.sku == sku))
    return name or ""


async def save_target(event: Envelope[TargetSet], tx: Transaction) -> None:
    """Keep a target; of several under one id the greatest (time, recordedtime, id) wins (D10)."""
    data = event.data
    values = {
        "decided_at": event.time,
        "recorded_at": event.recorded_time,
        "event_id": event.id,
        "metric": data.metric,
        "dimension": dict(data.dimension),
        "value": Decimal(str(data.value)),
        "starts_on": data.starts_on,
        "ends_on": data.ends_on,
    }
    statement = insert(TARGET).values(store=event.store, target_id=data.target_id, **values)
    order = ("decided_at", "recorded_at", "event_id")
    newer = tuple_(*(TARGET.c[name] for name in order)) < tuple_(*(statement.excluded[name] for name in order))
    await tx.session.execute(
        statement.on_conflict_do_update(index_elements=["store", "target_id"], set_=values, where=newer)
    )


@dataclass(frozen=True, slots=True)
class Targets:
    """Targets of some stores for one metric, the latest decided first."""

    rows: Sequence[Any]

    def in_force(self, store: str, dimension: Mapping[str, str], day: date) -> float | None:
        """The target that is in force on a day for exactly this dimension."""
        for row in self.rows:
            same = row.store == store and row.dimension == dict(dimension)
            if same and row.starts_on <= day <= row.ends_on:
                return float(row.value)
        return None


async def load_targets(stores: Collection[str], metric: str, tx: Transaction) -> Targets:
    """All targets of these stores for a metric."""
    if not stores:
        return Targets(())
    rows = await tx.session.execute(
        select(TARGET.c.store, TARGET.c.dimension, TARGET.c.value, TARGET.c.starts_on, TARGET.c.ends_on)
        .where(TARGET.c.store.in_(sorted(stores)), TARGET.c.metric == metric)
        .order_by(TARGET.c.decided_at.desc(), TARGET.c.recorded_at.desc(), TARGET.c.event_id.desc())
    )
    return Targets(rows.all())


WINDOWS_KEPT = timedelta(days=3)


async def save_window(
    store: str, about: str, ends_at: datetime, hours: int, measures: Mapping[str, int], tx: Transaction
) -> None:
    """Keep a measured alarm window; what is older than three days before it goes."""
    statement = insert(WINDOW).values(store=store, about=about, ends_at=ends_at, hours=hours, measures=dict(measures))
    await tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["store", "about", "ends_at", "hours"], set_={"measures": dict(measures)}
        )
    )
    await tx.session.execute(
        delete(WINDOW).where(
            WINDOW.c.store == store, WINDOW.c.about == about, WINDOW.c.ends_at < ends_at - WINDOWS_KEPT
        )
    )


async def load_windows(store: str, about: str, ends_at: datetime, tx: Transaction) -> dict[int, Mapping[str, int]]:
    """hours -> measures of the windows that end at this hour."""
    rows = await tx.session.execute(
        select(WINDOW.c.hours, WINDOW.c.measures).where(
            WINDOW.c.store == store, WINDOW.c.about == about, WINDOW.c.ends_at == ends_at
        )
    )
    return {row.hours: row.measures for row in rows}


# rules


async def load_rule_settings(store: str, tx: Transaction) -> list[Any]:
    """What the store has set of the rules."""
    rows = await tx.session.execute(
        select(RULE_SETTING).where(RULE_SETTING.c.store == store).order_by(RULE_SETTING.c.rule, RULE_SETTING.c.scope)
    )
    return list(rows)


async def load_rule_setting(store: str, rule: str, scope: str, tx: Transaction) -> Any | None:
    """What the store has set of one rule for one scope ('' for the whole store)."""
    return (
        await tx.session.execute(
            select(RULE_SETTING).where(
                RULE_SETTING.c.store == store, RULE_SETTING.c.rule == rule, RULE_SETTING.c.scope == scope
            )
        )
    ).one_or_none()


async def save_rule_setting(
    store: str,
    rule: str,
    scope: str,
    *,
    enabled: bool,
    parameters: Mapping[str, float],
    since: datetime,
    tx: Transaction,
) -> None:
    """Set a rule for a scope."""
    values = {"enabled": enabled, "parameters": dict(parameters), "valid_from": since}
    statement = insert(RULE_SETTING).values(store=store, rule=rule, scope=scope, **values)
    await tx.session.execute(statement.on_conflict_do_update(index_elements=["store", "rule", "scope"], set_=values))


# channels and deliveries


async def list_channels(store: str, tx: Transaction) -> list[Channel]:
    """The channels of a store."""
    rows = await tx.session.execute(select(CHANNEL).where(CHANNEL.c.store == store).order_by(CHANNEL.c.name))
    return [Channel(**row._mapping) for row in rows]


async def load_channel(store: str, name: str, tx: Transaction) -> Channel:
    """One channel. Raises NotFound."""
    row = (
        await tx.session.execute(select(CHANNEL).where(CHANNEL.c.store == store, CHANNEL.c.name == name))
    ).one_or_none()
    if row is None:
        raise NotFound("there is no such channel")
    return Channel(**row._mapping)


async def save_channel(channel: Channel, tx: Transaction) -> Channel:
    """Write a channel; its version goes up by one."""
    values = {name: value for name, value in asdict(channel).items() if name not in ("store", "name", "version")}
    statement = insert(CHANNEL).values(store=channel.store, name=channel.name, version=1, **values)
    version = await tx.session.scalar(
        statement.on_conflict_do_update(
            index_elements=["store", "name"], set_={**values, "version": CHANNEL.c.version + 1}
        ).returning(CHANNEL.c.version)
    )
    return replace(channel, version=version or 1)


async def add_deliveries(rows: Sequence[Mapping[str, Any]], tx: Transaction) -> None:
    """Have messages sent once this transaction commits."""
    if rows:
        await tx.session.execute(DELIVERY.insert(), [dict(row) for row in rows])


_DELIVERY_COLUMNS = tuple(DELIVERY.c[name] for name in Delivery.__dataclass_fields__)


async def lease_deliveries(
    *, limit: int, lease: timedelta, busy: Collection[tuple[str, str]], tx: Transaction
) -> list[Delivery]:
    """Take due messages for a while; those of busy channels (store, name) are left for the next time."""
    key = tuple_(DELIVERY.c.store, DELIVERY.c.notification_id)
    free = or_(DELIVERY.c.leased_until.is_(None), DELIVERY.c.leased_until < tx.now)
    idle = tuple_(DELIVERY.c.store, DELIVERY.c.channel).not_in(list(busy)) if busy else true()
    rank = func.row_number().over(partition_by=(DELIVERY.c.store, DELIVERY.c.channel), order_by=DELIVERY.c.due_at)
    waiting = (
        select(DELIVERY.c.store, DELIVERY.c.notification_id, rank.label("rank"))
        .where(and_(DELIVERY.c.due_at <= tx.now, free, idle))
        .subquery()
    )
    chosen = (
        select(DELIVERY.c.store, DELIVERY.c.notification_id)
        .where(
            key.in_(select(waiting.c.store, waiting.c.notification_id).where(waiting.c.rank <= PER_CHANNEL)),
            DELIVERY.c.due_at <= tx.now,
            free,
        )
        .order_by(DELIVERY.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = await tx.session.execute(
        update(DELIVERY)
        .where(key.in_(chosen))
        .values(leased_until=tx.now + lease, attempts=DELIVERY.c.attempts + 1)
        .returning(*_DELIVERY_COLUMNS)
    )
    return [Delivery(*row) for row in rows]


PER_CHANNEL = 4
"""Messages of one channel that are under way at once: a slow target holds up nobody else."""


async def settle_delivery(
    delivery: Delivery,
    *,
    status: str,
    error: str | None,
    due_at: datetime | None,
    tx: Transaction,
) -> None:
    """Write what became of an attempt; without `due_at` it was the last."""
    await tx.session.execute(
        update(DELIVERY)
        .where(DELIVERY.c.store == delivery.store, DELIVERY.c.notification_id == delivery.notification_id)
        .values(
            status=status,
            last_error=error,
            due_at=due_at,
            leased_until=None,
            settled_at=tx.now if due_at is None else None,
        )
    )


async def list_deliveries(
    store: str,
    *,
    channel: str | None,
    status: str | None,
    incident_id: str | None,
    after: tuple[datetime, str] | None,
    limit: int,
    tx: Transaction,
) -> list[Delivery]:
    """The delivery ledger, the newest first."""
    wanted = [
        DELIVERY.c[name] == value
        for name, value in (("channel", channel), ("status", status), ("incident_id", incident_id))
        if value is not None
    ]
    beyond = tuple_(DELIVERY.c.created_at, DELIVERY.c.notification_id) < after if after else true()
    rows = await tx.session.execute(
        select(*_DELIVERY_COLUMNS)
        .where(DELIVERY.c.store == store, beyond, *wanted)
        .order_by(DELIVERY.c.created_at.desc(), DELIVERY.c.notification_id.desc())
        .limit(limit)
    )
    return [Delivery(*row) for row in rows]
