"""`opswire verify`: finds nothing in a sound database, and each invariant in one that breaks them all."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest

from cli import verify
from cli.local.postgres import run_psql
from cli.local.topology import SERVICES
from cli.quiet import Look
from libs.service.invariants import Violation
from services.kpi.figures import NUMBERS
from services.kpi.states import encode, frame
from tests.cli.conftest import Command, plain
from tests.support import databases

NOW = datetime.now(UTC).isoformat()
LONG_AGO = "2020-01-01T00:00:00+00:00"


def test_a_sound_database_has_nothing_to_tell(command: Command) -> None:
    report = command("verify", "--json").good().json
    assert report == {
        "ok": True, "checked": verify.checked(), "violations": [], "dead_letters": 0, "parked": 0, "moving": None,
    }  # fmt: skip
    assert command("verify").good().out.strip() == f"{verify.checked()} invariants: all hold"


def test_every_invariant_of_every_service_can_be_broken(wreck: str) -> None:
    from tests.support.command import opswire

    done = opswire("verify", "--now", "--json", OPSWIRE_DATABASE_URL=wreck)
    assert done.code == 1
    found = {violation["invariant"] for violation in done.json["violations"]}
    own = {name for service in SERVICES for name in import_module(f"services.{service}.invariants").INVARIANTS}
    assert found == own | {verify.PROMISED, verify.APPLIED}
    table = opswire("verify", "--now", OPSWIRE_DATABASE_URL=wreck)
    assert table.code == 1
    assert f"{len(done.json['violations'])} broken" in table.out


def test_a_position_before_the_start_of_its_log_is_a_loss() -> None:
    seen = Look({}, {}, {"orders": {0: (10, 20)}}, {("kpi", "orders", 0): 5})
    assert verify.misplaced(seen) == [Violation(verify.KEPT, "*", "kpi on orders/0", 10, 5)]


def test_orders_and_inventory_must_agree_on_every_unit() -> None:
    wanted = {("s", "o-1", "A"): 2, ("s", "o-2", "A"): 1}
    kept = {("s", "o-1", "A"): 2, ("s", "o-2", "A"): 3, ("s", "o-3", "B"): 1}
    assert [(v.subject, v.expected, v.found) for v in verify.compared(wanted, kept)] == [
        ("o-2 A", 1, 3), ("o-3 B", 0, 1),
    ]  # fmt: skip


def test_on_a_platform_that_never_rests_only_what_stays_broken_counts() -> None:
    passing, lasting = (Violation("x", "s", name, 1, 2) for name in ("passing", "lasting"))
    later = Violation("x", "s", "lasting", 1, 3)
    new = Violation("x", "s", "new", 1, 2)
    assert verify.still_broken([passing, lasting], [later, new]) == [later]


# a database in which everything is wrong


@pytest.fixture(scope="module")
def wreck() -> Iterator[str]:
    for url in databases.new_database(databases.migrated_template()):
        run_psql(plain(url), *_walls_down(), *_damage())
        yield url


def _walls_down() -> list[str]:
    """The database itself would refuse some of it."""
    drops = {
        "inventory.level": (
            "ck_level_promised_not_negative",
            "ck_level_never_oversold",
            "ck_level_not_negative",
        ),
        "alerts.incident": ("uq_incident_standing",),
    }
    return [
        f"drop index {table.split('.')[0]}.{name}"
        if name.startswith("uq")
        else f"alter table {table} drop constraint {name}"
        for table, names in drops.items()
        for name in names
    ]


def put(table: str, **values: Any) -> str:
    """Insert a row of these values; what is not named has its default."""
    names = ", ".join(f'"{name}"' for name in values)
    return f"insert into {table} ({names}) overriding system value values ({', '.join(map(_sql, values.values()))})"


def _sql(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    text = value if isinstance(value, str) else json.dumps(value)
    return "'" + text.replace("'", "''") + "'"


def _damage() -> list[str]:
    shared = [statement for service in SERVICES for statement in _shared_damage(service)]
    return [*shared, *_orders(), *_inventory(), *_kpi(), *_alerts(), *_reporting()]


def _shared_damage(service: str) -> list[str]:
    return [
        put(f"{service}.outbox", topic="orders", key=b"k", value=b"v", headers=b"\x90", written_at=LONG_AGO),
        put(f"{service}.idempotency", store="s", route="r", key="k", fingerprint=b"f", created_at=NOW),
        put(f"{service}.watermark", consumer="nobody", topic="orders", until="2100-01-01T00:00:00+00:00"),
        put(f"{service}.position", consumer="nobody", topic="orders", partition=0, next_offset=9),
    ]


def _order(order_id: str, **values: Any) -> str:
    whole = {
        "store": "s", "order_id": order_id, "origin": "storefront", "currency": "CNY", "items_cents": 200,
        "lines": [{"sku": "A", "quantity": 2, "unit_price_cents": 100}], "shipping_cents": 0, "discount_cents": 0,
        "total_cents": 200, "paid_cents": 0, "refunded_cents": 0, "status": "placed", "review": {}, "placed_at": NOW,
        "accepted_at": NOW, "version": 1,
    }  # fmt: skip
    return put("orders.orders", **{**whole, **values})


def _orders() -> list[str]:
    shipped = [{"sku": "A", "quantity": 2, "unit_price_cents": 100, "shipped": 3, "returned": 1}]
    return [
        _order("money", paid_cents=5, refunded_cents=7, items_cents=200),
        _order("items", items_cents=150, total_cents=150),
        _order("units", status="paid", paid_at=NOW, lines=shipped, hold={"state": "held"}, backordered_at=NOW),
        _order("moment", status="cancelled"),
        _order("counts on units", hold={"state": "held", "expires_at": "2100-01-01T00:00:00+00:00"}),
        put(
            "orders.consignees", store="s", order_id="nobody's", name=b"n", phone=b"p", address=b"a", province="",
            city="", forget_at=NOW,
        ),
    ]  # fmt: skip


def _inventory() -> list[str]:
    reservation = {"store": "s", "is_outside": False, "ordered_at": NOW}
    return [
        put("inventory.level", store="s", sku="over", on_hand=1, held=2),
        put("inventory.level", store="s", sku="under", damaged=-1),
        put("inventory.level", store="s", sku="idle", on_hand=5, short=1, locked=1),
        put(
            "inventory.movement", movement_id=1, store="s", sku="gone", at=NOW, kind="shipped", quantity=3,
            from_state="on_hand", to_state="shipped", cause_type="t", cause_id="c", by="b",
        ),
        put("inventory.reservation", reservation_id="r-1", status="released", **reservation),
        put("inventory.reservation_line", store="s", reservation_id="r-1", sku="over", quantity=1, promised=1,
            position=0, is_goods=True),
    ]  # fmt: skip


def _kpi() -> list[str]:
    day = {"store": "s", "by": "", "bucket": 1_700_000_000, "shard": 0}
    measures = {NUMBERS["orders_placed"]: 3}
    segment = {"topic": "orders", "partition": 0, "accepted_on": "2024-07-01", "least_time": NOW, "greatest_time": NOW}
    return [
        put("kpi.figure", grain="day", value="", measures=encode(measures), **day),
        put("kpi.figure_delta", grain="day", minute=1, changes=frame({"": {NUMBERS["orders_placed"]: 2}}), **day),
        put("kpi.orders", store="s", order_id="o-1", placed_us=1, skus="{}", state=b"x"),
        put("kpi.import", store="s", import_id="i-1", opened_at=NOW, ended_at=NOW, measured_at=NOW),
        put("kpi.import_bucket", store="s", grain="day", bucket=1, import_id="i-1"),
        put("kpi.journal", first_offset=0, last_offset=10, events=1, payload=b"p", **segment),
        put("kpi.journal", first_offset=10, last_offset=12, events=1, payload=b"p", **segment),
    ]


def _alerts() -> list[str]:
    incident = {
        "store": "s", "key": "stock|sku=A", "rule": "low_stock", "severity": "warning", "about": {}, "name": "",
        "figures": {}, "opened_at": NOW, "relapse_told": True, "retroactive": False, "level": 0, "evidence": [],
        "version": 1,
    }  # fmt: skip
    delivery = {"store": "s", "channel": "ops", "type": "incident.opened", "body": {}, "reason": "route"}
    firing = [{"alert_id": "al-1", "rule": "low_stock", "recovered_at": None}]
    waiting = {**delivery, "status": "pending", "attempts": 1, "created_at": LONG_AGO, "due_at": LONG_AGO}
    return [
        put("alerts.incident", incident_id="inc-1", status="open", alerts=firing, recovered_at=NOW, **incident),
        put("alerts.incident", incident_id="inc-2", status="open", alerts=[], record={"cause": "?"}, **incident),
        put("alerts.incident", incident_id="inc-3", status="resolved", alerts=firing, **incident),
        put("alerts.delivery", notification_id="n-1", incident_id="nobody's", alert_id="al-1", **waiting),
        put("alerts.delivery", notification_id="n-2", alert_id="al-1", **{**waiting, "status": "sent"}),
        *_clocks(),
    ]


def _clocks() -> list[str]:
    clock = {
        "store": "s", "policy": "default", "since": LONG_AGO, "kind": "first_response", "number": 1,
        "class": "pre_sale", "limit_seconds": 600, "started_at": LONG_AGO, "due_at": LONG_AGO, "elapsed_us": 0,
        "judges": True, "warned": False, "fired": False, "alerting": False, "version": 1,
    }  # fmt: skip
    conversation = {
        "store": "s", "is_complex": False, "status": "open", "opened_at": NOW, "imported": False, "settled_at": NOW,
        "known_until": NOW, "recount": False, "version": 1,
    }  # fmt: skip
    return [
        put("alerts.clock", conversation_id="forgotten", state="running", **clock),
        put("alerts.clock", conversation_id="late", state="running", timer_at=LONG_AGO, **clock),
        put("alerts.clock", conversation_id="over", state="met", timer_at=NOW, **clock),
        put("alerts.conversation", conversation_id="over", breached=True, **conversation),
        put("alerts.watermark", consumer="alerts", topic="service", until=NOW),
    ]


def _reporting() -> list[str]:
    period = {"store": "s", "report": "daily", "period": "2024-07-01"}
    edition = {**period, "reason": "measured", "changed_cells": 0, "log_position": {}}
    content = {"store": "s", "edition": 7, "rows": [{"orders": 1}]}
    return [
        put("reporting.period", editions=3, **period),
        put("reporting.edition", edition=1, published_at=NOW, content=content, **edition),
        put("reporting.edition", edition=3, published_at=LONG_AGO, content=content, **edition),
        put(
            "reporting.bucket", store="s", grain="day", bucket="2024-07-01", channel="", starts_at=NOW, ends_at=NOW,
            measures={"orders_placed": 2}, complete=True, watermark=NOW,
        ),
    ]  # fmt: skip
