"""Reservations: through the lane, so that many at once cost little more than one."""

from typing import Annotated

from fastapi import Path
from starlette.responses import Response

from libs.events.contracts.base import ReservationId
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound
from libs.service.idempotency import Kept
from libs.service.routes import Router
from services.inventory.answers import reservation_body, standing_body
from services.inventory.bodies import AllocationBody, ReleaseBody, ReservationBody
from services.inventory.domain import commands as c
from services.inventory.lane import Request, StockLane
from services.inventory.store import reads

router = Router(tag="reservations")

Name = Annotated[ReservationId, Path()]


@router.post("/v1/reservations", scope="inventory:write", status_code=201)
async def reserve(body: ReservationBody, call: Call) -> Response:
    """Hold all lines or none (INV-4). The same id again answers with the reservation's present state (D12)."""
    name = call.id_or_derived(body.reservation_id)
    customer = body.customer_id
    if customer is not None:
        customer = call.runtime.installation.pseudonyms.replace(customer)
    return await _through_the_lane(call, body.command(call.store, name, customer, _cause(call, name)), 201)


@router.post("/v1/reservations/{reservation_id}/release", scope="inventory:write")
async def release(reservation_id: Name, call: Call, body: ReleaseBody | None = None) -> Response:
    """Give back what it still holds; again gives the same answer (D83)."""
    command = c.Release(call.store, _cause(call, reservation_id), reservation_id)
    return await _through_the_lane(call, command, 200)


@router.post("/v1/reservations/{reservation_id}/allocate", scope="inventory:write")
async def allocate(reservation_id: Name, body: AllocationBody, call: Call) -> Response:
    """Give the held units to the paid order, unless the hold has run out (D16)."""
    command = c.Allocate(call.store, _cause(call, reservation_id), reservation_id, body.order_id)
    return await _through_the_lane(call, command, 200)


@router.get("/v1/reservations/{reservation_id}", scope="inventory:read")
async def show(reservation_id: Name, call: Call) -> Response:
    """A reservation."""
    await call.store_info()
    async with call.read() as tx:
        rows = await reads.load_reservation(tx.session, tx.store, reservation_id)
    if not rows:
        raise NotFound("no such reservation")
    return await call.reply(Answer(200, reservation_body(rows)))


def _cause(call: CallContext, name: str) -> c.Cause:
    return c.Cause("reservation", name, call.runtime.clock(), call.actor, call.import_id)


async def _through_the_lane(call: CallContext, command: c.Command, status: int) -> Response:
    lane: StockLane = call.request.app.state.lane
    zone = (await call.store_info()).zone

    def finish(outcome: c.Outcome) -> Kept:
        assert isinstance(outcome, c.Standing)
        return Answer(status, standing_body(outcome)).kept(zone)

    given = await lane.ask(Request(command, call.claims(), finish))
    return call.given(given.kept, repeated=given.repeated)
