"""Rules over HTTP: the catalogue, and what a store sets of it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from libs.events.contracts.base import Day, Instant, Label
from libs.service.call import Answer, Call
from libs.service.errors import NotFound, Validation, fault
from libs.service.routes import Body, Router
from services.alerts import documents
from services.alerts.api.shared import put_document
from services.alerts.domain.documents import Document, Setting
from services.alerts.handlers.replaying import MOST_DAYS, Question, Replay, replay
from services.alerts.rules import RULE, RULES, SHAPES, PlanCheck, Rule


class RuleSetting(Body):
    """What a store sets of a rule."""

    enabled: bool = True
    parameters: dict[str, float | int] = Field(default_factory=dict)
    scope: dict[str, Label] = Field(default_factory=dict, max_length=1)
    words: list[Label] | None = Field(default=None, max_length=500, description="absolute_wording: the terms instead")
    valid_from: Instant | None = None


class ReplayOf(Body):
    """Which days (both included), and which numbers instead of those that hold."""

    from_day: Annotated[Day, Field(alias="from")]
    to: Day
    parameters: dict[str, float | int] = Field(default_factory=dict)


def rule_routes() -> Router:
    """Reading and setting rules."""
    router = Router(tag="rules")

    @router.get("/v1/rules", scope="alerts:read")
    async def list_rules(call: Call) -> Response:
        """The catalogue of rules, with what the store has set."""
        async with call.read() as tx:
            kept = await documents.list_valid(call.store, "rule", tx)
        items = [_rule_body(rule, [s for s in kept if s.key == rule.id]) for rule in RULES]
        return await call.page(items, None)

    @router.put("/v1/rules/{rule_id}", scope="alerts:write")
    async def set_rule(rule_id: str, body: RuleSetting, call: Call) -> Response:
        """Switch a rule on or off, or set its numbers, for the store or a category."""
        rule = RULE.get(rule_id)
        if rule is None:
            raise NotFound(f"there is no rule {rule_id}")
        _check_parameters(rule, body.parameters)
        _check_part(rule, body)
        value: dict[str, Any] = {"enabled": body.enabled, "parameters": dict(body.parameters)}
        if body.words is not None:
            value["words"] = body.words
        setting = Setting("rule", rule.id, value, body.scope, body.valid_from)
        return await put_document(call, setting, lambda document: _rule_body(rule, [document]))

    @router.post("/v1/rules/{rule_id}/replay", scope="alerts:read")
    async def replay_rule(rule_id: str, body: ReplayOf, call: Call) -> Response:
        """When the rule, or it with other numbers, would have fired; changes nothing."""
        rule = RULE.get(rule_id)
        if rule is None:
            raise NotFound(f"there is no rule {rule_id}")
        _check_parameters(rule, body.parameters)
        _check_days(body)
        question = Question(rule, call.store, body.from_day, body.to, body.parameters)
        found = await replay(question, call.runtime.worker)
        return await call.reply(Answer(200, _replay_body(question, found)))

    return router


def _check_part(rule: Rule, body: RuleSetting) -> None:
    """A rule is set for the whole store or for a part that it can tell; only one about words has words."""
    for name in body.scope:
        if name not in rule.scopes:
            known = ", ".join(rule.scopes) or "the whole store"
            raise Validation(f"{rule.id} cannot be set by {name}", errors=[fault(f"/scope/{name}", "unknown", known)])
    if body.words is not None and not isinstance(rule, PlanCheck):
        raise Validation(f"{rule.id} has no words", errors=[fault("/words", "unknown", "it has none")])


def _check_days(body: ReplayOf) -> None:
    if body.to < body.from_day:
        raise Validation("to is before from", errors=[fault("/to", "order", "not before from")])
    if (body.to - body.from_day).days >= MOST_DAYS:
        message = f"at most {MOST_DAYS} days"
        raise Validation(message, errors=[fault("/from", "too_many", message)])


def _replay_body(question: Question, found: Replay) -> dict[str, Any]:
    return {
        "rule": question.rule.id,
        "from": f"{question.first}",
        "to": f"{question.last}",
        "parameters": {**question.rule.parameters, **question.parameters},
        "fired": [{"at": one.at, "about": dict(one.about), "figures": dict(one.figures)} for one in found.fired],
        "per_day": found.per_day,
        "matched_incidents": found.matched_incidents,
        "false_alarms": found.false_alarms,
        "missed_incidents": found.missed_incidents,
    }


def _check_parameters(rule: Rule, parameters: Mapping[str, float]) -> None:
    unknown = sorted(set(parameters) - set(rule.parameters))
    if unknown:
        known = ", ".join(sorted(rule.parameters)) or "none"
        errors = [fault(f"/parameters/{name}", "unknown", f"{rule.id} has: {known}") for name in unknown]
        raise Validation(f"{rule.id} has no parameter {unknown[0]}", errors=errors)
    wrong = [name for name, value in parameters.items() if value < 0]
    if wrong:
        raise Validation(
            "a parameter is negative", errors=[fault(f"/parameters/{name}", "negative", "0 or more") for name in wrong]
        )


def _rule_body(rule: Rule, settings: Sequence[Document]) -> dict[str, Any]:
    whole: Any = next((s.value for s in settings if s.scope == ""), None) or {}
    return {
        "rule": rule.id,
        "source": rule.source,
        "severity": rule.severity.value,
        "role": rule.role.value,
        "shape": SHAPES[type(rule)],
        "can_be_set_by": list(rule.scopes),
        "text": {"zh": rule.zh, "en": rule.en},
        "enabled": whole.get("enabled", True),
        "parameters": {**rule.parameters, **whole.get("parameters", {})},
        **({"words": whole.get("words") or list(rule.words)} if isinstance(rule, PlanCheck) and rule.words else {}),
        "scopes": [
            {"scope": s.scope_values, "valid_from": s.valid_from, **(s.value or {})} for s in settings if s.scope
        ],
    }
