"""Conversations over HTTP: how they stand, their clocks under each policy, who had them for how long."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from fastapi import Query
from sqlalchemy import Row
from starlette.responses import Response

from libs.events.contracts.base import Id
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call
from libs.service.pagination import Page, listing
from libs.service.routes import Router
from services.alerts.desk.domain.clocks import Clock, State, blame, measure
from services.alerts.desk.domain.log import Log, seconds_by_holder
from services.alerts.desk.domain.policies import Rulers
from services.alerts.desk.domain.rounding import whole_seconds
from services.alerts.desk.store import reading
from services.alerts.desk.store.conversations import load_logs
from services.alerts.desk.store.rulers import load_rulers

Classes = Literal["pre_sale", "in_sale", "after_sale", "complex"]


def conversation_routes() -> Router:
    """Reading conversations."""
    router = Router(tag="service desk")

    @router.get("/v1/conversations", scope="alerts:read")
    async def list_conversations(
        call: Call, page: Page, breached: bool | None = None, class_: Classes | None = Query(None, alias="class")
    ) -> Response:
        """Conversations, the newest first; `breached`: whether a clock of any policy was."""
        after = page.after(datetime, str)
        async with call.read() as tx:
            rows = await reading.list_conversations(
                call.store,
                breached=breached,
                service_class=class_,
                after=(after[0], after[1]) if after else None,
                limit=page.fetch,
                tx=tx,
            )
            shown, cursor = listing(page, rows, lambda row: (row.opened_at, row.conversation_id))
            clocks = await reading.load_states([(row.store, row.conversation_id) for row in shown], tx)
        items = [_listed(row, clocks[row.store, row.conversation_id]) for row in shown]
        return await call.page(items, cursor)

    @router.get("/v1/conversations/{conversation_id}", scope="alerts:read")
    async def show_conversation(conversation_id: Id, call: Call) -> Response:
        """A conversation: its clocks under each policy, and who had it for how long."""
        async with call.read() as tx:
            row = await reading.load_conversation(call.store, conversation_id, tx)
            body = await _whole(row, tx)
        return await call.reply(Answer(200, body))

    return router


def _listed(row: Row[Any], clocks: Iterable[Row[Any]]) -> dict[str, Any]:
    return {**_head(row), "clocks": [_saved(clock) for clock in clocks]}


def _head(row: Row[Any]) -> dict[str, Any]:
    names = ("customer_id", "customer_tier", "order_id", "sku", "via", "subject")
    return {
        "conversation_id": row.conversation_id,
        "class": row._mapping["class"],
        "is_complex": row.is_complex,
        "status": row.status,
        "opened_at": row.opened_at,
        "resolved_at": row.resolved_at,
        "breached": row.breached,
        **{name: row._mapping[name] for name in names},
    }


def _saved(row: Row[Any]) -> dict[str, Any]:
    """A clock as it was judged last; the time that a running one has run is told of a single conversation only."""
    is_over = row.stopped_at is not None
    return {
        "policy": row.policy,
        "kind": row.kind,
        "number": row.number,
        "class": row._mapping["class"],
        "limit_seconds": row.limit_seconds,
        "started_at": row.started_at,
        "due_at": row.due_at,
        "stopped_at": row.stopped_at,
        "elapsed_seconds": (row.elapsed_us + 500_000) // 1_000_000 if is_over else None,
        "state": row.state,
        "agent_id": row.agent_id,
    }


async def _whole(row: Row[Any], tx: Transaction) -> dict[str, Any]:
    key = (row.store, row.conversation_id)
    log = (await load_logs([key], tx))[key]
    rulers = await load_rulers(row.store, tx)
    return {
        **_head(row),
        "rating": log.rating,
        "clocks": _clocks(log, rulers, row.known_until, tx.now),
        "held": _held(seconds_by_holder(log, tx.now)),
    }


def _clocks(log: Log, rulers: Rulers, known_until: datetime, now: datetime) -> list[dict[str, Any]]:
    """States as they were judged, times up to now; versions of policies that come into force later are left out."""
    judged = {clock.key: clock.state for clock in measure(log, rulers, known_until)}
    return [_clock(c, judged[c.key], log, rulers, now) for c in measure(log, rulers, now) if c.since <= now]


def _clock(clock: Clock, state: State, log: Log, rulers: Rulers, now: datetime) -> dict[str, Any]:
    policy = next(p for p in rulers.policies if (p.id, p.begins) == (clock.policy, clock.since))
    return {
        "policy": clock.policy,
        "kind": clock.kind.value,
        "number": clock.number,
        "class": clock.service_class.value,
        "limit_seconds": int(clock.limit.total_seconds()),
        "started_at": clock.started_at,
        "due_at": clock.due_at,
        "warn_at": clock.warn_at,
        "stopped_at": clock.stopped_at,
        "elapsed_seconds": whole_seconds(clock.elapsed),
        "state": state.value,
        "agent_id": clock.agent_id,
        "judges": clock.judges,
        "policy_valid_from": policy.since,
        "held": _held(blame(log, clock, rulers.hours(policy), now)),
    }


def _held(spans: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"holder": holder, "seconds": whole_seconds(span)} for holder, span in spans.items()]
