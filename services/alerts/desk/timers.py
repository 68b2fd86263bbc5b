"""Time passes: clocks are judged when everything that happened before their time is known (SRV-6, D40)."""

from datetime import datetime

from libs.events.transaction import Transaction, Transactions
from libs.events.watermark import load_watermarks
from services.alerts.desk.handlers.follow_ups import follow
from services.alerts.desk.handlers.measuring import measure_anew
from services.alerts.desk.store import conversations, follow_ups
from services.alerts.metrics import CLOCKS_JUDGED
from services.alerts.tables import SHARED

CONSUMER = "alerts"
TOPIC = "service"
AT_ONCE = 100


async def judge(transactions: Transactions) -> None:
    """Judge everything whose time has come, some at a time; only what is due is looked at."""
    while await _judge_some(transactions):
        pass


async def _judge_some(transactions: Transactions) -> bool:
    """Whether there may be more."""
    async with transactions.begin() as tx:
        until = (await load_watermarks(tx.session, SHARED.events.watermark, CONSUMER)).get(TOPIC)
        judged = [await _recount(tx)]
        if until is not None:
            judged += [await _clocks(until, tx), await _follow_ups(until, tx)]
    return any(count >= AT_ONCE for count in judged)


async def _recount(tx: Transaction) -> int:
    keys = await conversations.list_recounts(AT_ONCE, tx)
    locked = await conversations.lock_conversations(keys, tx, skip_locked=True)
    if locked:
        await measure_anew(locked, tx, causes={})
    return len(locked)


async def _clocks(until: datetime, tx: Transaction) -> int:
    keys = await conversations.list_due(until, AT_ONCE, tx)
    locked = await conversations.lock_conversations(keys, tx, skip_locked=True)
    if locked:
        await measure_anew(locked, tx, causes={}, judged_until=until)
        CLOCKS_JUDGED.inc(len(locked))
    return len(locked)


async def _follow_ups(until: datetime, tx: Transaction) -> int:
    keys = await follow_ups.list_due_follow_ups(until, AT_ONCE, tx)
    locked = await follow_ups.lock_follow_ups(keys, tx, skip_locked=True)
    if locked:
        await follow(locked, tx, causes={}, judged_until=until)
    return len(locked)
