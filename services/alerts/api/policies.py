"""Policies over HTTP: what a store sets (D43, D79)."""

from typing import Any

from pydantic import Field, JsonValue
from starlette.responses import Response

from libs.events.contracts.base import Instant, Label
from libs.service.call import Answer, Call
from libs.service.errors import NotFound, Validation, fault
from libs.service.routes import Body, Router
from services.alerts import documents
from services.alerts.api.shared import put_document
from services.alerts.domain.documents import Document, Setting
from services.alerts.domain.policies import POLICIES, POLICY, Policy


class PolicySetting(Body):
    """The value of a policy, for the store or a part of it, from a time on (default: now)."""

    value: JsonValue
    scope: dict[Label, Label] = Field(default_factory=dict, max_length=1)
    valid_from: Instant | None = None


def policy_routes() -> Router:
    """Reading and setting policies."""
    router = Router(tag="policies")

    @router.get("/v1/policies", scope="alerts:read")
    async def list_policies(call: Call) -> Response:
        """Every kind of policy with the value that is valid now."""
        await call.store_info()
        async with call.read() as tx:
            valid = await documents.list_valid(call.store, list(POLICY), tx)
        return await call.page([_policy_body(policy, valid) for policy in POLICIES], None)

    @router.get("/v1/policies/{kind}", scope="alerts:read")
    async def show_policy(kind: str, call: Call, at: Instant | None = None) -> Response:
        """The value of a policy that is valid now, or at `at`, and what comes later."""
        policy = _policy(kind)
        await call.store_info()
        async with call.read() as tx:
            now = at or tx.now
            valid = await documents.list_valid(call.store, kind, tx, at=now)
            versions = await documents.history(call.store, kind, kind, tx)
        coming = [_version_body(version) for version in versions if version.valid_from > now]
        etag = sum(version.version for version in versions)
        return await call.reply(Answer(200, {**_policy_body(policy, valid), "coming": coming}, etag=etag))

    @router.put("/v1/policies/{kind}", scope="alerts:write")
    async def set_policy(kind: str, body: PolicySetting, call: Call) -> Response:
        """Set a policy, for the store or a category, from a time on."""
        policy = _policy(kind)
        value = {"value": _checked(policy, body)}
        setting = Setting(kind, kind, value, body.scope, body.valid_from)
        return await put_document(call, setting, _version_body)

    return router


def _policy(kind: str) -> Policy:
    if kind not in POLICY:
        raise NotFound(f"there is no policy {kind}; there is: {', '.join(POLICY)}")
    return POLICY[kind]


def _checked(policy: Policy, body: PolicySetting) -> Any:
    unknown = sorted(set(body.scope) - set(policy.scopes))
    if unknown:
        message = f"{policy.kind} can be set for: {', '.join(('the store', *policy.scopes))}"
        raise Validation(f"scope: {message}", errors=[fault(f"/scope/{unknown[0]}", "unknown", message)])
    try:
        return policy.parse(body.value)
    except ValueError as error:
        raise Validation(f"value: {error}", errors=[fault("/value", "policy", str(error))]) from None


def _policy_body(policy: Policy, valid: list[Document]) -> dict[str, Any]:
    own = [document for document in valid if document.kind == policy.kind]
    whole = next((document for document in own if document.scope == ""), None)
    value = whole.value["value"] if whole and whole.value else policy.default
    return {
        "kind": policy.kind,
        "source": policy.source,
        "text": {"zh": policy.zh, "en": policy.en},
        "value": value,
        "default": policy.default,
        "valid_from": whole.valid_from if whole else None,
        "scopes": [_version_body(document) for document in own if document.scope],
    }


def _version_body(document: Document) -> dict[str, Any]:
    return {
        "kind": document.kind,
        "scope": document.scope_values,
        "value": document.value["value"] if document.value else None,
        "valid_from": document.valid_from,
        "version": document.version,
        "by": document.by,
    }
