"""Which incidents stand: asked for many at once, before anything is locked."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, tuple_

from libs.events.transaction import Transaction
from services.alerts.tables import INCIDENT


async def standing_keys(keys: Collection[tuple[str, str]], tx: Transaction) -> set[tuple[str, str]]:
    """Those of these (store, matter) that have an incident which is not resolved."""
    if not keys:
        return set()
    rows = await tx.session.execute(
        select(INCIDENT.c.store, INCIDENT.c.key).where(
            tuple_(INCIDENT.c.store, INCIDENT.c.key).in_(sorted(keys)), INCIDENT.c.status != "resolved"
        )
    )
    return {(row.store, row.key) for row in rows}


@dataclass(frozen=True, slots=True)
class Standing:
    """An incident that is not resolved, with the rules that still fire in it."""

    store: str
    key: str
    about: dict[str, str]
    firing: frozenset[str]


async def list_standing(rules: Collection[str], tx: Transaction, *, store: str | None = None) -> list[Standing]:
    """Incidents in which one of these rules still fires."""
    query = (
        select(INCIDENT.c.store, INCIDENT.c.key, INCIDENT.c.about, INCIDENT.c.alerts)
        .where(INCIDENT.c.status != "resolved", INCIDENT.c.recovered_at.is_(None))
        .order_by(INCIDENT.c.store, INCIDENT.c.key)
    )
    rows = await tx.session.execute(query.where(INCIDENT.c.store == store) if store else query)
    found = [Standing(row.store, row.key, row.about, _firing(row.alerts)) for row in rows]
    return [one for one in found if one.firing & frozenset(rules)]


def _firing(alerts: Iterable[Any]) -> frozenset[str]:
    return frozenset(alert["rule"] for alert in alerts if alert["recovered_at"] is None)


@dataclass(frozen=True, slots=True)
class Known:
    """What became of an incident. `cause_code` is None until it is resolved."""

    about: dict[str, str]
    fired_at: tuple[datetime, ...]
    cause_code: str | None


async def list_known(store: str, rule: str, since: datetime, until: datetime, tx: Transaction) -> list[Known]:
    """Incidents with an alert of a rule, opened in [since, until)."""
    rows = await tx.session.execute(
        select(INCIDENT.c.about, INCIDENT.c.alerts, INCIDENT.c.record).where(
            INCIDENT.c.store == store,
            INCIDENT.c.opened_at >= since,
            INCIDENT.c.opened_at < until,
            INCIDENT.c.alerts.contains([{"rule": rule}]),
        )
    )
    return [Known(row.about, _fired(row.alerts, rule), (row.record or {}).get("cause_code")) for row in rows]


def _fired(alerts: Iterable[Any], rule: str) -> tuple[datetime, ...]:
    return tuple(datetime.fromisoformat(alert["fired_at"]) for alert in alerts if alert["rule"] == rule)


async def count_incidents(store: str, rules: Collection[str], since: datetime, until: datetime, tx: Transaction) -> int:
    """Incidents of these rules that were opened in [since, until)."""
    rows = await tx.session.execute(
        select(INCIDENT.c.alerts).where(
            INCIDENT.c.store == store, INCIDENT.c.opened_at >= since, INCIDENT.c.opened_at < until
        )
    )
    wanted = frozenset(rules)
    return sum(1 for row in rows if wanted & {alert["rule"] for alert in row.alerts})
