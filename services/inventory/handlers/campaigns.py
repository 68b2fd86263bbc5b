"""Stock locked for campaigns: set aside, given back, ended in time (INV-7, D56)."""

from collections.abc import Sequence

from libs.events.transaction import Transaction, Transactions
from libs.service.errors import NotFound, Problem, Validation
from services.inventory.domain.commands import Cause, LockedStock, LockStock, Unlock
from services.inventory.handlers.apply import apply
from services.inventory.store import reads


async def lock_stock(commands: Sequence[LockStock], tx: Transaction) -> list[LockedStock]:
    """Set aside what there is for every line, or nothing where a line cannot be. Raises Validation."""
    outcomes = await apply(commands, tx)
    faults = [
        {**error, "pointer": f"/lines/{n}{error['pointer']}"}
        for n, outcome in enumerate(outcomes)
        if isinstance(outcome, Problem)
        for error in outcome.errors
    ]
    if faults:
        raise Validation(str(faults[0]["message"]), errors=faults)
    return [outcome for outcome in outcomes if isinstance(outcome, LockedStock)]


async def release_campaign(campaign: str, tx: Transaction, *, by: str) -> list[reads.LockRow]:
    """Give back what a campaign has left; again gives the same answer (D83). Raises NotFound."""
    locks = await reads.load_campaign(tx.session, tx.store, campaign)
    if not locks:
        raise NotFound("no stock was locked for this campaign")
    cause = Cause("campaign", campaign, tx.now, by, tx.import_id)
    await apply([Unlock(tx.store, cause, lock.sku, campaign) for lock in locks if not lock.has_ended], tx)
    return await reads.load_campaign(tx.session, tx.store, campaign)


async def end_campaigns(transactions: Transactions) -> int:
    """Give back what campaigns whose time is over have left (within 5 s of `ends_at`); how many locks ended."""
    async with transactions.begin() as tx:
        ending = await reads.find_ending_locks(tx.session, tx.now)
        await apply(
            [
                Unlock(store, Cause("campaign", campaign, tx.now, "rule:campaign_end"), sku, campaign)
                for store, campaign, sku in ending
            ],
            tx,
        )
    return len(ending)
