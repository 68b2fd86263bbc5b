"""Orders asks inventory to hold, allocate and release stock: the one synchronous direction between services (D50).

A call has 2 s and one retry with the same id. What came of it is then known, or `Overloaded` is raised: nothing is
undone, and the hold's own limit frees it (D12).
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol
from urllib.parse import quote

from libs.events import strict_json
from libs.events.contracts import parse_instant
from libs.events.crash import crash_point
from libs.service.errors import Conflict, OutOfStock, Overloaded, Validation
from services.orders.connections import Connections, Reply
from services.orders.domain.state import Units

CALL_SECONDS = 2.0
TRIES = 2
CALLS_AT_ONCE = 64
"""Others wait here, where waiting does not count against the 2 s."""

_encode = strict_json.dumps


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """What to keep for an order.

    `allocate`: the order owns it at once. `replaces`: it takes the place of that hold of the same order.
    `backorder`: take what there is and wait for the rest.
    """

    reservation_id: str
    order_id: str
    lines: tuple[Units, ...]
    ttl_seconds: int
    customer_id: str | None = None
    campaign: str | None = None
    allocate: bool = False
    replaces: str | None = None
    backorder: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """The present state of a reservation; `is_short` while a backorder still waits for units."""

    reservation_id: str
    status: Literal["held", "allocated", "released", "expired"]
    expires_at: datetime | None = None
    is_short: bool = False


class Stock(Protocol):
    """The port to inventory."""

    async def hold(self, store: str, request: HoldRequest) -> Reservation:
        """Hold all lines or none; a repeated id gives the reservation's present state.

        Raises OutOfStock, Validation (unknown SKU), Conflict (the id holds other lines), Overloaded (nobody knows).
        """

    async def allocate(self, store: str, reservation_id: str, order_id: str) -> Reservation:
        """Make the order the owner of what is held. An expired or released hold is told by its status."""

    async def release(self, store: str, reservation_id: str) -> None:
        """Give held units back; repeating it changes nothing."""


class HttpStock:
    """Inventory over HTTP."""

    def __init__(self, url: str, key: Callable[[], str]) -> None:
        """`key` gives the internal key, once it is known."""
        self._key = key
        self._connections = Connections(url, most=CALLS_AT_ONCE)

    async def run(self) -> None:
        """A loop that lets go of the connections when it is ended."""
        try:
            await asyncio.Event().wait()
        finally:
            await self._connections.close()

    async def hold(self, store: str, request: HoldRequest) -> Reservation:
        """See `Stock`."""
        crash_point("orders.before_hold")
        answer = await self._post(store, "/v1/reservations", _hold_body(request))
        crash_point("orders.after_hold")
        return _reservation(request.reservation_id, answer)

    async def allocate(self, store: str, reservation_id: str, order_id: str) -> Reservation:
        """See `Stock`."""
        crash_point("orders.before_allocate")
        answer = await self._post(store, f"/v1/reservations/{quote(reservation_id)}/allocate", {"order_id": order_id})
        crash_point("orders.after_allocate")
        return _reservation(reservation_id, answer)

    async def release(self, store: str, reservation_id: str) -> None:
        """See `Stock`."""
        crash_point("orders.before_release")
        await self._post(store, f"/v1/reservations/{quote(reservation_id)}/release", {})
        crash_point("orders.after_release")

    async def _post(self, store: str, path: str, body: Mapping[str, Any]) -> Reply:
        """The answer, if it says what happened. Raises Overloaded when two tries did not tell."""
        content, authorization = _encode(body), f"Bearer {self._key()}"
        for _ in range(TRIES):
            try:
                reply = await self._connections.post(
                    f"{path}?store={quote(store, safe='')}", content, authorization=authorization, seconds=CALL_SECONDS
                )
            except (OSError, EOFError):
                continue
            if reply.status < 500 and reply.status != 429:
                return reply
        raise Overloaded("inventory did not answer; the same call may be repeated", retry_after_seconds=2)


def _hold_body(request: HoldRequest) -> dict[str, Any]:
    body = {
        "reservation_id": request.reservation_id,
        "order_id": request.order_id,
        "lines": [{"sku": line.sku, "quantity": line.quantity} for line in request.lines],
        "ttl_seconds": request.ttl_seconds,
        "customer_id": request.customer_id,
        "campaign": request.campaign,
        "allocate": request.allocate or None,
        "replaces": request.replaces,
        "backorder": request.backorder or None,
    }
    return {name: value for name, value in body.items() if value is not None}


def _reservation(reservation_id: str, reply: Reply) -> Reservation:
    """What the answer says. Raises what it refuses; Overloaded for an answer that makes no sense."""
    try:
        body = strict_json.loads(reply.body)
        if reply.status in (200, 201):
            return _granted(reservation_id, body)
        state = body.get("state")
        if body.get("code") == "wrong_state" and state in ("expired", "released"):
            return Reservation(reservation_id, state)
        if body.get("code") == "not_found":
            return Reservation(reservation_id, "expired")
        refusal = _refusal(reply.status, body)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise Overloaded("inventory gave an answer that makes no sense", retry_after_seconds=5) from error
    raise refusal


def _granted(reservation_id: str, body: Mapping[str, Any]) -> Reservation:
    expires_at = body.get("expires_at")
    return Reservation(
        reservation_id,
        body["status"],
        parse_instant(expires_at) if expires_at is not None else None,
        is_short=bool(body.get("short")),
    )


def _refusal(status: int, problem: Mapping[str, Any]) -> Exception:
    """What inventory refuses, in its own words: its lines are the order's lines, so its pointers hold."""
    detail, errors = str(problem.get("detail", "")), problem.get("errors", ())
    if problem.get("code") == "out_of_stock":
        return OutOfStock(detail, errors=errors)
    if problem.get("code") == "conflict":
        return Conflict(detail)
    if status == 422:
        return Validation(detail, errors=errors)
    return Overloaded("inventory could not be asked", retry_after_seconds=5)


def missing_units(refused: OutOfStock) -> tuple[Units, ...]:
    """How many units of which SKU a refusal says are missing."""
    return tuple(
        Units(str(error["sku"]), int(error["wanted"]) - int(error["available"]))
        for error in refused.errors
        if int(error["wanted"]) > int(error["available"])
    )
