"""The facts for the evidence of a fallen conversion, from what was remembered (ALR-13)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from libs.events.transaction import Transaction
from services.alerts import evidence
from services.alerts.evidence import CampaignFacts, Case, Counts, Facts, Item, MethodFacts, PartFacts, SkuFacts
from services.alerts.rules import About, Measures
from services.alerts.store import campaigns, competitors, memory, standing, tallies
from services.alerts.store.tallies import Change, Count

TOP: Final = 20
"""So many SKUs that usually sell most are looked at."""
SELLING: Final = timedelta(days=28)
USUAL: Final = timedelta(days=7)
"""What is usual of counts is what the week before had."""
SHORTLY: Final = timedelta(hours=24)
"""Something that was changed within this time before the window's end may matter."""
STOCK: Final = ("sold_out", "back_in")
LISTING: Final = ("listed", "delisted", "title", "image")
SLOW: Final = ("response_presale", "response_aftersale", "solution_overdue")
NOTHING: Final = Count(0, 0)


@dataclass(frozen=True, slots=True)
class Window:
    """The window in which it fell, and the ends of those that it is compared with."""

    store: str
    about: About
    grain: str
    start: datetime
    end: datetime
    compared: Sequence[datetime]


async def investigate(case: Case, window: Window, tx: Transaction) -> tuple[Item, ...]:
    """Make the checks."""
    facts = Facts(
        minutes=(window.end - window.start).total_seconds() / 60,
        skus=await _skus(window, tx),
        channels=await _parts("channel", window, tx),
        sources=await _parts("source", window, tx),
        devices=await _parts("device", window, tx),
        methods=await _methods(window, tx),
        campaigns=await _campaigns(window, tx),
        **await _counts(window, tx),
    )
    return tuple(evidence.gather(case, facts))


# SKUs


async def _skus(window: Window, tx: Transaction) -> list[SkuFacts]:
    of, start, end = window.store, window.start, window.end
    usual = await tallies.load_counts(of, ["placed"], start - SELLING, start, tx)
    shares = _shares(usual, window.about)
    known = await memory.load_skus(of, shares, tx)
    now = await tallies.load_counts(of, ["placed", "bad_review", "complaint"], start, end, tx, values=shares)
    changes = await tallies.list_changes(of, end - SELLING, end, tx, subjects=shares)
    seen = await competitors.list_sightings(of, sorted(shares), end - 2 * SHORTLY, end, tx) if shares else []
    rivals: dict[str, list[tuple[str, int]]] = {}
    for sighting in seen:
        sku = known.get(sighting.sku)
        if sku and sku.price_cents and sighting.price_cents < sku.price_cents:
            rivals.setdefault(sighting.sku, []).append((sighting.rival, sighting.price_cents))
    return [
        _sku(
            memory.Sku(name) if name not in known else known[name],
            share,
            now,
            [change for change in changes if change.subject == name],
            rivals.get(name, []),
            window,
        )
        for name, share in shares.items()
    ]


def _shares(usual: Mapping[tuple[str, str], Count], about: About) -> dict[str, float]:
    """SKU -> its usual share of the orders, of those that sell most."""
    if "sku" in about:
        return {about["sku"]: 1.0}
    whole = usual.get(("placed", ""), NOTHING).n
    sold = sorted(((count.n, value) for (_, value), count in usual.items() if value), reverse=True)[:TOP]
    return {value: n / whole for n, value in sold} if whole else {}


def _sku(
    sku: memory.Sku,
    share: float,
    now: Mapping[tuple[str, str], Count],
    changes: Sequence[Change],
    rivals: Sequence[tuple[str, int]],
    window: Window,
) -> SkuFacts:
    stock = [(change.at, change.kind == "sold_out") for change in changes if change.kind in STOCK]
    recent = [change for change in changes if change.at >= window.end - max(SHORTLY, window.end - window.start)]
    before = evidence.out_minutes(stock, window.start - USUAL, window.start)
    length = (window.end - window.start) / USUAL
    return SkuFacts(
        sku=sku.sku,
        title=sku.title,
        share=share,
        orders=now.get(("placed", sku.sku), NOTHING).n,
        out_minutes=evidence.out_minutes(stock, window.start, window.end),
        usual_out_minutes=before * length,
        prices=tuple((c.data["from"], c.data["to"]) for c in recent if c.kind == "price"),
        listing=tuple(c.kind for c in recent if c.kind in LISTING),
        complaints=sum(now.get((kind, sku.sku), NOTHING).n for kind in ("bad_review", "complaint")),
        rivals=tuple(rivals),
    )


# the rest


async def _parts(by: str, window: Window, tx: Transaction) -> list[PartFacts]:
    """Only of the store: a channel has no channels."""
    if window.about:
        return []
    rows = await memory.load_parts(window.store, by, window.grain, [window.end, *window.compared], tx)
    names = sorted({name for name, _ in rows})
    found = []
    for name in names:
        now: Measures = rows.get((name, window.end), {})
        past = [rows.get((name, at), {}) for at in window.compared if any(end == at for _, end in rows)]
        usual_uv, usual_orders = (_mean(past, measure) for measure in ("uv", "orders_placed_here"))
        found.append(PartFacts(name, now.get("uv", 0), now.get("orders_placed_here", 0), usual_uv, usual_orders))
    return found


def _mean(past: Sequence[Measures], name: str) -> float:
    return sum(measures.get(name, 0) for measures in past) / len(past) if past else 0.0


async def _methods(window: Window, tx: Transaction) -> list[MethodFacts]:
    kinds = ("payment_failed", "payment_succeeded")
    now = await tallies.load_counts(window.store, kinds, window.start, window.end, tx)
    usual = await tallies.load_counts(window.store, kinds, window.start - USUAL, window.start, tx)
    scale = (window.end - window.start) / USUAL
    methods = sorted({value for _, value in (*now, *usual) if value})

    def counts(found: Mapping[tuple[str, str], Count], method: str) -> tuple[int, int]:
        failed, succeeded = (found.get((kind, method), NOTHING).n for kind in kinds)
        return failed, failed + succeeded

    return [
        MethodFacts(method, *counts(now, method), *(n * scale for n in counts(usual, method))) for method in methods
    ]


async def _campaigns(window: Window, tx: Transaction) -> list[CampaignFacts]:
    """Those that began or ended shortly before the window was over."""
    since, found = window.end - max(SHORTLY, window.end - window.start), []
    for campaign in await campaigns.list_campaigns(window.store, since, window.end, tx):
        for what, at in (("started", campaign.starts_at), ("ended", campaign.ends_at)):
            if since <= at < window.end:
                about = f"campaign={campaign.campaign}"
                hours = await memory.list_measured(window.store, about, "w1", at - SHORTLY, at, tx)
                now = await memory.list_measured(window.store, about, "w1", window.start, window.end, tx)
                length = (window.end - window.start) / SHORTLY
                usual = sum(m.get("orders_placed_here", 0) for _, m in hours) * length
                orders = sum(m.get("orders_placed_here", 0) for _, m in now)
                found.append(CampaignFacts(campaign.campaign, what, at, orders, usual))
    return found


async def _counts(window: Window, tx: Transaction) -> dict[str, Any]:
    kinds = {"bad_reviews": "bad_review", "complaints": "complaint", "refunds": "refund"}
    value = window.about.get("sku", "")
    now = await tallies.load_counts(window.store, kinds.values(), window.start, window.end, tx, values=[value])
    usual = await tallies.load_counts(
        window.store, kinds.values(), window.start - USUAL, window.start, tx, values=[value]
    )
    scale = (window.end - window.start) / USUAL
    counts = {
        name: Counts(now.get((kind, value), NOTHING).n, usual.get((kind, value), NOTHING).n * scale)
        for name, kind in kinds.items()
    }
    return {**counts, "slow_answers": await _slow(window, SLOW, scale, tx)}


async def _slow(window: Window, rules: Collection[str], scale: float, tx: Transaction) -> Counts:
    now = await standing.count_incidents(window.store, rules, window.start, window.end, tx)
    usual = await standing.count_incidents(window.store, rules, window.start - USUAL, window.start, tx)
    return Counts(now, usual * scale)
