"""SKUs."""

from typing import Annotated

from fastapi import Path, Query
from starlette.responses import Response

from libs.events.contracts.base import Label, Sku
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call
from libs.service.errors import NotFound, Validation, fault
from libs.service.pagination import Page, listing
from libs.service.routes import Router
from services.inventory.answers import sku_body
from services.inventory.bodies import NamedSkus, SkuBody
from services.inventory.handlers.catalogue import put_skus
from services.inventory.store import catalogue

router = Router(tag="catalogue")

SkuPath = Annotated[Sku, Path()]


@router.put("/v1/skus/{sku}", scope="inventory:write")
async def put_sku(sku: SkuPath, body: SkuBody, call: Call) -> Response:
    """Say what a SKU is; the same again changes nothing."""
    await call.store_info()

    async def action(tx: Transaction) -> Answer:
        if call.request.headers.get("if-match") is not None:
            present = await catalogue.load_skus(tx.session, tx.store, [sku], lock=True)
            call.require_match(present[sku].version if sku in present else 0)
        (saved,) = await put_skus([body.wish(sku, tx.now)], tx, by=call.actor)
        return Answer(200, sku_body(saved), etag=saved.version)

    return await call.once(action)


@router.put("/v1/skus", scope="inventory:write", large=True)
async def put_many(body: NamedSkus, call: Call) -> Response:
    """Say what many SKUs are, all or none."""
    await call.store_info()
    seen: set[str] = set()
    for n, item in enumerate(body):
        if item.sku in seen:
            raise Validation(f"{item.sku} is there twice", errors=[fault(f"/{n}/sku", "duplicate", "there twice")])
        seen.add(item.sku)

    async def action(tx: Transaction) -> Answer:
        saved = await put_skus([item.wish(item.sku, tx.now, f"/{n}") for n, item in enumerate(body)], tx, by=call.actor)
        return Answer(200, {"items": [{"sku": sku.sku, "version": sku.version} for sku in saved]})

    return await call.once(action)


@router.get("/v1/skus/{sku}", scope="inventory:read")
async def show(sku: SkuPath, call: Call) -> Response:
    """A SKU."""
    await call.store_info()
    async with call.read() as tx:
        found = (await catalogue.load_skus(tx.session, tx.store, [sku])).get(sku)
    if found is None:
        raise NotFound("no such SKU")
    return await call.reply(Answer(200, sku_body(found), etag=found.version))


@router.get("/v1/skus", scope="inventory:read")
async def list_all(
    call: Call,
    page: Page,
    category: Annotated[Label | None, Query()] = None,
    listed: Annotated[bool | None, Query()] = None,
) -> Response:
    """SKUs by code."""
    await call.store_info()
    after = page.after(str)
    async with call.read() as tx:
        rows = await catalogue.list_skus(
            tx.session,
            tx.store,
            after=after[0] if after else None,
            limit=page.fetch,
            category=category,
            listed=listed,
        )
    shown, cursor = listing(page, rows, lambda sku: (sku.sku,))
    return await call.page([sku_body(sku) for sku in shown], cursor)
