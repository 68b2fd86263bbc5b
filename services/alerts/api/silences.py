"""Silences over HTTP: planned work of which nobody is told (D67)."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from libs.events.contracts.base import Id, Instant, Label
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call
from libs.service.errors import Conflict, NotFound, Validation, fault
from libs.service.routes import Body, MaskedText, Router
from services.alerts import documents
from services.alerts.api.shared import remove_document
from services.alerts.domain.documents import Document, Setting
from services.alerts.domain.muting import EVERY_RULE
from services.alerts.handlers.muting import SILENCE
from services.alerts.rules import RULE


class NewSilence(Body):
    """From a time to another nobody is told of these rules, where an alert is about all that `about` names."""

    silence_id: Id | None = None
    rules: list[str] = Field(min_length=1, max_length=100)
    about: dict[Label, Label] = Field(default_factory=dict, max_length=10)
    starts_at: Instant | None = None
    ends_at: Instant
    reason: Annotated[MaskedText, Field(min_length=1, max_length=2000)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.starts_at is not None and self.ends_at <= self.starts_at:
            raise PydanticCustomError("order", "ends_at is not after starts_at")
        return self


def silence_routes() -> Router:
    """Making, reading and lifting silences."""
    router = Router(tag="silences")

    @router.get("/v1/silences", scope="alerts:read")
    async def list_silences(call: Call, ended: bool = False) -> Response:
        """Silences that run or are to come, by their start; with `ended=true` those that are over too."""
        await call.store_info()
        async with call.read() as tx:
            kept = await documents.list_valid(call.store, SILENCE, tx)
            bodies = [_silence_body(silence, tx.now) for silence in kept]
        shown = [body for body in bodies if ended or body["status"] != "ended"]
        return await call.page(sorted(shown, key=lambda body: (body["starts_at"], body["silence_id"])), None)

    @router.get("/v1/silences/{silence_id}", scope="alerts:read")
    async def show_silence(silence_id: Id, call: Call) -> Response:
        """A silence."""
        await call.store_info()
        async with call.read() as tx:
            kept = await documents.load(call.store, SILENCE, silence_id, tx)
            if kept is None:
                raise NotFound("there is no such silence")
            body = _silence_body(kept, tx.now)
        return await call.reply(Answer(200, body, etag=f"{kept.version}-{body['status']}"))

    @router.post("/v1/silences", scope="alerts:write", status_code=201)
    async def make_silence(body: NewSilence, call: Call) -> Response:
        """Tell nobody of these rules for a while: planned work, campaign days. What still holds afterwards is told."""
        _check_rules(body.rules)
        silence_id = call.id_or_derived(body.silence_id)
        natural = (SILENCE, body.silence_id) if body.silence_id else None
        await call.store_info()
        return await call.once(lambda tx: _make(silence_id, body, call.store, call.actor, tx), natural=natural)

    @router.delete("/v1/silences/{silence_id}", scope="alerts:write")
    async def lift_silence(silence_id: Id, call: Call) -> Response:
        """Lift a silence: people are told again."""
        return await remove_document(call, SILENCE, silence_id)

    return router


def _check_rules(rules: list[str]) -> None:
    unknown = [place for place, rule in enumerate(rules) if rule != EVERY_RULE and rule not in RULE]
    if unknown:
        errors = [fault(f"/rules/{place}", "unknown", f"there is no rule {rules[place]}") for place in unknown]
        raise Validation(f"there is no rule {rules[unknown[0]]}", errors=errors)


async def _make(silence_id: str, body: NewSilence, store: str, by: str, tx: Transaction) -> Answer:
    starts_at = body.starts_at or tx.now
    if body.ends_at <= starts_at:
        raise Validation("ends_at: it is over", errors=[fault("/ends_at", "order", "it is not after the start")])
    if await documents.latest(store, SILENCE, silence_id, tx) is not None:
        raise Conflict("there was a silence with this id already")
    value = {
        "rules": list(dict.fromkeys(body.rules)),
        "about": dict(body.about),
        "starts_at": starts_at.isoformat(),
        "ends_at": body.ends_at.isoformat(),
        "reason": body.reason,
    }
    made = await documents.save(Setting(SILENCE, silence_id, value), of=store, by=by, tx=tx)
    return Answer(201, _silence_body(made, tx.now), etag=f"{made.version}-new", location=f"/v1/silences/{silence_id}")


def _silence_body(document: Document, now: datetime) -> dict[str, Any]:
    value = document.value or {}
    starts_at, ends_at = (datetime.fromisoformat(value[name]) for name in ("starts_at", "ends_at"))
    status = "pending" if now < starts_at else "active" if now < ends_at else "ended"
    return {
        "silence_id": document.key,
        "rules": value["rules"],
        "about": value["about"],
        "starts_at": starts_at,
        "ends_at": ends_at,
        "reason": value["reason"],
        "status": status,
        "by": document.by,
    }
