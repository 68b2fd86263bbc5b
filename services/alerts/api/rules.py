"""Rules over HTTP: the catalogue, and what a store sets of it."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from starlette.responses import Response

from libs.events.contracts import PolicyChanged
from libs.events.contracts.base import Instant
from libs.events.transaction import Transaction
from libs.service.audit import audit
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound, Validation, fault
from libs.service.routes import Body, Router
from services.alerts.rules import RULE, RULES, Rule
from services.alerts.store import settings


class RuleSetting(Body):
    """What a store sets of a rule."""

    enabled: bool = True
    parameters: dict[str, float | int] = Field(default_factory=dict)
    scope: dict[str, str] = Field(default_factory=dict, max_length=1)
    valid_from: Instant | None = None


def rule_routes() -> Router:
    """Reading and setting rules."""
    router = Router(tag="rules")

    @router.get("/v1/rules", scope="alerts:read")
    async def list_rules(call: Call) -> Response:
        """The catalogue of rules, with what the store has set."""
        async with call.read() as tx:
            kept = await settings.load_rule_settings(call.store, tx)
        items = [_rule_body(rule, [s for s in kept if s.rule == rule.id]) for rule in RULES]
        return await call.page(items, None)

    @router.put("/v1/rules/{rule_id}", scope="alerts:write")
    async def set_rule(rule_id: str, body: RuleSetting, call: Call) -> Response:
        """Switch a rule on or off, or set its numbers, for the store or a category."""
        rule = RULE.get(rule_id)
        if rule is None:
            raise NotFound(f"there is no rule {rule_id}")
        _check_parameters(rule, body.parameters)
        return await call.once(lambda tx: _set_rule(rule, body, call, tx))

    return router


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


async def _set_rule(rule: Rule, body: RuleSetting, call: CallContext, tx: Transaction) -> Answer:
    scope = ",".join(f"{name}={value}" for name, value in sorted(body.scope.items()))
    before = await settings.load_rule_setting(call.store, rule.id, scope, tx)
    since = body.valid_from or tx.now
    after: dict[str, Any] = {"enabled": body.enabled, "parameters": dict(body.parameters)}
    was = {"enabled": before.enabled, "parameters": before.parameters} if before else None
    await settings.save_rule_setting(
        call.store, rule.id, scope, enabled=body.enabled, parameters=body.parameters, since=since, tx=tx
    )
    tx.emit(
        PolicyChanged(
            policy_id=rule.id,
            kind=rule.id,
            scope=dict(body.scope) or None,
            before=was,
            after=after,
            by=call.actor,
            valid_from=since,
        )
    )
    await audit(tx, call.actor, "rule.set", f"{rule.id}{scope}", was, after)
    setting = await settings.load_rule_setting(call.store, rule.id, scope, tx)
    return Answer(200, _rule_body(rule, [setting]))


def _rule_body(rule: Rule, settings: list[Any]) -> dict[str, Any]:
    whole = next((s for s in settings if s.scope == ""), None)
    return {
        "rule": rule.id,
        "source": rule.source,
        "severity": rule.severity.value,
        "text": {"zh": rule.zh, "en": rule.en},
        "enabled": whole.enabled if whole else True,
        "parameters": {**rule.parameters, **(whole.parameters if whole else {})},
        "scopes": [
            {"scope": s.scope, "enabled": s.enabled, "parameters": s.parameters, "valid_from": s.valid_from}
            for s in settings
            if s.scope
        ],
    }
