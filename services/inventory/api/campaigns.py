"""Stock locked for campaigns."""

from typing import Annotated, Any

from fastapi import Path
from starlette.responses import Response

from libs.events.contracts.base import Id
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call
from libs.service.errors import NotFound
from libs.service.routes import Router
from services.inventory.bodies import CampaignLockBody, ReleaseBody
from services.inventory.domain.commands import Cause
from services.inventory.domain.policy import Policies
from services.inventory.handlers import campaigns
from services.inventory.overviews import campaign_body
from services.inventory.store import campaigns as store
from services.inventory.store import catalogue

router = Router(tag="campaign locks")

Campaign = Annotated[Id, Path()]


@router.post("/v1/campaign-locks", scope="inventory:write", status_code=201)
async def lock(body: CampaignLockBody, call: Call) -> Response:
    """Set stock aside; what is missing comes from receipts (INV-7, D24)."""
    await call.store_info()

    async def action(tx: Transaction) -> Answer:
        cause = Cause("campaign", body.campaign, tx.now, call.actor, call.import_id)
        locked = await campaigns.lock_stock(body.commands(call.store, cause), tx)
        lines = [{"sku": one.sku, "wanted": one.wanted, "locked": one.locked} for one in locked]
        return Answer(201, {"campaign": body.campaign, "lines": lines})

    return await call.once(action, natural=("campaign_lock", body.campaign))


@router.get("/v1/campaign-locks/{campaign}", scope="inventory:read")
async def show(campaign: Campaign, call: Call) -> Response:
    """What a campaign promises, what is locked and left, how it is used up, and whether it will last."""
    zone = (await call.store_info()).zone
    async with call.read() as tx:
        locks = await store.load_campaign(tx.session, tx.store, campaign)
        plan = await store.load_plan(tx.session, tx.store, campaign)
        if not locks and plan is None:
            raise NotFound("no stock was locked for this campaign")
        burned = await store.load_burn_down(tx.session, tx.store, campaign, str(zone))
        lead_days = Policies(await catalogue.load_policies(tx.session, tx.store), tx.now).lock_lead_days
        body = campaign_body(campaign, locks, plan, burned, lead_days=lead_days, now=tx.now)
    return await call.reply(Answer(200, body))


@router.post("/v1/campaign-locks/{campaign}/release", scope="inventory:write")
async def release(campaign: Campaign, call: Call, body: ReleaseBody | None = None) -> Response:
    """Give back what the campaign has left; again gives the same answer (D83)."""
    await call.store_info()

    async def action(tx: Transaction) -> Answer:
        locks = await campaigns.release_campaign(campaign, tx, by=call.actor)
        lines: list[dict[str, Any]] = [{"sku": k.sku, "wanted": k.wanted, "taken": k.taken} for k in locks]
        return Answer(200, {"campaign": campaign, "status": "released", "lines": lines})

    return await call.once(action)
