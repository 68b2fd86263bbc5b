"""Counts, and the tasks that come of them (INV-2, INV-10)."""

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from fastapi import Path, Query
from pydantic import TypeAdapter
from starlette.responses import Response

from libs.events import strict_json
from libs.events.contracts.base import Id, Label, Sku
from libs.events.transaction import Transaction
from libs.service.audit import audit
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound
from libs.service.pagination import Page, listing
from libs.service.routes import Body, Router, decode_json, validate
from libs.service.sheets import FORM, uploaded
from services.inventory.answers import count_body
from services.inventory.bodies import CountBody, Note
from services.inventory.domain import commands as c
from services.inventory.handlers.goods import take_count
from services.inventory.sheets import read_items
from services.inventory.store import counts

router = Router(tag="counts")

_COUNT: TypeAdapter[CountBody] = TypeAdapter(CountBody)
CountId = Annotated[Id, Path()]


@router.post("/v1/counts", scope="inventory:write", raw=True, large=True)
async def count(
    call: Call,
    dry_run: Annotated[bool, Query()] = False,
    count_id: Annotated[Id | None, Query()] = None,
    warehouse: Annotated[Label | None, Query()] = None,
    as_of: Annotated[str | None, Query(max_length=64)] = None,
    source: Annotated[Literal["erp", "person"] | None, Query()] = None,
) -> Response:
    """Compare a count with the ledger and correct what differs: JSON, or CSV and XLSX with the rest as parameters."""
    given = {"count_id": count_id, "warehouse": warehouse, "as_of": as_of, "source": source}
    body = await _count_of(call, {name: value for name, value in given.items() if value is not None})
    await call.store_info()
    name = call.id_or_derived(body.count_id)

    async def action(tx: Transaction) -> Answer:
        command = body.command(call.store, name, c.Cause("count", name, tx.now, call.actor, call.import_id))
        compared = await take_count(command, tx, dry_run=dry_run)
        return Answer(200, count_body(command, compared, dry_run=dry_run))

    if dry_run:
        async with call.begin() as tx:
            answer = await action(tx)
        return await call.reply(answer)
    return await call.once(action, natural=("count", name) if body.count_id is not None else None)


async def _count_of(call: CallContext, given: dict[str, Any]) -> CountBody:
    """The count, however it was sent. Raises InvalidBody, UnsupportedMedia, Validation."""
    if call.content_type in ("", "application/json"):
        call.body = decode_json(call.content)
        wanted = call.body
        if isinstance(wanted, dict):
            wanted = {name: value for name, value in wanted.items() if name != "store"}
        return _validated(wanted)
    media_type, content = call.content_type, call.content
    if media_type == FORM:
        media_type, content = await uploaded(call.request, content)
    return _validated({**given, "items": read_items(media_type, content)})


def _validated(decoded: Any) -> CountBody:
    body: CountBody = validate(_COUNT, strict_json.dumps(decoded), decoded)
    return body


@router.get("/v1/counts", scope="inventory:read")
async def list_all(call: Call, page: Page) -> Response:
    """Counts, the one taken over last first."""
    await call.store_info()
    before = cast(tuple[datetime, str] | None, page.after(datetime, str))
    async with call.read() as tx:
        rows = await counts.list_counts(tx.session, tx.store, before=before, limit=page.fetch)
    shown, cursor = listing(page, rows, lambda row: (row.recorded_at, row.count_id))
    return await call.page([dict(row._mapping) for row in shown], cursor)


@router.get("/v1/counts/{count_id}", scope="inventory:read")
async def show(count_id: CountId, call: Call, page: Page) -> Response:
    """A count with the lines that differed, in pages."""
    await call.store_info()
    after = page.after(str)
    async with call.read() as tx:
        head = await counts.load_count(tx.session, tx.store, count_id)
        if head is None:
            raise NotFound("no such count")
        rows = await counts.list_count_lines(
            tx.session, tx.store, count_id, after=after[0] if after else None, limit=page.fetch
        )
    shown, cursor = listing(page, rows, lambda row: (row.sku,))
    lines = [dict(row._mapping) for row in shown]
    return await call.reply(Answer(200, {**head._mapping, "differences": lines, "next_cursor": cursor}))


@router.get("/v1/count-tasks", scope="inventory:read")
async def list_tasks(call: Call, page: Page, status: Annotated[Literal["open", "done"], Query()] = "open") -> Response:
    """Count lines that a person must look at: stale ones, and SKUs that nobody knows (INV-10)."""
    await call.store_info()
    before = cast(counts.TaskKey | None, page.after(datetime, str, str))
    async with call.read() as tx:
        rows = await counts.list_tasks(tx.session, tx.store, is_open=status == "open", before=before, limit=page.fetch)
    shown, cursor = listing(page, rows, lambda row: (row.recorded_at, row.count_id, row.sku))
    return await call.page([dict(row._mapping) for row in shown], cursor)


class ResolutionBody(Body):
    """What a person made of a task."""

    note: Note | None = None


@router.post("/v1/count-tasks/{count_id}/{sku}/resolve", scope="inventory:write")
async def resolve(
    count_id: CountId, sku: Annotated[Sku, Path()], call: Call, body: ResolutionBody | None = None
) -> Response:
    """A person has looked at the line; what is to be corrected is an adjustment or a new count. Again: the same."""
    await call.store_info()
    note = body.note if body is not None else None

    async def action(tx: Transaction) -> Answer:
        task = await counts.load_task(tx.session, tx.store, count_id, sku)
        if task is None:
            raise NotFound("no such task")
        if task.resolved_at is None:
            await counts.resolve_task(tx.session, tx.store, count_id, sku, by=call.actor, note=note, now=tx.now)
            await audit(tx, call.actor, "count_task.resolve", f"count:{count_id}", after={"sku": sku, "note": note})
            task = await counts.load_task(tx.session, tx.store, count_id, sku)
        assert task is not None
        return Answer(200, dict(task._mapping))

    return await call.once(action)
