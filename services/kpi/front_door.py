"""The HTTP front door of traffic: `/v1/events`, the beacon `/v1/collect`, and its script."""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.service.auth import EVERY_STORE
from libs.service.call import Call, CallContext
from libs.service.errors import UnsupportedMedia
from libs.service.event_door import names_no_store, refuse_all, store_of, taken
from libs.service.routes import PUBLIC, Router
from services.kpi import openapi
from services.kpi.calendar import Calendar, calendar_of
from services.kpi.ingest import Letter, TrafficDoor

COLLECT = "/v1/collect"
SCRIPT = (Path(__file__).parent / "collect.js").read_bytes()
_SCRIPT_TAG = hashlib.sha256(SCRIPT).hexdigest()[:16]
_BEACON_TYPES = ("", "text/plain", "application/json")


def router_of(door: TrafficDoor) -> Router:
    """The routes of the front door."""
    router = Router(tag="traffic")

    @router.post(
        "/v1/events", scope="traffic:write", status_code=202, large=True, raw=True, openapi_extra=openapi.EVENTS
    )
    async def take_events(call: Call) -> Response:
        """Storefront traffic as CloudEvents (one, a batch, binary) or in the short form; at most 1000 a call.

        Answered when the bus has them; only what was refused is listed. With `kpi:write` also ad.spent,
        measure.entered, cost.entered and competitor.seen.
        """
        letter = Letter(
            store=store_of(call),
            received=call.runtime.clock(),
            headers=call.request.headers,
            body=call.content,
            may_bring=call.principal.may("kpi:write"),
            calendars=await _calendars(call),
        )
        return await _take(door, letter, call)

    @router.post(COLLECT, scope="traffic:write", status_code=202, raw=True, beacon=True, openapi_extra=openapi.BEACON)
    async def collect(call: Call) -> Response:
        """The browser beacon: the short form with `age_ms` instead of `time`, and the key in `?key=`."""
        if call.content_type not in _BEACON_TYPES:
            raise UnsupportedMedia("text/plain or application/json is taken here")
        letter = Letter(call.store, call.runtime.clock(), call.request.headers, call.content, beacon=True)
        return await _take(door, letter, call)

    @router.get("/v1/collect.js", scope=PUBLIC, response_class=Response, responses=openapi.SCRIPT)
    async def script(call: Call) -> Response:
        """The beacon's script: no cookies, silent under Do Not Track."""
        headers = {"Cache-Control": "public, max-age=3600", "ETag": f'"{_SCRIPT_TAG}"'}
        if call.request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(SCRIPT, media_type="text/javascript; charset=utf-8", headers=headers)

    return router


async def _calendars(call: CallContext) -> dict[str, Calendar]:
    """The calendars of the stores that the call's events may name."""
    infos = await call.runtime.stores.every() if names_no_store(call) else [await call.store_info()]
    return {info.store: calendar_of(info.zone.key) for info in infos}


async def _take(door: TrafficDoor, letter: Letter, call: CallContext) -> Response:
    batch = door.read(letter)
    await door.publish(batch, letter.received)
    if batch.brought:
        async with call.runtime.api.begin(letter.store or EVERY_STORE) as tx:
            for message in batch.brought:
                tx.post(message)
    refuse_all(batch.accepted, batch.refused)
    return await taken(batch.accepted, batch.refused, call)


class BeaconCors:
    """Lets every site's pages call the beacon and load its script, whatever the answer is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(COLLECT):
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await _preflight(scope, receive, send)
        else:
            await self._app(scope, receive, _open(send))


def _open(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def opened(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Access-Control-Allow-Origin"] = "*"
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        await send(message)

    return opened


_preflight = Response(
    status_code=204,
    headers={
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
        "Access-Control-Allow-Headers": "content-type",
        "Access-Control-Max-Age": "86400",
    },
)
