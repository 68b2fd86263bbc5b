"""Complaints and bad reviews over HTTP: which are open, which are overdue."""

from datetime import datetime
from typing import Any, Literal

from starlette.responses import Response

from libs.service.call import Call, CallContext
from libs.service.pagination import Page, PageRequest, listing
from libs.service.routes import Router
from services.alerts.desk.domain.follow_ups import Followed, FollowUp
from services.alerts.desk.store.follow_ups import list_follow_ups

State = Literal["open", "done", "overdue"]


def follow_up_routes() -> Router:
    """Reading complaints and bad reviews."""
    router = Router(tag="service desk")

    @router.get("/v1/complaints", scope="alerts:read")
    async def list_complaints(call: Call, page: Page, state: State | None = None) -> Response:
        """Complaints, the newest first; overdue ones were not settled within the limit of a complex problem."""
        return await _list(call, page, Followed.COMPLAINT, state)

    @router.get("/v1/reviews", scope="alerts:read")
    async def list_reviews(call: Call, page: Page, state: State | None = None) -> Response:
        """Bad and middling reviews, the newest first; overdue ones were not answered in time (SRV-8)."""
        return await _list(call, page, Followed.REVIEW, state)

    return router


async def _list(call: CallContext, page: PageRequest, kind: Followed, state: State | None) -> Response:
    after = page.after(datetime, str)
    async with call.read() as tx:
        found = await list_follow_ups(
            call.store, kind, state=state, after=(after[0], after[1]) if after else None, limit=page.fetch, tx=tx
        )
    shown, cursor = listing(page, found, lambda item: (item.started_at, item.id))
    return await call.page([_body(item) for item in shown], cursor)


def _body(item: FollowUp) -> dict[str, Any]:
    begun, ended = ("filed_at", "resolved_at") if item.kind is Followed.COMPLAINT else ("posted_at", "answered_at")
    return {
        f"{item.kind.value}_id": item.id,
        **item.data,
        begun: item.started_at,
        ended: item.stopped_at,
        "due_at": item.due_at,
        "state": item.state.value,
    }
