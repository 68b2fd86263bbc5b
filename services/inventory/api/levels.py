"""Stock: levels with their reasons."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, cast

from fastapi import Path, Query
from starlette.responses import Response

from libs.events.contracts.base import Sku
from libs.service.call import Answer, Call
from libs.service.errors import NotFound
from libs.service.pagination import Page, listing
from libs.service.routes import Router
from services.inventory.answers import held_body, level_body, locked_body, owned_body, reasons_body
from services.inventory.store import reads

router = Router(tag="stock")


@router.get("/v1/stock/{sku}", scope="inventory:read")
async def show(sku: Annotated[Sku, Path()], call: Call) -> Response:
    """What is available of a SKU, and why; the ETag is the level's version."""
    await call.store_info()
    async with call.read() as tx:
        level = await reads.load_level(tx.session, tx.store, sku)
        if level is None:
            raise NotFound("no stock is kept of this SKU")
        reasons = await reads.load_reasons(tx.session, tx.store, sku)
    body = {**level_body(level), "reasons": reasons_body(level, reasons)}
    return await call.reply(Answer(200, body, etag=level.version))


@router.get("/v1/stock/{sku}/reasons/{term}", scope="inventory:read")
async def show_reason(
    sku: Annotated[Sku, Path()], term: Annotated[Literal["held", "allocated", "locked"], Path()], call: Call, page: Page
) -> Response:
    """Everybody who has units of a SKU under one term of its available, oldest first."""
    await call.store_info()
    after = cast(reads.Since | None, page.after(datetime, str))
    told: Callable[[Any], dict[str, Any]]
    async with call.read() as tx:
        if await reads.load_level(tx.session, tx.store, sku) is None:
            raise NotFound("no stock is kept of this SKU")
        if term == "locked":
            rows = await reads.list_locks(tx.session, tx.store, sku, after=after, limit=page.fetch)
            shown, cursor = listing(page, rows, lambda row: (row.starts_at, row.campaign))
            told = locked_body
        else:
            rows = await reads.list_promises(tx.session, tx.store, sku, status=term, after=after, limit=page.fetch)
            shown, cursor = listing(page, rows, lambda row: (row.ordered_at, row.reservation_id))
            told = held_body if term == "held" else owned_body
    return await call.page([told(row) for row in shown], cursor)


@router.get("/v1/stock", scope="inventory:read")
async def list_all(call: Call, page: Page, low: Annotated[bool, Query()] = False) -> Response:
    """Levels by SKU; `low`: those that are low or sold out (D23)."""
    await call.store_info()
    after = page.after(str)
    async with call.read() as tx:
        rows = await reads.list_levels(
            tx.session, tx.store, after=after[0] if after else None, limit=page.fetch, low=low
        )
    shown, cursor = listing(page, rows, lambda level: (level.sku,))
    return await call.page([level_body(level) for level in shown], cursor)
