"""Stock locked for campaigns: set aside, given back, ended in time (INV-7, D56)."""

from collections.abc import Sequence

from libs.events.codec import Envelope
from libs.events.contracts import CampaignChanged, CampaignEnded, CampaignPlanned
from libs.events.transaction import Transaction, Transactions
from libs.service.errors import NotFound, Problem, Validation
from services.inventory.domain.commands import Cause, LockedStock, LockStock, Unlock
from services.inventory.handlers.apply import apply
from services.inventory.store import campaigns as store


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


async def release_campaign(campaign: str, tx: Transaction, *, by: str) -> list[store.LockRow]:
    """Give back what a campaign has left; again gives the same answer (D83). Raises NotFound."""
    locks = await store.load_campaign(tx.session, tx.store, campaign)
    if not locks:
        raise NotFound("no stock was locked for this campaign")
    cause = Cause("campaign", campaign, tx.now, by, tx.import_id)
    await apply([Unlock(tx.store, cause, lock.sku, campaign) for lock in locks if not lock.has_ended], tx)
    return await store.load_campaign(tx.session, tx.store, campaign)


async def end_campaigns(transactions: Transactions) -> int:
    """Give back what campaigns whose time is over have left (within 5 s of `ends_at`); how many locks ended."""
    async with transactions.begin() as tx:
        ending = await store.find_ending_locks(tx.session, tx.now)
        await apply(
            [
                Unlock(store, Cause("campaign", campaign, tx.now, "rule:campaign_end"), sku, campaign)
                for store, campaign, sku in ending
            ],
            tx,
        )
    return len(ending)


async def take_plan(envelope: Envelope[CampaignPlanned] | Envelope[CampaignChanged], tx: Transaction) -> None:
    """Note what a campaign promises, so that its lock can be held against it (INV-7)."""
    plan = envelope.data
    promised: dict[str, int] = {}
    for line in plan.skus:
        if line.quantity is not None:
            promised[line.sku] = promised.get(line.sku, 0) + line.quantity
    await store.save_plan(
        tx.session,
        envelope.store,
        store.Plan(plan.campaign, plan.starts_at, plan.ends_at, promised),
        (envelope.time, envelope.recorded_time, envelope.id),
    )


async def end_campaign(envelope: Envelope[CampaignEnded], tx: Transaction) -> None:
    """A campaign is over, perhaps before its lock would have ended: give back what it has left."""
    campaign = envelope.data.campaign
    locks = await store.load_campaign(tx.session, envelope.store, campaign)
    cause = Cause("campaign", campaign, tx.now, "service:kpi", envelope.import_id, trigger=envelope)
    await apply([Unlock(envelope.store, cause, k.sku, campaign) for k in locks if not k.has_ended], tx)
