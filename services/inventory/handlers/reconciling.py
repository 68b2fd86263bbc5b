"""Every store day is reconciled once it is over: ledger against levels and open lines (INV-11)."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from libs.events.contracts import StockMismatched
from libs.events.transaction import Transactions
from libs.service.stores import StoreInfo
from libs.service.storetime import day_bounds
from services.inventory.store import reconciling

SETTLE = timedelta(minutes=10)
"""How long after midnight a day is left alone, so that its last events have arrived."""
AT_ONCE = 500


def last_day(now: datetime, zone: ZoneInfo) -> date:
    """The last store day that is over and settled."""
    return (now - SETTLE).astimezone(zone).date() - timedelta(days=1)


async def reconcile_days(transactions: Transactions, stores: Sequence[StoreInfo]) -> int:
    """Reconcile the last day of every store that has not been yet; how many mismatches were found.

    Mismatches are told as `stock.mismatched`.
    """
    found = 0
    for store in stores:
        async with transactions.begin(read_only=True) as tx:
            day = last_day(tx.now, store.zone)
            is_due = not await reconciling.is_reconciled(tx.session, store.store, str(day))
        if is_due:
            found += await _reconcile(transactions, store, day)
    return found


async def _reconcile(transactions: Transactions, store: StoreInfo, day: date) -> int:
    start, end = day_bounds(day, store.zone)
    found, after = 0, None
    async with transactions.begin(store.store) as tx:
        while True:
            page = await reconciling.reconcile(
                tx.session, store.store, start=start, end=end, after=after, limit=AT_ONCE
            )
            for line in page:
                for kind, expected, seen in line.mismatches():
                    found += 1
                    tx.emit(StockMismatched(sku=line.sku, kind=kind, expected=expected, found=seen))
            if len(page) < AT_ONCE:
                break
            after = page[-1].sku
        if not await reconciling.mark_reconciled(tx.session, store.store, str(day), found, tx.now):
            tx.pending.clear()  # another process was quicker, and has told
    return found
