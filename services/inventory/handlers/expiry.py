"""Holds that have run out leave `held` within a second (D18)."""

from libs.events.crash import crash_point
from libs.events.transaction import Transactions
from services.inventory.domain.commands import Cause, Expire
from services.inventory.handlers.apply import apply
from services.inventory.store import reads

AT_ONCE = 500


async def expire_holds(transactions: Transactions) -> int:
    """Take back what has run out, some at a time so that no SKU is held long; how many there were."""
    total = 0
    while True:
        async with transactions.begin() as tx:
            due = await reads.find_expired_holds(tx.session, tx.now, AT_ONCE)
            if due:
                crash_point("inventory.before_expiry")
            cause_at = tx.now
            await apply(
                [Expire(store, Cause("reservation", name, cause_at, "rule:hold"), name) for store, name in due], tx
            )
        total += len(due)
        if len(due) < AT_ONCE:
            return total
