"""What a store has set of the rules."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from libs.events.transaction import Transaction
from services.alerts.tables import RULE_SETTING


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
