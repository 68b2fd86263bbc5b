"""The bulk front door: files of orders that were sold elsewhere (D54)."""

import asyncio
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import Validation
from libs.service.routes import Router
from libs.service.sheets import FORM, uploaded
from services.orders.equipment import Equipped
from services.orders.gathering import Assumptions, Gathered, gather
from services.orders.handlers import importing
from services.orders.handlers.importing import Report
from services.orders.records import read_records

router = Router(tag="imports")

MOST_ERRORS = 1_000


@router.post("/v1/imports/orders", scope="orders:write", status_code=201, large=True, raw=True)
async def import_orders(
    call: Call, kit: Equipped, dry_run: Annotated[bool, Query()] = False, partial: Annotated[bool, Query()] = False
) -> Response:
    """Take in a file of orders: JSON lines, CSV or XLSX, as the body or as the form field `file`.

    Any error: 422 and nothing is imported, unless `partial` lets the whole good orders in. `dry_run` only tells.
    The same file again changes nothing; a file that knows more of an order (paid, shipped) takes it further.
    """
    import_id = call.import_id or uuid7(call.runtime.clock())
    gathered = await _gather(call)

    async def action(tx: Transaction) -> Answer:
        if gathered.errors and not (partial or dry_run):
            raise _refusal(_body(import_id, dry_run, importing.refused(gathered)))
        tx.import_id = import_id
        taken, report = await importing.take_in(gathered, tx, kit)
        body = _body(import_id, dry_run, report)
        if dry_run:
            return Answer(200, body)
        if report.errors and not partial:
            raise _refusal(body)
        await importing.write(taken, tx, kit)
        return Answer(201, body)

    return await call.once(action)


async def _gather(call: CallContext) -> Gathered:
    info = await call.store_info()
    media_type, content = call.content_type, call.content
    if media_type == FORM:
        media_type, content = await uploaded(call.request, content)
    assumed = Assumptions(call.runtime.clock(), info.currency, call.runtime.installation.pseudonyms.replace)
    return await asyncio.to_thread(lambda: gather(read_records(media_type, content, info.zone), assumed))


def _body(import_id: str, dry_run: bool, report: Report) -> dict[str, Any]:
    return {
        "import_id": import_id,
        "dry_run": dry_run,
        "rows": report.rows,
        "orders": report.orders,
        "new": report.new,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "returns": report.returns,
        "refunds": report.refunds,
        "error_count": len(report.errors),
        "errors": list(report.errors[:MOST_ERRORS]),
    }


def _refusal(body: dict[str, Any]) -> Validation:
    """The first hundred errors, and how many there are."""
    first = body["errors"][0]
    members = {name: value for name, value in body.items() if name != "errors"}
    place = f"row {first['row']}" + (f", {first['column']}" if first["column"] else "")
    return Validation(f"nothing was imported: {place}: {first['message']}", errors=body["errors"], **members)
