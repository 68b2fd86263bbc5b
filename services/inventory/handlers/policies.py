"""Policies that inventory heeds: safety levels and what is withheld; taken from the log, in force from their time."""

from typing import Any

from libs.events.codec import Envelope
from libs.events.contracts import PolicyChanged
from libs.events.transaction import Transaction, Transactions
from services.inventory.domain.commands import Cause, Describe
from services.inventory.domain.policy import (
    EVERY_CATEGORY,
    HIDE_SAFETY,
    LEAD_DAYS,
    LOCK_LEAD,
    LOW_STOCK,
    SLOW_MOVER_DAYS,
    Policies,
    Policy,
)
from services.inventory.handlers.apply import apply
from services.inventory.store import catalogue

CHUNK = 2_000


async def take_policy(envelope: Envelope[PolicyChanged], tx: Transaction) -> None:
    """Note a policy that is about stock; the ticker below puts it into force."""
    policy = _policy(envelope)
    if policy is not None:
        await catalogue.save_policy(tx.session, envelope.store, policy)


RULES = {
    LOW_STOCK: (LOW_STOCK, "safety"),
    "slow_mover": (SLOW_MOVER_DAYS, "days"),
    "reorder_due": (LEAD_DAYS, "lead_days"),
    "lock_incomplete": (LOCK_LEAD, "lead_days"),
}
"""Alert rule -> what it is called here, and the parameter that says how many."""
COUNTED = (SLOW_MOVER_DAYS, LOCK_LEAD)


def _policy(envelope: Envelope[PolicyChanged]) -> Policy | None:
    changed = envelope.data
    value: Any
    rule = next((name for name in changed.policy_id.split(":") if name in RULES), None)
    if changed.kind == "rule" and rule is not None:
        kind, parameter = RULES[rule]
        value = _units(_member(_member(changed.after, "parameters"), parameter))
    elif changed.kind in COUNTED:
        kind, value = changed.kind, _units(_member(changed.after, "value"))
    elif changed.kind == HIDE_SAFETY:
        kind, value = HIDE_SAFETY, _member(changed.after, "value")
    else:
        return None
    category = str((changed.scope or {}).get("category") or EVERY_CATEGORY)
    return Policy(kind, category, value, changed.valid_from, envelope.time, envelope.recorded_time, envelope.id)


def _member(body: Any, name: str) -> Any:
    return body.get(name) if isinstance(body, dict) else None


def _units(value: Any) -> int | None:
    return max(0, int(value)) if isinstance(value, int | float) and not isinstance(value, bool) else None


async def put_policies_into_force(transactions: Transactions) -> int:
    """Describe the SKUs anew whose policies have become valid since the last look; how many stores were concerned."""
    async with transactions.begin(read_only=True) as tx:
        stores = await catalogue.stores_with_due_policies(tx.session, tx.now)
    for store in stores:
        await _redescribe(transactions, store)
    return len(stores)


async def _redescribe(transactions: Transactions, store: str) -> None:
    async with transactions.begin(read_only=True) as tx:
        decided = await catalogue.load_policies(tx.session, store)
        policies, due = Policies(decided, tx.now), [p.event_id for p in decided if p.valid_from <= tx.now]
    after: str | None = ""
    while after is not None:
        after = await _redescribe_some(transactions, store, policies, after)
    async with transactions.begin() as tx:
        await catalogue.mark_policies_applied(tx.session, store, due)


async def _redescribe_some(transactions: Transactions, store: str, policies: Policies, after: str) -> str | None:
    """The next SKUs by code; returns the last one, None at the end."""
    async with transactions.begin() as tx:
        items = await catalogue.load_described(tx.session, store, after=after, limit=CHUNK)
        cause = Cause("policy", LOW_STOCK, tx.now, "service:alerts")
        told = [(item, policies.describe(item.own_safety, item.category)) for item in items]
        await apply(
            [
                Describe(store, cause, item.sku, new.safety, new.safety_hidden)
                for item, new in told
                if (new.safety, new.safety_hidden) != (item.level_safety, item.level_hidden)
            ],
            tx,
        )
    return items[-1].sku if len(items) == CHUNK else None
