"""Refund, dispute and complaint rates of a SKU against the store's (ALR-6)."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from libs.events.codec import Envelope
from libs.events.consumer import on_batch
from libs.events.contracts import ComplaintFiled
from libs.events.transaction import Transaction, Transactions
from services.alerts import texts
from services.alerts.domain.incidents import Finding
from services.alerts.handlers.moves import is_backfill
from services.alerts.handlers.raising import Ended, end_all, raise_once
from services.alerts.rulebook import Rulebook
from services.alerts.rules import Comparison, Verdict
from services.alerts.rules.figures import COMPLAINT_RATE_HIGH, DISPUTE_RATE_HIGH, REFUND_RATE_HIGH
from services.alerts.store import memory, standing, tallies
from services.alerts.store.memory import Sku
from services.alerts.store.tallies import Count

COUNTED: Final[Mapping[str, Comparison]] = {
    "refund": REFUND_RATE_HIGH,
    "dispute": DISPUTE_RATE_HIGH,
    "complaint": COMPLAINT_RATE_HIGH,
}
"""What is counted -> the rule about its rate."""
NOTHING: Final = Count(0, 0)


async def judge_complaints(events: Sequence[Envelope[ComplaintFiled]], tx: Transaction) -> None:
    """A complaint may make its SKU's rate high."""
    await judge_rates({(e.store, e.data.sku): e for e in events if e.data.sku is not None}, tx)


async def judge_rates(touched: Mapping[tuple[str, str], Envelope[Any]], tx: Transaction) -> None:
    """Judge the SKUs, by (store, SKU), with the event that touched each."""
    book = Rulebook(tx)
    for (store, name), event in sorted(touched.items()):
        if is_backfill(event, tx.now):
            continue
        tx.cause = event
        sku = await memory.load_sku(store, name, tx)
        for kind, rule in COUNTED.items():
            await _judge(kind, rule, store, sku, event, book, tx)
    tx.cause = None


async def _judge(
    kind: str, rule: Comparison, of: str, sku: Sku, event: Envelope[Any], book: Rulebook, tx: Transaction
) -> None:
    about = {"sku": sku.sku}
    terms = await book.terms(rule, of, about, category=sku.category)
    if terms is None:
        return
    figures = await load_rate(kind, of, sku.sku, terms.numbers["days"], event.time, tx)
    verdict = rule.judge(figures, terms.numbers)
    if verdict is Verdict.BREACHED:
        await raise_once(Finding(rule, about, rate_texts(figures), event.time, sku.title), of, tx)
    elif verdict is Verdict.CLEAR:
        await end_all([Ended(of, rule, about, event.time)], tx)


async def load_rate(kind: str, of: str, sku: str, days: float, at: Any, tx: Transaction) -> dict[str, float]:
    """What the rule needs: cases and paid orders of the SKU and of the store in the last days."""
    until = at + timedelta(hours=1)
    counts = await tallies.load_counts(of, {kind, "paid"}, until - timedelta(days=days), until, tx, values={"", sku})
    return {
        "cases": float(counts.get((kind, sku), NOTHING).n),
        "orders": float(counts.get(("paid", sku), NOTHING).n),
        "store_cases": float(counts.get((kind, ""), NOTHING).n),
        "store_orders": float(counts.get(("paid", ""), NOTHING).n),
    }


def rate_texts(figures: Mapping[str, float]) -> dict[str, Any]:
    """The figures as an incident shows them."""
    rate, usual = figures["cases"] / (figures["orders"] or 1), figures["store_cases"] / (figures["store_orders"] or 1)
    return {
        **{name: int(value) for name, value in figures.items()},
        "rate": texts.percent(round(rate, 6)),
        "store_rate": texts.percent(round(usual, 6)),
    }


async def tidy(transactions: Transactions) -> None:
    """Look at what is high once more, and forget what no rule looks back to."""
    async with transactions.begin() as tx:
        await look_again(tx)
        await tallies.prune(tx.now, memory.MEASURED_KEPT, tx)


async def look_again(tx: Transaction) -> None:
    """Rates fall as orders come and cases grow old: end what is high no more."""
    book, ended = Rulebook(tx), []
    rules = {rule.id: kind for kind, rule in COUNTED.items()}
    for one in await standing.list_standing(list(rules), tx):
        for rule_id in one.firing & set(rules):
            rule = COUNTED[rules[rule_id]]
            terms = await book.terms(rule, one.store, one.about)
            days = terms.numbers["days"] if terms else rule.parameters["days"]
            figures = await load_rate(rules[rule_id], one.store, one.about["sku"], days, tx.now, tx)
            numbers = terms.numbers if terms else rule.parameters
            if rule.judge(figures, numbers) in (Verdict.CLEAR, Verdict.TOO_LITTLE):
                ended.append(Ended(one.store, rule, one.about, tx.now))
    await end_all(ended, tx)


REACTIONS = (on_batch((ComplaintFiled,), judge_complaints),)
