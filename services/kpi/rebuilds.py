"""Rebuilds over HTTP: asked for, then looked at until they are done."""

from starlette.responses import Response

from libs.events.contracts import Id
from libs.events.contracts.base import EVERY_STORE
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound
from libs.service.routes import Router
from services.kpi.rebuild import ask, load_report

router = Router(tag="rebuilds")


@router.post("/v1/rebuilds", scope="kpi:write", status_code=202)
async def start_rebuild(call: Call) -> Response:
    """Rebuild all figures from the journal, compare, repair what differs. Traffic goes on meanwhile."""

    async def action(tx: Transaction) -> Answer:
        return Answer(202, {"rebuild_id": await ask(tx), "status": "running"})

    return await _of_every_store(call).once(action)


@router.get("/v1/rebuilds/{rebuild_id}", scope="kpi:read")
async def read_rebuild(rebuild_id: Id, call: Call) -> Response:
    """How far it is; when done, whether live and rebuilt figures were identical, and what was repaired."""
    async with _of_every_store(call).read() as tx:
        report = await load_report(rebuild_id, tx.session)
    if report is None:
        raise NotFound("there is no such rebuild")
    return await call.reply(Answer(200, report))


def _of_every_store(call: CallContext) -> CallContext:
    """A rebuild is about all stores: an operator need not name one."""
    return call.for_store(EVERY_STORE) if call.principal.store == EVERY_STORE else call
