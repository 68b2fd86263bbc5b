"""Campaigns: their plan is checked; their stock, sales and review are watched (ALR-4, 8, 9, INV-7, RPT-4)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from libs.events.codec import Envelope
from libs.events.consumer import on, on_batch
from libs.events.contracts import CampaignChanged, CampaignEnded, CampaignPlanned, KpiMeasured, StockLocked
from libs.events.transaction import Transaction
from libs.service.storetime import day_bounds, day_of
from services.alerts import texts
from services.alerts.domain.incidents import Finding
from services.alerts.handlers.moves import Moves
from services.alerts.handlers.raising import Ended, end_all, raise_once
from services.alerts.handlers.spending import judge_budget
from services.alerts.handlers.wording import find_words
from services.alerts.rulebook import Rulebook, Terms
from services.alerts.rules import Verdict
from services.alerts.rules.figures import CAMPAIGN_BEHIND_PLAN
from services.alerts.rules.planning import CAMPAIGN_PRICE, Priced, wrong_price
from services.alerts.rules.running import REVIEW_LATE
from services.alerts.rules.stock import LISTED, LOCK_INCOMPLETE
from services.alerts.store import campaigns, memory, tallies
from services.alerts.store.campaigns import Campaign
from services.alerts.store.timers import Timer

PLANS: Final = (CampaignPlanned, CampaignChanged, CampaignEnded)
SALES: Final[Mapping[str, str]] = {"gmv": "gmv", "paid_amount": "paid_amount", "net_sales": "paid_amount"}
"""Goal of a campaign -> the measure that its sales are read from (ALR-4)."""
HOUR: Final = timedelta(hours=1)
SATURDAY: Final = 5


async def take_plans(events: Sequence[Envelope[Any]], tx: Transaction) -> None:
    """A campaign was planned, changed or ended: keep it, check it, set its deadlines."""
    for event in events:
        if not await campaigns.save_campaign(event, tx):
            continue
        tx.cause = event
        book = Rulebook(tx)
        await _check_prices(event, book, tx)
        words = {"theme": event.data.theme, "offer": event.data.offer}
        await end_all(await find_words(event, {"campaign": event.data.campaign}, words, book, tx), tx)
        await _set_deadlines(event, book, tx)
        await judge_budget(event.store, event.data.campaign, event.time, book, tx)
    tx.cause = None


# prices


async def _check_prices(event: Envelope[Any], book: Rulebook, tx: Transaction) -> None:
    """ALR-8: well under the daily price, and not above the lowest of the last days."""
    data, about = event.data, {"campaign": event.data.campaign}
    terms = await book.terms(CAMPAIGN_PRICE, event.store, about)
    if terms is None:
        return
    wrong = await _wrong_prices(event, terms, tx)
    if not wrong:
        await end_all([Ended(event.store, CAMPAIGN_PRICE, about, event.time)], tx)
        return
    figures = {
        "count": len(wrong),
        "skus": wrong[:LISTED],
        "share": texts.percent(terms.numbers["share"]),
        "days": int(terms.numbers["days"]),
        "theme": data.theme,
    }
    await raise_once(Finding(CAMPAIGN_PRICE, about, figures, event.time), event.store, tx)


async def _wrong_prices(event: Envelope[Any], terms: Terms, tx: Transaction) -> list[Mapping[str, Any]]:
    lines = {line.sku: line.price_cents for line in event.data.skus if line.price_cents is not None}
    known = await memory.load_skus(event.store, lines, tx)
    since = event.time - timedelta(days=terms.numbers["days"])
    changes = await tallies.list_changes(event.store, since, event.time, tx, kinds=["price"], subjects=lines)
    lowest: dict[str, int] = {sku: known[sku].price_cents or 0 for sku in known if known[sku].price_cents}
    for change in changes:
        prices = [price for price in (change.data["from"], change.data["to"]) if price is not None]
        lowest[change.subject] = min([*prices, lowest.get(change.subject, prices[0])])
    priced = [
        Priced(sku, price, known[sku].price_cents if sku in known else None, lowest.get(sku))
        for sku, price in sorted(lines.items())
    ]
    return [wrong for one in priced if (wrong := wrong_price(one, terms.numbers)) is not None]


# stock and review


async def _set_deadlines(event: Envelope[Any], book: Rulebook, tx: Transaction) -> None:
    data, about, moves = event.data, {"campaign": event.data.campaign}, Moves(tx)
    await _set_lock(event, book, moves)
    terms = await book.terms(REVIEW_LATE, event.store, about)
    if terms is not None:
        days = int(terms.numbers["working_days"])
        due = working_days_after(data.ends_at, days, await book.zone(event.store))
        figures = {"working_days": days, "theme": data.theme, "ended_at": data.ends_at.isoformat()}
        moves.start(event, Timer(event.store, REVIEW_LATE.id, data.campaign, "reports", due, about, figures))
    await moves.save()


async def _set_lock(event: Envelope[Any], book: Rulebook, moves: Moves) -> None:
    """INV-7: by so many days before its start, all its stock is locked; one that has begun late, at once."""
    data, about = event.data, {"campaign": event.data.campaign}
    terms = await book.terms(LOCK_INCOMPLETE, event.store, about)
    is_over = isinstance(data, CampaignEnded) or data.ends_at <= event.time
    if terms is None or is_over or not any(line.quantity for line in data.skus):
        moves.stop(event, LOCK_INCOMPLETE, about)
        return
    due = max(data.starts_at - timedelta(days=terms.numbers["lead_days"]), event.time)
    moves.start(event, Timer(event.store, LOCK_INCOMPLETE.id, data.campaign, "inventory", due, about))


def working_days_after(end: datetime, days: int, zone: tzinfo) -> datetime:
    """The end of the last of so many working days (Monday to Friday) after an instant."""
    day = day_of(end, zone)
    while days > 0:
        day += timedelta(days=1)
        days -= day.weekday() < SATURDAY
    return day_bounds(day, zone)[1]


async def lock_figures(of: str, campaign: str, tx: Transaction) -> Mapping[str, Any] | None:
    """What is missing of a campaign's stock; None where all is locked."""
    plan = await campaigns.load_campaign(of, campaign, tx)
    if plan is None:
        return None
    locked = await campaigns.load_locks(of, campaign, tx)
    short = [
        {"sku": sku, "wanted": wanted, "locked": locked.get(sku, 0)}
        for sku, wanted in sorted(plan.promised.items())
        if locked.get(sku, 0) < wanted
    ]
    if not short:
        return None
    whole = sum(min(locked.get(sku, 0), wanted) for sku, wanted in plan.promised.items())
    return {"wanted": sum(plan.promised.values()), "locked": whole, "skus": short[:LISTED], "count": len(short)}


async def take_lock(event: Envelope[StockLocked], tx: Transaction) -> None:
    """Stock was set aside for a campaign; when it is all there, nothing is missing any more."""
    data = event.data
    whole = data.locked if data.locked is not None else data.quantity
    await campaigns.save_lock(event.store, data.campaign, data.sku, whole, event.time, tx)
    known = await campaigns.load_campaign(event.store, data.campaign, tx)
    if known is not None and await lock_figures(event.store, data.campaign, tx) is None:
        moves = Moves(tx)
        moves.stop(event, LOCK_INCOMPLETE, {"campaign": data.campaign})
        await moves.save()


# sales against plan


async def judge_campaigns(events: Sequence[Envelope[KpiMeasured]], book: Rulebook, tx: Transaction) -> None:
    """Every hour, when all of its windows have been told: is a running campaign behind its plan (ALR-4)?"""
    for event in events:
        end = event.data.end
        for campaign in await campaigns.list_campaigns(event.store, end - HOUR, end, tx):
            if campaign.starts_at < end <= campaign.ends_at + HOUR:
                tx.cause = event
                await _judge_sales(event.store, campaign, end, book, tx)


async def _judge_sales(of: str, campaign: Campaign, end: datetime, book: Rulebook, tx: Transaction) -> None:
    about = {"campaign": campaign.campaign}
    terms = await book.terms(CAMPAIGN_BEHIND_PLAN, of, about)
    goal = next((name for name in SALES if campaign.plan["goals"].get(name)), None)
    if terms is None or goal is None:
        return
    since = campaign.starts_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = await memory.list_measured(of, "", "w1", since, end, tx)
    if len(hours) < round((end - since) / HOUR):
        return
    sold = await memory.list_measured(of, f"campaign={campaign.campaign}", "w1", since, end, tx)
    actual = sum(measures.get(SALES[goal], 0) for _, measures in sold)
    share = min(1.0, (end - campaign.starts_at) / max(campaign.ends_at - campaign.starts_at, HOUR))
    planned = float(campaign.plan["goals"][goal]) * share
    figures = {"actual": float(actual), "planned": planned, "hours": (end - campaign.starts_at) / HOUR}
    await _settle_sales(of, about, figures, end, terms, tx)


async def _settle_sales(
    of: str, about: Mapping[str, str], figures: Mapping[str, float], end: datetime, terms: Terms, tx: Transaction
) -> None:
    verdict = CAMPAIGN_BEHIND_PLAN.judge(figures, terms.numbers)
    if verdict is Verdict.BREACHED:
        behind = 1 - figures["actual"] / figures["planned"]
        shown = {
            "actual": int(figures["actual"]),
            "planned": round(figures["planned"]),
            "hours": round(figures["hours"], 2),
            "actual_text": texts.money(int(figures["actual"])),
            "planned_text": texts.money(round(figures["planned"])),
            "behind": texts.percent(round(behind, 6)),
        }
        await raise_once(Finding(CAMPAIGN_BEHIND_PLAN, about, shown, end), of, tx)
    elif verdict is Verdict.CLEAR:
        await end_all([Ended(of, CAMPAIGN_BEHIND_PLAN, about, end)], tx)


REACTIONS = (on_batch(PLANS, take_plans), on(StockLocked, take_lock))
