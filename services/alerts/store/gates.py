"""The gates before targets: one row a target, whoever sends (P6)."""

import hashlib
from collections.abc import Collection
from dataclasses import asdict

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from libs.events.transaction import Transaction
from services.alerts.channels import KINDS
from services.alerts.domain.gates import Gate, fresh
from services.alerts.store.ledger import Channel
from services.alerts.tables import GATE


def target_of(channel: Channel) -> str:
    """One name for one target, without its secret: several channels may lead to the same robot."""
    return hashlib.sha256(f"{channel.kind} {channel.url}".encode()).hexdigest()


async def lock_gates(channels: Collection[Channel], tx: Transaction) -> dict[str, Gate]:
    """target -> its gate, locked in one order until the commit; made where there is none."""
    new = {target_of(channel): KINDS[channel.kind].limit for channel in channels}
    if not new:
        return {}
    rows = [asdict(fresh(target, limit, tx.now)) for target, limit in sorted(new.items())]
    await tx.session.execute(insert(GATE).on_conflict_do_nothing(), rows)
    wanted = select(GATE).where(GATE.c.target.in_(sorted(new))).order_by(GATE.c.target).with_for_update()
    return {row.target: Gate(**row._mapping) for row in await tx.session.execute(wanted)}


async def save_gates(gates: Collection[Gate], tx: Transaction) -> None:
    """Write them back; the caller holds their locks."""
    if not gates:
        return
    statement = insert(GATE)
    values = {name: statement.excluded[name] for name in ("tokens", "filled_at", "failures", "closed_until")}
    await tx.session.execute(
        statement.on_conflict_do_update(index_elements=["target"], set_=values),
        [asdict(gate) for gate in sorted(gates, key=lambda gate: gate.target)],
    )
