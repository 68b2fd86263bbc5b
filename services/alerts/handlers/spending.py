"""What advertising costs and brings: return on spend, budgets (ALR-3, ALR-10)."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from libs.events.codec import Envelope
from libs.events.consumer import on_batch
from libs.events.contracts import AdSpent
from libs.events.transaction import Transaction
from libs.service.storetime import day_bounds, day_of
from services.alerts import texts
from services.alerts.domain.incidents import Finding
from services.alerts.handlers.raising import Ended, end_all, raise_once
from services.alerts.rulebook import Rulebook
from services.alerts.rules import Comparison, Verdict
from services.alerts.rules.figures import BUDGET_AHEAD, BUDGET_OVERSPENT, ROAS_BELOW_FLOOR
from services.alerts.store import campaigns, memory, tallies
from services.alerts.store.campaigns import Campaign, Spent
from services.alerts.store.memory import Sku

DIMENSIONS: Final = ("channel", "campaign", "plan", "sku")
EVER: Final = date(1970, 1, 1)


async def take_spend(events: Sequence[Envelope[AdSpent]], tx: Transaction) -> None:
    """Keep what was spent, then judge the campaigns' budgets and the days that have been measured."""
    book = Rulebook(tx)
    dated = [(event, await _day_of(event, book)) for event in events]
    await campaigns.save_spend(dated, tx)
    last = {(e.store, e.data.campaign): e for e in events if e.data.campaign is not None}
    for (store, campaign), event in last.items():
        tx.cause = event
        await judge_budget(store, campaign or "", event.time, book, tx)
    days = {(event.store, day_bounds(day, await book.zone(event.store))[1]) for event, day in dated}
    await judge_spend(days, book, tx)
    tx.cause = None


async def _day_of(event: Envelope[AdSpent], book: Rulebook) -> date:
    if event.data.day is not None:
        return event.data.day
    return date.fromisoformat((event.data.hour or "")[:10])


# return on spend


async def judge_spend(days: Collection[tuple[str, datetime]], book: Rulebook, tx: Transaction) -> None:
    """ALR-3, for days by (store, end) whose sales may have been measured and whose spend may have been reported."""
    for store, end in sorted(days):
        day = day_of(end - timedelta(seconds=1), await book.zone(store))
        for by in DIMENSIONS:
            for spent in await campaigns.load_spent(store, by, day, day, tx):
                await _judge_return(store, by, spent, day, end, book, tx)


async def _judge_return(
    of: str, by: str, spent: Spent, day: date, end: datetime, book: Rulebook, tx: Transaction
) -> None:
    sku = await memory.load_sku(of, spent.value, tx) if by == "sku" else Sku("")
    about = {by: spent.value}
    terms = await book.terms(ROAS_BELOW_FLOOR, of, about, category=sku.category)
    paid = await _paid(of, by, spent.value, end, tx)
    if terms is None or paid is None:
        return
    figures = {"spend_cents": spent.spend_cents, "clicks": spent.clicks, "paid_cents": paid}
    verdict = ROAS_BELOW_FLOOR.judge(figures, terms.numbers)
    if verdict is Verdict.BREACHED:
        shown = {
            **figures,
            "roas": f"{paid / spent.spend_cents:.2f}",
            "floor": f"{terms.numbers['floor']:.2f}",
            "spend": texts.money(spent.spend_cents),
            "day": f"{day}",
            "suggestion": ["pause", "new_bid"],
        }
        await raise_once(Finding(ROAS_BELOW_FLOOR, about, shown, end, sku.title), of, tx)
    elif verdict is Verdict.CLEAR:
        await end_all([Ended(of, ROAS_BELOW_FLOOR, about, end)], tx)


async def _paid(of: str, by: str, value: str, end: datetime, tx: Transaction) -> int | None:
    """What the orders of a channel, campaign, plan or SKU paid in the day that ends then; None until it is measured."""
    if by == "sku":
        whole = await memory.load_measured(of, {""}, [end], tx)
        start = end - timedelta(days=1)
        counts = await tallies.load_counts(of, ["paid"], start, end, tx, values=[value])
        count = counts.get(("paid", value))
        return (count.cents if count else 0) if ("", "day", end) in whole else None
    about = f"campaign={value}" if by == "plan" else f"{by}={value}"
    grain = "day" if by == "channel" else "w24"
    rows = await memory.load_measured(of, {about}, [end], tx)
    measures = rows.get((about, grain, end))
    return None if measures is None else measures.get("paid_amount", 0)


# budgets


async def judge_budget(of: str, campaign: str, at: datetime, book: Rulebook, tx: Transaction) -> None:
    """ALR-10: spent beyond the budget, and beyond what is planned until now."""
    plan = await campaigns.load_campaign(of, campaign, tx)
    spent = await campaigns.load_spent(of, "campaign", EVER, date.max, tx, values=[campaign])
    if plan is None or not plan.plan["budget_cents"] or not spent:
        return
    zone = await book.zone(of)
    figures = _budget_figures(plan, spent[0].spend_cents, tx.now)
    shown = {
        **figures,
        "spend": texts.money(figures["spend_cents"]),
        "budget": texts.money(figures["budget_cents"]),
        "planned": texts.money(figures["planned_cents"]),
        "day": f"{day_of(min(tx.now, plan.ends_at), zone)}",
    }
    for rule in (BUDGET_OVERSPENT, BUDGET_AHEAD):
        await _judge_budget(rule, of, campaign, figures, shown, at, book, tx)


def _budget_figures(plan: Campaign, spend_cents: int, now: datetime) -> dict[str, int]:
    """The plan is even over the campaign's time; what is reported covers whole days, so that a begun day counts."""
    budget = int(plan.plan["budget_cents"])
    whole = max(plan.ends_at - plan.starts_at, timedelta(hours=1))
    elapsed = min(max(now + timedelta(days=1) - plan.starts_at, timedelta(0)), whole)
    return {"spend_cents": spend_cents, "budget_cents": budget, "planned_cents": round(budget * (elapsed / whole))}


async def _judge_budget(
    rule: Comparison,
    of: str,
    campaign: str,
    figures: Mapping[str, int],
    shown: Mapping[str, Any],
    at: datetime,
    book: Rulebook,
    tx: Transaction,
) -> None:
    about = {"campaign": campaign}
    terms = await book.terms(rule, of, about)
    if terms is None:
        return
    if rule.judge(figures, terms.numbers) is Verdict.BREACHED:
        await raise_once(Finding(rule, about, shown, at), of, tx)
    else:
        await end_all([Ended(of, rule, about, at)], tx)


REACTIONS = (on_batch((AdSpent,), take_spend),)
