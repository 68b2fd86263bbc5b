"""One frozen example of every event type: a structured CloudEvent as it once was, which must decode for ever.

`python -m libs.events.examples` (`make examples`) makes the example of a new event from its contract. A file that
exists is never written again: it stands for the events in the journals.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from libs.events import strict_json
from libs.events.codec import Envelope, to_structured
from libs.events.contracts import EVENTS, Event
from libs.events.schemas import schema_of, to_text

FOLDER: Final = Path(__file__).parent
STORE: Final = "demo"
AT: Final = datetime.fromisoformat("2024-07-01T10:00:00+08:00")
RECORDED_AT: Final = datetime.fromisoformat("2024-07-01T10:00:00.250000+08:00")


def path_of(event: type[Event]) -> Path:
    """Where the example of an event lies."""
    return FOLDER / f"{event.TYPE}.json"


def load_example(event: type[Event]) -> dict[str, Any]:
    """The frozen example: a structured CloudEvent. Raises FileNotFoundError for an event that has none yet."""
    document: dict[str, Any] = strict_json.loads(path_of(event).read_bytes())
    return document


def write_examples() -> list[Path]:
    """Write the examples that do not exist yet; their paths."""
    new = [event for event in EVENTS if not path_of(event).exists()]
    for event in new:
        path_of(event).write_text(to_text(make_example(event)), encoding="utf-8")
    return [path_of(event) for event in new]


def make_example(event: type[Event]) -> dict[str, Any]:
    """A structured CloudEvent with every field of the contract."""
    data = sample(event)
    return to_structured(
        Envelope(
            id=f"{event.TYPE.rpartition('.')[0]}-1",
            source=f"/stores/{STORE}/traffic" if event.TOPIC == "traffic" else "/services/example",
            store="*" if event.TOPIC == "*" else STORE,
            subject="orders" if event.TOPIC == "*" else data.subject,
            time=AT,
            recorded_time=RECORDED_AT,
            data=data,
            causation_id="cause-1",
            correlation_id="flow-1",
            import_id="import-1",
        )
    )


def sample(event: type[Event]) -> Event:
    """An event with every field filled that may stand beside the others, always the same."""
    schema = schema_of(event)
    left_out = _LEFT_OUT.get(event.TYPE, ())
    fields = {name: part for name, part in schema["properties"].items() if name not in left_out}
    data = {name: _value(name, part, schema.get("$defs", {})) for name, part in fields.items()}
    return event.model_validate_json(json.dumps(data | _OVERRIDES.get(event.TYPE, {})))


_LEFT_OUT: Final = {"ad.spent.v1": ("hour",), "measure.entered.v1": ("month",), "cost.entered.v1": ("month",)}
"""Fields that may not stand beside those that are filled."""

_OVERRIDES: Final[dict[str, dict[str, Any]]] = {
    "sku.changed.v1": {"before": {"price_cents": 7800}, "after": {"price_cents": 6900, "cost_cents": 3000}},
    "experiment.started.v1": {"ends_at": None},
    "page.viewed.v1": {"page_kind": "product", "experiment": {"id": "title-test", "variant": "a"}},
    "cart.added.v1": {"page_kind": "product", "experiment": {"id": "title-test", "variant": "a"}},
    "cart.removed.v1": {"page_kind": "cart", "experiment": {"id": "title-test", "variant": "a"}},
    "product.favorited.v1": {"page_kind": "product", "experiment": {"id": "title-test", "variant": "a"}},
    "checkout.started.v1": {"page_kind": "checkout", "experiment": {"id": "title-test", "variant": "a"}},
    "order.amended.v1": {
        "lines_before": [{"sku": "A001", "quantity": 3, "unit_price_cents": 7800}],
        "lines_after": [{"sku": "A001", "quantity": 2, "unit_price_cents": 7800}],
    },
    "stock.released.v1": {"reason": "expired"},
    "stock.adjusted.v1": {"quantity": -2, "reason": "damaged"},
    "stock.ran_low.v1": {"available": 9, "safety": 10},
    "stock.back_in.v1": {"available": 11, "safety": 10},
    "stock.oversold.v1": {"short": 2, "remedy": ["urgent_restock", "delay_coupon", "priority_shipping", "cancel"]},
    "target.set.v1": {"criterion": {"kind": "days_in_a_row", "n": 7}},
    "stock.sold_out.v1": {"available": 0, "safety": 10},
    "stock.level.v1": {
        "on_hand": 98,
        "held": 3,
        "allocated": 5,
        "locked": 20,
        "short": 0,
        "returning": 0,
        "damaged": 2,
        "safety": 10,
        "safety_hidden": 0,
        "available": 70,
        "version": 17,
        "warehouses": [{"warehouse": "main", "on_hand": 98, "returning": 0, "damaged": 2}],
    },
    "kpi.measured.v1": {"end": "2024-07-01T11:00:00+08:00", "watermark": "2024-07-01T11:05:00+08:00"},
    "kpi.corrected.v1": {"end": "2024-07-01T11:00:00+08:00", "causes": ["e-17"], "cause_count": 1},
    "clock.measured.v1": {"state": "met"},
    "store.changed.v1": {"name": "Demo"},
    "report.published.v1": {"changed_cells": [{"path": "rows/0/orders", "from": 120, "to": 119}]},
    "ad.spent.v1": {"impressions": 52000, "clicks": 1300, "spend_cents": 97500},
    "policy.changed.v1": {
        "kind": "rule",
        "scope": {"category": "dress"},
        "before": {"enabled": True, "parameters": {"safety": 10}},
        "after": {"enabled": True, "parameters": {"safety": 20}},
    },
}

_BY_NAME: Final[dict[str, Any]] = {
    "store": "demo",
    "origin": "storefront",
    "warehouse": "main",
    "freight_cents": 800,
    "link": "https://shop-b.example.com/p/1",
    "order_id": "o-1001",
    "shipment_id": "s-1",
    "return_id": "r-1",
    "refund_id": "rf-1",
    "payment_id": "p-1",
    "receipt_id": "rc-1",
    "count_id": "ct-1",
    "adjustment_id": "a-1",
    "visitor_id": "v-77",
    "session_id": "ss-1",
    "customer_tier": "gold",
    "campaign": "summer",
    "experiment": "title-test",
    "id": "title-test",
    "variant": "a",
    "variants": ["a", "b"],
    "target_id": "t-1",
    "conversation_id": "cv-1",
    "message_id": "m-1",
    "agent_id": "agent-7",
    "complaint_id": "cp-1",
    "review_id": "rv-1",
    "alert_id": "al-1",
    "alerts": ["al-1"],
    "incident_id": "inc-1",
    "previous": "inc-0",
    "notification_id": "n-1",
    "report_id": "daily:2024-07-01",
    "policy_id": "rule:low_stock",
    "violation_id": "vl-1",
    "source": "douyin",
    "carrier": "SF",
    "tracking_number": "SF100",
    "place": "杭州",
    "by": "li",
    "owner": "li",
    "name": "Demo",
    "language": "zh",
    "title": "夏季连衣裙",
    "category": "dress",
    "theme": "夏季清仓",
    "offer": "满299减50",
    "subject": "尺码",
    "channels": ["朋友圈广告"],
    "rule": "low_stock",
    "policy": "default",
    "metric": "conversion.order_uv",
    "measure": "uv",
    "from": 4850,
    "to": 4849,
    "quantity": 2,
    "unit_price_cents": 7800,
    "price_cents": 7800,
    "discount_cents": 0,
    "cost_cents": 3000,
    "shipping_cents": 0,
    "items_cents": 15600,
    "total_cents": 15600,
    "amount_cents": 15600,
    "budget_cents": 3000000,
    "lead_days": 7,
    "wanted": 3,
    "safety": 10,
    "expected": 98,
    "counted": 97,
    "found": 97,
    "difference": -1,
    "elapsed_seconds": 240,
    "limit_seconds": 600,
    "reasons": ["rule"],
    "missing": [],
    "reason": "as agreed",
    "refusal": "worn",
    "outcome": "exchanged",
    "error": "errcode 310000",
    "description": "A001 shows stock, there is none",
    "scope": "5 orders cancelled",
    "cause": "stock sync failure",
    "measures": "repair sync, recount",
    "text": "stock 98, then 9",
    "rival": "shop-b",
    "creative": "video-3",
    "plan": "plan-1",
    "device": "phone",
    "score": 5,
    "stars": 5,
    "is_bot": False,
    "is_staff": False,
    "is_dispute": False,
    "is_automatic": False,
    "was_paid": False,
    "retroactive": False,
    "starts_at": "2024-07-15T00:00:00+08:00",
    "ends_at": "2024-07-21T00:00:00+08:00",
    "ends_on": "2024-09-30",
    "expires_at": "2024-07-01T10:15:00+08:00",
    "due_at": "2024-07-01T10:10:00+08:00",
    "stopped_at": "2024-07-01T10:04:00+08:00",
    "ship_due_at": "2024-07-03T10:00:00+08:00",
}


def _value(name: str, schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """A value for a field: the one that its name usually has, else an example, else the simplest that is allowed."""
    if "$ref" in schema:
        return _value(name, definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return _value(name, schema["anyOf"][0], definitions)
    if _suits(_BY_NAME.get(name), schema):
        return _BY_NAME[name]
    if "examples" in schema:
        return schema["examples"][0]
    return _simplest(name, schema, definitions)


_JSON_TYPES: Final = {str: "string", int: "integer", bool: "boolean", list: "array"}


def _suits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether the value of a name is of the kind that this field has."""
    items = schema.get("items", {})
    if value is None or "anyOf" in schema:
        return False
    return schema.get("type") == _JSON_TYPES[type(value)] and "enum" not in schema and "$ref" not in items


def _simplest(name: str, schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {key: _value(key, part, definitions) for key, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [_value(name, schema["items"], definitions)] * max(1, schema.get("minItems", 0))
    if kind == "string":
        return name.replace("_", " ")
    if kind == "integer":
        return max(1, schema.get("minimum", 1))
    return {"boolean": True, "number": 0.5}.get(str(kind))
