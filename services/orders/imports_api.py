"""The bulk front door: files of orders that were sold elsewhere (D54)."""

import asyncio
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import Validation
from libs.service.order_files import refused_rows
from libs.service.routes import Router
from libs.service.sheets import CSV, FORM, uploaded
from services.orders.domain.imports import Sale
from services.orders.equipment import Equipped
from services.orders.gathering import Assumptions, Gathered, Told, gather
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
    The same file again changes nothing; a file that knows more of an order (paid, shipped) takes it further. Orders
    dated in the future are quarantined. With `Accept: text/csv` or `application/x-ndjson` the answer is the file of the
    refused rows, each with its reason.
    """
    import_id = call.import_id or uuid7(call.runtime.clock())
    media_type, content = await _file(call)
    gathered = await _gather(call, media_type, content)
    reports = [importing.refused(gathered)]

    async def action(tx: Transaction) -> Answer:
        if gathered.errors and not (partial or dry_run):
            raise _refusal(_body(import_id, dry_run, reports[0]))
        tx.import_id = import_id
        taken, report = await importing.take_in(gathered, tx, kit)
        reports[:] = [report]
        body = _body(import_id, dry_run, report)
        if dry_run:
            return Answer(200, body)
        if report.errors and not partial:
            raise _refusal(body)
        await importing.write(taken, gathered, tx, kit)
        return Answer(201, body)

    if not _wants_file(call):
        return await call.once(action)
    try:
        status = (await call.once(action)).status_code
    except Validation as refusal:
        status = refusal.status
    return await _refused_file(call, media_type, content, reports[0], status)


def _wants_file(call: CallContext) -> bool:
    accepted = call.request.headers.get("accept", "").lower()
    return "text/csv" in accepted or "ndjson" in accepted


async def _refused_file(call: CallContext, media_type: str, content: bytes, report: Report, status: int) -> Response:
    kind, rows = await asyncio.to_thread(refused_rows, media_type, content, report.errors, call.language)
    name = "refused-rows.csv" if kind == CSV else "refused-rows.jsonl"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(rows, status_code=status, media_type=kind, headers=headers)


async def _file(call: CallContext) -> tuple[str, bytes]:
    """(media type, content) of the body, or of the form's field `file`."""
    if call.content_type == FORM:
        return await uploaded(call.request, call.content)
    return call.content_type, call.content


async def _gather(call: CallContext, media_type: str, content: bytes) -> Gathered:
    info = await call.store_info()
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
        "quarantined": [_quarantined(one) for one in report.quarantined[:MOST_ERRORS]],
        "quarantined_count": len(report.quarantined),
        "error_count": len(report.errors),
        "errors": list(report.errors[:MOST_ERRORS]),
    }


def _quarantined(told: Told) -> dict[str, Any]:
    assert isinstance(told.what, Sale), "only orders are held back"
    return {"row": told.row, "order_id": told.order_id, "placed_at": told.what.order.placed_at}


def _refusal(body: dict[str, Any]) -> Validation:
    """The first hundred errors, and how many there are."""
    first = body["errors"][0]
    members = {name: value for name, value in body.items() if name != "errors"}
    place = f"row {first['row']}" + (f", {first['column']}" if first["column"] else "")
    return Validation(f"nothing was imported: {place}: {first['message']}", errors=body["errors"], **members)
