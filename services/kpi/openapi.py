"""What the OpenAPI document says of the routes that read their bodies themselves."""

from typing import Any

_VIEW = {
    "id": "e-1",
    "type": "page.viewed",
    "visitor_id": "v-1",
    "channel": "paid",
    "url_path": "/p/A001",
    "page_kind": "product",
    "sku": "A001",
}
_SHORT = {**_VIEW, "time": "2024-07-01T10:00:00+08:00"}
_CLOUDEVENT = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/shop",
    "type": "page.viewed.v1",
    "time": "2024-07-01T10:00:00+08:00",
    "data": {name: value for name, value in _VIEW.items() if name not in ("id", "type")},
}
_SPEND = {
    "channel": "paid",
    "source": "douyin",
    "day": "2024-07-01",
    "impressions": 1000,
    "clicks": 50,
    "spend_cents": 30000,
    "currency": "CNY",
}


def _events(example: Any) -> dict[str, Any]:
    items = {"type": "object", "required": ["type"], "additionalProperties": True}
    return {"schema": {"type": "array", "maxItems": 1000, "items": items}, "example": example}


def _one(example: Any) -> dict[str, Any]:
    return {"schema": {"type": "object", "additionalProperties": True}, "example": example}


def _body(**content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


EVENTS = _body(
    **{
        "application/json": _events([_SHORT]),
        "application/cloudevents+json": _one(_CLOUDEVENT),
        "application/cloudevents-batch+json": _events([_CLOUDEVENT]),
    }
)
BEACON = _body(
    **{
        "text/plain": {"schema": {"type": "string", "contentMediaType": "application/json"}},
        "application/json": _events([{**_VIEW, "age_ms": 1500}]),
    }
)
SPEND = _body(
    **{
        "application/json": _events([_SPEND]),
        "text/csv": {
            "schema": {"type": "string"},
            "example": f"{','.join(_SPEND)}\n{','.join(map(str, _SPEND.values()))}\n",
        },
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": {
            "schema": {"type": "string", "format": "binary"}
        },
    }
)
SCRIPT: dict[int | str, dict[str, Any]] = {
    200: {"description": "the script", "content": {"text/javascript": {"schema": {"type": "string"}}}}
}
