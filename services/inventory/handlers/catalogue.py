"""SKUs: listed, changed, delisted; their level is told what the catalogue says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from libs.events.contracts import SkuChanged, SkuDelisted, SkuListed
from libs.events.contracts.base import Event
from libs.events.contracts.inventory import SkuFields
from libs.events.transaction import Transaction
from libs.service.errors import Conflict
from services.inventory.domain.commands import Cause, Describe
from services.inventory.domain.policy import Policies
from services.inventory.handlers.apply import apply
from services.inventory.store import catalogue
from services.inventory.store.book import goods_with_stock
from services.inventory.store.catalogue import Sku

_FIELDS = tuple(SkuFields.model_fields)


@dataclass(frozen=True, slots=True)
class SkuWish:
    """What a caller says about a SKU; `at` is when that was decided (D10)."""

    sku: str
    kind: Literal["goods", "service"]
    title: str
    category: str | None
    price_cents: int
    cost_cents: int | None
    safety: int | None
    lead_days: int | None
    image_url: str | None
    listed: bool
    at: datetime

    def after(self, before: Sku | None, tx: Transaction) -> Sku:
        """The SKU as it is from now on."""
        return Sku(
            tx.store,
            self.sku,
            before.version + 1 if before else 1,
            self.kind,
            self.title,
            self.category,
            self.price_cents,
            self.cost_cents,
            self.safety,
            self.lead_days,
            self.image_url,
            self.listed,
            self.at,
            tx.now,
        )


async def put_skus(wishes: Sequence[SkuWish], tx: Transaction, *, by: str) -> list[Sku]:
    """Take over what is said about these SKUs; what is older than what is known already changes nothing (D10).

    Raises Conflict when goods that have stock are to become a service.
    """
    known = await catalogue.load_skus(tx.session, tx.store, [wish.sku for wish in wishes], lock=True)
    saved = {wish.sku: _next(wish, known.get(wish.sku), tx) for wish in wishes}
    changed = [sku for sku in saved.values() if sku is not known.get(sku.sku)]
    await _refuse_services_with_stock(changed, known, tx)
    await catalogue.save_skus(tx.session, changed)
    for sku in changed:
        for event in events_of(known.get(sku.sku), sku, by=by):
            tx.emit(event, time=sku.changed_at)
    await _describe(changed, tx, by=by)
    return [saved[wish.sku] for wish in wishes]


def _next(wish: SkuWish, before: Sku | None, tx: Transaction) -> Sku:
    if before is None:
        return wish.after(before, tx)
    if wish.at < before.changed_at:
        return before
    after = wish.after(before, tx)
    unchanged = replace(after, version=before.version, changed_at=before.changed_at, changed_recorded_at=tx.now)
    return before if unchanged == replace(before, changed_recorded_at=tx.now) else after


async def _refuse_services_with_stock(changed: Sequence[Sku], known: dict[str, Sku], tx: Transaction) -> None:
    turned = [s.sku for s in changed if s.kind == "service" and s.sku in known and known[s.sku].kind == "goods"]
    stocked = await goods_with_stock(tx.session, tx.store, turned)
    if stocked:
        raise Conflict(f"{stocked[0]} has stock; it cannot become a service")


def events_of(before: Sku | None, after: Sku, *, by: str) -> list[Event]:
    """What is told of a change: that it is on sale, no longer on sale, or what is different."""
    if before is None or before.listed != after.listed:
        events: list[Event] = [_listing(after)]
        return events if before is None else [*_difference(before, after, by), *events]
    return _difference(before, after, by)


def _listing(sku: Sku) -> Event:
    kind = SkuListed if sku.listed else SkuDelisted
    return kind(
        sku=sku.sku,
        kind=sku.kind,
        title=sku.title,
        category=sku.category,
        image_url=sku.image_url,
        price_cents=sku.price_cents,
        cost_cents=sku.cost_cents,
        safety=sku.safety,
        lead_days=sku.lead_days,
    )


def _difference(before: Sku, after: Sku, by: str) -> list[Event]:
    names = [name for name in _FIELDS if getattr(before, name) != getattr(after, name)]
    if not names:
        return []

    def fields(sku: Sku) -> SkuFields:
        told: dict[str, Any] = {name: getattr(sku, name) for name in names}
        return SkuFields(**told)

    return [SkuChanged(sku=after.sku, before=fields(before), after=fields(after), by=by)]


async def _describe(changed: Sequence[Sku], tx: Transaction, *, by: str) -> None:
    policies = Policies(await catalogue.load_policies(tx.session, tx.store), tx.now)
    commands = []
    for sku in changed:
        told = policies.describe(sku.safety, sku.category)
        is_goods = sku.kind == "goods"
        cause = Cause("sku", sku.sku, sku.changed_at, by, tx.import_id)
        commands.append(
            Describe(tx.store, cause, sku.sku, told.safety, told.safety_hidden if is_goods else 0, is_goods)
        )
    await apply(commands, tx)
