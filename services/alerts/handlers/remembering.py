"""What is remembered of events, for rules that judge later ones."""

from libs.events.codec import Envelope
from libs.events.consumer import on
from libs.events.contracts import (
    SkuChanged,
    SkuListed,
    TargetSet,
)
from libs.events.transaction import Transaction
from services.alerts.store import memory


async def name_sku(event: Envelope[SkuListed], tx: Transaction) -> None:
    """Remember what a SKU is called."""
    await memory.save_sku_name(event.store, event.data.sku, event.data.title, event.time, tx)


async def rename_sku(event: Envelope[SkuChanged], tx: Transaction) -> None:
    """Remember a SKU's new title."""
    if event.data.after.title is not None:
        await memory.save_sku_name(event.store, event.data.sku, event.data.after.title, event.time, tx)


async def keep_target(event: Envelope[TargetSet], tx: Transaction) -> None:
    """Remember a target (ALR-1)."""
    await memory.save_target(event, tx)


REACTIONS = (on(SkuListed, name_sku), on(SkuChanged, rename_sku), on(TargetSet, keep_target))
