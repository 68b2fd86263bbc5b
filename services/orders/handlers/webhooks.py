"""What other shops send: kept at once, mapped later by a worker that leases it; one transaction a message (D53, D8)."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from libs.events import strict_json
from libs.events.failures import Transient, Verdict, decide
from libs.events.transaction import Transaction, Transactions
from libs.service.errors import NotFound, Problem
from libs.service.privacy import Pseudonyms, mask_text
from libs.service.stores import StoreInfo
from services.orders import inbox
from services.orders import store as db
from services.orders.domain import imports, money, news
from services.orders.domain.imports import Circumstances, MoneyBack
from services.orders.domain.news import Around, News, by_now
from services.orders.domain.review import Consignee
from services.orders.domain.state import Order
from services.orders.domain.timers import Due, timers_of
from services.orders.gathering import with_goods
from services.orders.handlers.common import FUTURE, policies, save, tell, tell_quarantined
from services.orders.handlers.placing import Kit, keep_consignee, kept_consignee, mark_service
from services.orders.hooks import shopify, signed, woocommerce
from services.orders.hooks.reading import Shop
from services.orders.inbox import Delivery, Outcome
from services.orders.metrics import WEBHOOKS
from services.orders.sealing import Sealer

LEASE = timedelta(seconds=30)
CLAIM = 100
PATIENCE = timedelta(hours=24)
"""So long a refund or a parcel waits for its order, which shops may send later."""
KEEP_BODY = timedelta(days=7)
KEEP_KEY = timedelta(days=90)
"""So long a repeat is known as one; later it is taken again, and changes nothing."""
LONGEST_REASON = 500

# secrets


def seal_secrets(sealer: Sealer, store: str, kind: str, secrets: Sequence[str]) -> bytes:
    """Secrets as they may be kept."""
    return sealer.seal_bytes(json.dumps(list(secrets)).encode(), store, "webhook source", kind)


def open_secrets(sealer: Sealer, store: str, source: inbox.Source) -> list[str]:
    """The secrets of a source."""
    found: list[str] = json.loads(sealer.open_bytes(source.secrets, store, "webhook source", source.kind))
    return found


# receiving


async def receive(delivery: Delivery, tx: Transaction, sealer: Sealer) -> bool:
    """Keep a genuine message, sealed; False when it is a repeat."""
    body = sealer.seal_bytes(delivery.body, tx.store, "webhook", delivery.webhook_id)
    return await inbox.insert_delivery(tx.session, tx.store, replace(delivery, body=body))


# mapping


@dataclass(frozen=True, slots=True)
class Mapper:
    """What mapping needs besides the message."""

    worker: Transactions
    kit: Kit
    pseudonyms: Callable[[], Pseudonyms]
    stores: Callable[[str], Any]

    async def run(self) -> None:
        """Map everything that waits. What fails for the moment comes due again when its lease ends."""
        while True:
            async with self.worker.begin() as tx:
                due = await inbox.claim_deliveries(tx.session, tx.now, lease=LEASE, limit=CLAIM)
            for store, webhook_id in due:
                await self._map(store, webhook_id)
            if len(due) < CLAIM:
                return

    async def purge(self) -> None:
        """Forget bodies a week after they were mapped, and repeats after a season."""
        async with self.worker.begin() as tx:
            await inbox.purge_bodies(tx.session, tx.now - KEEP_BODY)
            await inbox.forget_deliveries(tx.session, tx.now - KEEP_KEY)

    async def _map(self, store: str, webhook_id: str) -> None:
        try:
            await self._take(store, webhook_id)
        except Exception as refused:
            if decide(refused) is not Verdict.DEAD_LETTER:
                raise
            async with self.worker.begin(store) as tx:
                delivery = await inbox.load_delivery(tx.session, store, webhook_id)
                if delivery is None:
                    return
                outcome = Outcome("failed", reason=reason_of(refused))
                await inbox.finish_delivery(tx.session, store, webhook_id, outcome, tx.now)
            WEBHOOKS.labels(delivery.kind, outcome.status).inc()

    async def _take(self, store: str, webhook_id: str) -> None:
        info: StoreInfo = await self.stores(store)
        async with self.worker.begin(store) as tx:
            delivery = await inbox.load_delivery(tx.session, store, webhook_id)
            if delivery is None:
                return
            outcome = await self._outcome(delivery, info, tx)
            await inbox.finish_delivery(tx.session, store, webhook_id, outcome, tx.now)
        WEBHOOKS.labels(delivery.kind, outcome.status).inc()

    async def _outcome(self, delivery: Delivery, info: StoreInfo, tx: Transaction) -> Outcome:
        body = self.kit.sealer.open_bytes(delivery.body, tx.store, "webhook", delivery.webhook_id)
        decoded = strict_json.loads(body)
        if delivery.topic == REDACT:
            return await _redact(decoded, delivery.kind, tx)
        source = await inbox.load_source(tx.session, tx.store, delivery.kind)
        currency = (source.currency if source else None) or info.currency
        shop = Shop(delivery.kind, currency, source.sku_map if source else {}, delivery.received_at)
        told = _read(delivery, decoded, shop, self.pseudonyms())
        if told is None:
            return Outcome("ignored", reason=f"nothing is done about {delivery.topic}")
        if told.sale is not None and told.sale.order.placed_at > tx.now + FUTURE:
            return _quarantine(told.sale.order, told, tx)
        return await take(told, delivery.received_at, tx, self.kit)


def _read(delivery: Delivery, decoded: Any, shop: Shop, pseudonyms: Pseudonyms) -> News | None:
    if delivery.kind == "signed":
        return signed.read(decoded, shop, pseudonyms)
    reader = shopify.read if delivery.kind == "shopify" else woocommerce.read
    if not isinstance(decoded, dict):
        raise ValueError("not an object")
    return reader(delivery.topic, decoded, shop)


def reason_of(refused: Exception) -> str:
    """Why a message could not be mapped, without what is in it."""
    if isinstance(refused, Problem):
        places = [f"{error['pointer']}: {error['message']}" for error in refused.errors]
        return mask_text("; ".join([refused.detail, *places]))[:LONGEST_REASON]
    errors = getattr(refused, "errors", None)
    if callable(errors):
        found = errors(include_url=False, include_input=False, include_context=False)
        places = ["/".join(map(str, error["loc"])) + ": " + error["msg"] for error in found]
        return mask_text("; ".join(places))[:LONGEST_REASON]
    return mask_text(str(refused) if isinstance(refused, ValueError) else type(refused).__name__)[:LONGEST_REASON]


def _quarantine(order: Order, told: News, tx: Transaction) -> Outcome:
    """An order dated in the future is told with its money, and waits until its time has come (D64).

    The event is the same whenever it is told: it counts once in what is held back.
    """
    tell_quarantined(order, tx)
    return Outcome("quarantined", order.order_id, told.told_at, "dated in the future", due_at=order.placed_at)


async def take(told: News, received_at: datetime, tx: Transaction, kit: Kit) -> Outcome:
    """Take the news in, or wait for the order that they are about."""
    before = await db.load_order(tx.session, tx.store, told.order_id, lock=True)
    told = await _checked(told, tx)
    try:
        taken = news.take_news(before, told, await _around(told, tx, kit))
    except NotFound:
        return await _wait(told, received_at, tx)
    if before is None:
        await _insert(taken, told, tx, kit)
    else:
        await save(tx, tx.store, before, (taken.order, taken.happened))
        if taken.is_moved and told.sale is not None and told.sale.consignee is not None:
            await keep_consignee(told.order_id, told.sale.consignee, tx, kit)
    return Outcome("mapped", told.order_id, told.told_at, "; ".join(taken.notes)[:LONGEST_REASON] or None)


async def _checked(told: News, tx: Transaction) -> News:
    """The order with its services marked (D9). Raises Validation for sums that cannot be."""
    told = by_now(told, tx.now)
    if told.sale is None:
        return told
    order = told.sale.order
    if not order.lines:
        raise ValueError("an order without lines")
    money.check_amounts(order.lines, discount=order.discount_cents, shipping=order.shipping_cents)
    kinds = await db.load_kinds(tx.session, tx.store, {line.sku for line in order.lines})
    lines = tuple(mark_service(line, kinds.get(line.sku)) for line in order.lines)
    return replace(told, sale=replace(told.sale, order=replace(order, lines=lines)))


async def _around(told: News, tx: Transaction, kit: Kit) -> Around:
    order = told.sale.order if told.sale else None
    skus = {line.sku for line in order.lines} if order else set()
    known = await db.load_kinds(tx.session, tx.store, skus)
    customers = [order.customer_id] if order and order.customer_id else []
    circumstances = Circumstances(
        promise=(await policies(tx, tx.store)).ship_promise,
        limits=kit.limits,
        unknown_skus=tuple(sorted(skus - set(known))),
        is_first_order=not await db.find_buyers(tx.session, tx.store, customers),
    )
    kept: Consignee | None = await kept_consignee(told.order_id, tx, kit)
    return Around(circumstances, kept, await inbox.latest_news(tx.session, tx.store, told.order_id))


async def _insert(taken: news.Taken, told: News, tx: Transaction, kit: Kit) -> None:
    if not await db.insert_orders(tx.session, tx.store, [taken.order]):
        raise Transient("the same order came in at the same time")
    if told.sale is not None and told.sale.consignee is not None:
        await keep_consignee(told.order_id, told.sale.consignee, tx, kit)
    due = timers_of(taken.order, await policies(tx, tx.store))
    await db.arm_timers(tx.session, {Due(tx.store, kind, told.order_id): at for kind, at in due.items()})
    tell(tx, tx.store, taken.happened)


async def _wait(told: News, received_at: datetime, tx: Transaction) -> Outcome:
    """Shops send in any order: what is about an order waits for it; money that went back is then told alone (D51)."""
    waited = tx.now - received_at
    if waited < PATIENCE:
        pause = min(timedelta(minutes=10), max(timedelta(seconds=5), waited))
        return Outcome("received", told.order_id, None, "waits for its order", due_at=tx.now + pause)
    refunds = [back for back in told.back if isinstance(back, MoneyBack)]
    if not refunds:
        return Outcome("failed", told.order_id, told.told_at, "nobody has told of its order")
    for back in refunds:
        _, happened = imports.take_money_back(None, back)
        await db.insert_refund_of_unknown_order(tx.session, tx.store, told.order_id, with_goods(back))
        tell(tx, tx.store, happened)
    return Outcome("mapped", told.order_id, told.told_at, "nobody has told of its order")


REDACT = "customers/redact"


async def _redact(decoded: Any, kind: str, tx: Transaction) -> Outcome:
    """A shop was asked to forget a customer: the personal data of his orders goes at once."""
    named = decoded.get("orders_to_redact", ()) if isinstance(decoded, Mapping) else ()
    ids = [f"{kind}:{one}" for one in named] if isinstance(named, list) else []
    count = await inbox.forget_consignees_of(tx.session, tx.store, ids)
    return Outcome("mapped", reason=f"personal data of {count} orders was deleted")
