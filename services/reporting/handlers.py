"""What reporting does with events: keep measured periods, corrections and targets; want editions of them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from libs.events.codec import Envelope
from libs.events.consumer import Reactions, on
from libs.events.contracts import KpiCorrected, KpiMeasured, TargetSet
from libs.events.transaction import Transaction
from services.reporting import store
from services.reporting.reports import REPORT_OF_GRAIN


class Editions:
    """Reacts to what kpi measured by wanting editions: the first soon, further ones after a time for more to come."""

    def __init__(self, settle: timedelta, correction: timedelta) -> None:
        self.settle = settle
        self.correction = correction

    async def keep_measured(self, event: Envelope[KpiMeasured], tx: Transaction) -> None:
        """Keep a measured day, week or month, in total or of one channel (RPT-1, RPT-2)."""
        channel = _channel(event.data.dimensions)
        if channel is None or event.data.grain not in REPORT_OF_GRAIN:
            return
        await store.save_measured(event, channel, tx)
        await self._want(event, self.settle, "measured", tx)

    async def correct(self, event: Envelope[KpiCorrected], tx: Transaction) -> None:
        """A closed period has changed: its next edition says so (RPT-7)."""
        channel = _channel(event.data.dimensions)
        if channel is None or event.data.grain not in REPORT_OF_GRAIN:
            return
        if await store.save_correction(event, channel, tx):
            await self._want(event, self.correction, "correction", tx)

    async def _want(self, event: Envelope[Any], delay: timedelta, reason: str, tx: Transaction) -> None:
        report = REPORT_OF_GRAIN[event.data.grain].id
        due = tx.now + delay
        await store.want_edition(event.store, report, event.data.bucket, due=due, reason=reason, tx=tx)


async def keep_target(event: Envelope[TargetSet], tx: Transaction) -> None:
    """Keep a target for the reports of its days (KPI-9)."""
    await store.save_target(event, tx)


def _channel(dimensions: Mapping[str, str]) -> str | None:
    """The channel that a measurement is of, "" for the store's total; None for other dimensions."""
    if not dimensions:
        return store.TOTAL
    return dimensions.get("channel") if len(dimensions) == 1 else None


def reactions(editions: Editions) -> Reactions:
    """Who reacts to what."""
    return Reactions(
        on(KpiMeasured, editions.keep_measured),
        on(KpiCorrected, editions.correct),
        on(TargetSet, keep_target),
    )
