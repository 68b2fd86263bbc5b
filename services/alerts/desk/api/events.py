"""The front door of customer-service events: CloudEvents in their three modes, up to 1000 a call (D3, D46)."""

from dataclasses import replace
from typing import Any

from starlette.responses import Response

from libs.events.codec import to_message
from libs.events.contracts import BY_TYPE
from libs.events.door import Door, Incoming, Item, Refusal, parse_http
from libs.events.scrub import scrubbed
from libs.events.transaction import EVERY_STORE
from libs.service.call import Call, CallContext
from libs.service.event_door import known_stores, refuse_all, refusing_the_whole, store_of, taken
from libs.service.privacy import mask_text
from libs.service.routes import Router
from services.alerts.metrics import SERVICE_EVENTS_REFUSED

TAKEN = tuple(event for event in BY_TYPE.values() if event.TOPIC == "service")

_EXAMPLE = {
    "specversion": "1.0",
    "id": "m-1",
    "source": "/chat",
    "type": "message.received.v1",
    "time": "2024-07-01T10:00:00+08:00",
    "data": {"conversation_id": "c-1", "message_id": "m-1"},
}
_ONE = {"schema": {"type": "object", "additionalProperties": True}, "example": _EXAMPLE}
_MANY = {
    "schema": {"type": "array", "maxItems": 1000, "items": {"type": "object", "additionalProperties": True}},
    "example": [_EXAMPLE],
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/cloudevents+json": _ONE,
            "application/cloudevents-batch+json": _MANY,
            "application/json": _MANY,
        },
    }
}


def event_routes() -> Router:
    """Where chat tools, telephone systems and files bring what happened."""
    router = Router(tag="service desk")

    @router.post("/v1/events", scope="service:write", status_code=202, large=True, raw=True, openapi_extra=_BODY)
    async def take_events(call: Call) -> Response:
        """Customer-service events as CloudEvents (one, a batch, binary); at most 1000 a call.

        Answered when they are kept for the bus; only what was refused is listed. A repeated id has no effect.
        """
        with refusing_the_whole():
            items = parse_http(call.request.headers, call.content, Door(TAKEN, store=store_of(call)))
        accepted, refused = _sorted(items, await known_stores(call))
        SERVICE_EVENTS_REFUSED.inc(len(refused))
        refuse_all(len(accepted), refused)
        await _publish(accepted, call)
        return await taken(len(accepted), refused, call)

    return router


def _sorted(items: list[Item], stores: frozenset[str]) -> tuple[list[Incoming[Any]], list[Refusal]]:
    accepted: list[Incoming[Any]] = []
    refused: list[Refusal] = []
    for item in items:
        if isinstance(item, Refusal):
            refused.append(item)
        elif item.store not in stores:
            refused.append(Refusal(item.index, item.id, "/store", "there is no such store"))
        else:
            accepted.append(item)
    return accepted, refused


async def _publish(accepted: list[Incoming[Any]], call: CallContext) -> None:
    """Through the outbox, cleaned of what is nobody's business (D7, D8)."""
    reference = call.runtime.installation.pseudonyms.replace
    if not accepted:
        return
    async with call.runtime.api.begin(store_of(call) or EVERY_STORE) as tx:
        for item in accepted:
            clean = scrubbed(item.data, reference=reference, text=mask_text)
            tx.post(to_message(replace(item, data=clean).accepted(tx.now)))
