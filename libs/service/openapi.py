"""The OpenAPI document and the page made of it: every route with its scope and its problems."""

from html import escape
from typing import Any

from fastapi import FastAPI

from libs.service.problems import TITLES

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string", "enum": sorted(TITLES)},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "message"],
                "properties": {name: {"type": "string"} for name in ("pointer", "code", "message")},
            },
        },
    },
}
_ANY = {"401": "no good key", "403": "the key does not allow it", "404": "no such thing", "422": "not acceptable"}
_WITH_BODY = {"400": "not JSON", "413": "too large", "415": "unsupported content type", "408": "incomplete body"}
_CHANGES = {"409": "conflict, wrong state, out of stock or in progress", "412": "stale"}
_ALWAYS = {"503": "overloaded; try again", "405": "method not allowed"}


def describe(app: FastAPI) -> None:
    """Have `/openapi.json` say what FastAPI does not know."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        made = plain()
        if "x-described" not in made:
            _describe(made)
        return made

    app.openapi = described  # type: ignore[method-assign]


def _describe(made: dict[str, Any]) -> None:
    made["x-described"] = True
    components = made.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "ow_<id>_<secret>"}}
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    for operations in made.get("paths", {}).values():
        for method, operation in operations.items():
            operation["responses"] = {**operation["responses"], **_problems(method, operation)}
            operation["parameters"] = [*operation.get("parameters", []), *_shared(method, operation)]


_STORE = {
    "name": "store",
    "in": "query",
    "schema": {"type": "string"},
    "description": "names the store; for keys of operators",
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "the same again: the same answer, no second effect; kept for at least 24 h",
}
_MATCH = {
    "name": "If-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "the ETag of the version to be changed; another: 412",
}


def _shared(method: str, operation: dict[str, Any]) -> list[dict[str, Any]]:
    """What every call may carry and no function declares."""
    if operation.get("x-scope") in ("public", "metrics:read"):
        return []
    own = {parameter["name"] for parameter in operation.get("parameters", [])}
    more = {"post": [_KEY], "put": [_MATCH]}.get(method, [])
    return [parameter for parameter in (_STORE, *more) if parameter["name"] not in own]


def _problems(method: str, operation: dict[str, Any]) -> dict[str, Any]:
    told = dict(_ALWAYS)
    if operation.get("x-scope") != "public":
        told |= _ANY
    elif operation.get("parameters"):
        told |= {"422": _ANY["422"]}
    if method != "get":
        told |= _WITH_BODY | _CHANGES
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": text, "content": content} for status, text in told.items()}


def page(made: dict[str, Any]) -> str:
    """A page without scripts or anything from elsewhere."""
    rows = [
        _row(method, path, operation)
        for path, operations in sorted(made["paths"].items())
        for method, operation in operations.items()
    ]
    title = escape(made["info"]["title"])
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
        f"<h1>{title} <small>{escape(made['info']['version'])}</small></h1>"
        "<p>The full description is <a href=/openapi.json>openapi.json</a>. Keys go into the header"
        " <code>Authorization: Bearer ow_...</code>.</p>"
        f"<table><tr><th>call<th>scope<th>what</tr>{''.join(rows)}</table></html>"
    )


def _row(method: str, path: str, operation: dict[str, Any]) -> str:
    what = operation.get("description") or operation.get("summary", "")
    return (
        f"<tr><td><code>{method.upper()} {escape(path)}</code>"
        f"<td><code>{escape(str(operation.get('x-scope', '')))}</code><td>{escape(what)}</tr>"
    )


_STYLE = (
    "body{font:15px/1.5 system-ui;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    "td,th{text-align:left;vertical-align:top;padding:.3rem 1rem .3rem 0;border-bottom:1px solid #8884}"
    "small{color:#888}@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8bf}}"
)
