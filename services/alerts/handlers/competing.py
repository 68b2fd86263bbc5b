"""Rivals' prices are remembered as evidence (ALR-13, ALR-18)."""

from libs.events.codec import Envelope
from libs.events.consumer import on
from libs.events.contracts import CompetitorSeen
from libs.events.transaction import Transaction
from services.alerts.store.competitors import save_sighting


async def keep_sighting(event: Envelope[CompetitorSeen], tx: Transaction) -> None:
    """Remember what a rival asked."""
    await save_sighting(event, tx)


REACTIONS = (on(CompetitorSeen, keep_sighting),)
