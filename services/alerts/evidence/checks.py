"""The checks, one function each. Pure; none claims a cause."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.alerts.evidence.facts import Case, Facts, PartFacts, SkuFacts


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check. `lost` None: it cannot be counted in orders."""

    name: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    lost: float | None
    zh: str
    en: str


# SKUs: a stock-out first, then whatever else happened to one that sells less


def explain_skus(case: Case, facts: Facts) -> dict[str, float]:
    """Lost orders by check. A SKU's own shortfall bounds what its stock-out, price, listing and so on can explain."""
    lost = dict.fromkeys(("stock", "price", "listing", "reviews", "competitor"), 0.0)
    for sku in facts.skus:
        shortfall = max(0.0, sku.share * case.expected - sku.orders)
        out = max(0.0, sku.out_minutes - sku.usual_out_minutes) / facts.minutes if facts.minutes else 0.0
        by_stock = min(shortfall, sku.share * case.expected * min(1.0, out))
        lost["stock"] += by_stock
        others = _happened(sku)
        for name in others:
            lost[name] += (shortfall - by_stock) / len(others)
    return lost


def _happened(sku: SkuFacts) -> list[str]:
    """What besides a stock-out happened to it."""
    happened = {
        "price": any((to or 0) > (was or 0) for was, to in sku.prices),
        "listing": bool(sku.listing),
        "reviews": sku.complaints > 0,
        "competitor": bool(sku.rivals),
    }
    return [name for name, is_so in happened.items() if is_so]


def stock(facts: Facts, lost: float) -> Check:
    out = [sku for sku in facts.skus if sku.out_minutes > 0]
    before = {"out_minutes": round(sum(sku.usual_out_minutes for sku in facts.skus), 1)}
    minutes = sum(sku.out_minutes for sku in out)
    skus = [{"sku": sku.sku, "minutes": round(sku.out_minutes, 1), "orders": sku.orders} for sku in out]
    names = _names(out)
    return Check(
        "stock",
        before,
        {"out_minutes": round(minutes, 1), "skus": skus},
        lost,
        f"热销商品缺货 {minutes:.0f} 分钟: {names}" if out else "热销商品没有缺货",
        f"best sellers were out of stock for {minutes:.0f} min: {names}" if out else "no best seller was out of stock",
    )


def _names(skus: Iterable[SkuFacts]) -> str:
    return ", ".join(f"{sku.sku} {sku.title}".strip() for sku in skus)


def price(facts: Facts, lost: float) -> Check:
    changed = [sku for sku in facts.skus if sku.prices]
    names = _names(changed)
    return Check(
        "price",
        {sku.sku: sku.prices[0][0] for sku in changed},
        {sku.sku: sku.prices[-1][1] for sku in changed},
        lost,
        f"价格变动: {names}" if changed else "热销商品价格没有变动",
        f"prices changed: {names}" if changed else "no price of a best seller changed",
    )


def listing(facts: Facts, lost: float) -> Check:
    changed = [sku for sku in facts.skus if sku.listing]
    names = _names(changed)
    return Check(
        "listing",
        {"changes": 0},
        {"changes": sum(len(sku.listing) for sku in changed), "skus": {sku.sku: list(sku.listing) for sku in changed}},
        lost,
        f"上下架, 标题或主图变动: {names}" if changed else "热销商品的上架, 标题和主图没有变动",
        f"listing, title or image changed: {names}" if changed else "no listing, title or image changed",
    )


def reviews(facts: Facts, lost: float) -> Check:
    counts = {"bad_reviews": facts.bad_reviews, "complaints": facts.complaints, "refunds": facts.refunds}
    before = {name: round(count.usual, 2) for name, count in counts.items()}
    after = {name: count.now for name, count in counts.items()}
    b, c, r = (after[name] for name in counts)
    return Check(
        "reviews",
        before,
        after,
        lost,
        f"中差评 {b} 条, 投诉 {c} 起, 退款 {r} 笔",
        f"{b} bad reviews, {c} complaints, {r} refunds",
    )


def competitor(facts: Facts, lost: float) -> Check:
    undercut = [sku for sku in facts.skus if sku.rivals]
    seen = {sku.sku: [{"rival": rival, "price_cents": price} for rival, price in sku.rivals] for sku in undercut}
    names = _names(undercut)
    return Check(
        "competitor",
        {},
        {"lower_prices": seen},
        lost,
        f"竞品价格更低: {names}" if undercut else "没有记录到更低的竞品价格",
        f"rivals ask less for: {names}" if undercut else "no lower price of a rival was logged",
    )


# traffic, campaigns, payments, service


def traffic(facts: Facts) -> Check:
    """Mix against rate: what the usual rates would have made of the visitors as they came, by channel, source, device.

    The three look at the same visitors, so that the one that says most counts.
    """
    parts = {"channel": facts.channels, "source": facts.sources, "device": facts.devices}
    by, lost = max(((by, _mix(found)) for by, found in parts.items()), key=lambda one: one[1])
    zh = {"channel": "渠道", "source": "来源", "device": "设备"}[by]
    return Check(
        "traffic",
        {name: {p.name: _rate(p.usual_uv, p.usual_orders) for p in found} for name, found in parts.items() if found},
        {name: {p.name: _rate(p.uv, p.orders) for p in found} for name, found in parts.items() if found},
        lost,
        f"{zh}构成变化使订单减少约 {lost:.1f} 单" if lost >= 0.05 else "流量构成没有使订单减少",
        f"the mix by {by} accounts for {lost:.1f} orders" if lost >= 0.05 else "the mix of traffic took no orders",
    )


def _mix(parts: Sequence[PartFacts]) -> float:
    """Orders lost by visitors coming from other parts than usual, each part at its usual rate."""
    uv, usual_uv = sum(p.uv for p in parts), sum(p.usual_uv for p in parts)
    if not uv or not usual_uv:
        return 0.0
    moved = ((p.uv / uv - p.usual_uv / usual_uv) * p.usual_orders / p.usual_uv for p in parts if p.usual_uv)
    return max(0.0, -sum(moved) * uv)


def _rate(uv: float, orders: float) -> dict[str, Any]:
    return {"uv": round(uv, 1), "orders": round(orders, 1), "rate": round(orders / uv, 6) if uv else None}


def campaign(facts: Facts) -> Check:
    ended = [c for c in facts.campaigns if c.what == "ended"]
    lost = sum(max(0.0, c.usual_orders - c.orders) for c in ended)
    names = ", ".join(f"{c.campaign} ({c.what})" for c in facts.campaigns)
    zh_names = ", ".join(f"{c.campaign} ({'结束' if c.what == 'ended' else '开始'})" for c in facts.campaigns)
    return Check(
        "campaign",
        {c.campaign: {"orders": round(c.usual_orders, 1)} for c in facts.campaigns},
        {c.campaign: {"orders": c.orders, c.what: c.at.isoformat()} for c in facts.campaigns},
        lost,
        f"活动变动: {zh_names}" if facts.campaigns else "没有活动开始或结束",
        f"campaigns: {names}" if facts.campaigns else "no campaign began or ended",
    )


def payment(facts: Facts) -> Check:
    lost = sum(
        max(0.0, m.failed - m.tried * (m.usual_failed / m.usual_tried if m.usual_tried else 0.0)) for m in facts.methods
    )
    failed = {m.method: {"failed": m.failed, "tried": m.tried} for m in facts.methods}
    usual = {m.method: {"failed": round(m.usual_failed, 1), "tried": round(m.usual_tried, 1)} for m in facts.methods}
    whole = sum(m.failed for m in facts.methods)
    return Check(
        "payment",
        usual,
        failed,
        lost,
        f"支付失败 {whole} 次, 比平时多 {lost:.1f} 次",
        f"{whole} payments failed, {lost:.1f} more than usual",
    )


def service(facts: Facts) -> Check:
    count = facts.slow_answers
    return Check(
        "service",
        {"slow_answers": round(count.usual, 2)},
        {"slow_answers": count.now},
        None,
        f"客服超时 {count.now} 次, 平时 {count.usual:.1f} 次",
        f"{count.now} slow answers, usually {count.usual:.1f}",
    )
