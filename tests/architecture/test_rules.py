"""The rules of ARCHITECTURE.md that import-linter cannot see, and for each a made-up source that breaks it."""

from collections.abc import Callable, Iterator

import pytest

from tests.architecture import rules
from tests.architecture.sources import Source, parsed, sources

Rule = Callable[[Source], Iterator[str]]


def broken(rule: Rule, where: Callable[[Source], bool] = lambda _source: True) -> list[str]:
    return [line for source in sources() if where(source) for line in rule(source)]


def test_transactions_are_committed_in_one_place() -> None:
    assert broken(rules.commits) == []


def test_only_the_edge_asks_what_time_it_is() -> None:
    assert broken(rules.clocks) == []


def test_no_task_is_started_outside_a_supervised_group() -> None:
    assert broken(rules.tasks) == []


def test_metrics_are_declared_in_metrics_files() -> None:
    assert broken(rules.metric_objects) == []


def test_decisions_are_pure() -> None:
    assert broken(rules.impure_decisions) == []


def test_nobody_touches_another_services_tables() -> None:
    assert broken(rules.foreign_tables) == []


def test_importers_and_demo_hold_no_sql_and_no_table_name() -> None:
    assert broken(rules.sql, rules.uses_front_doors_only) == []


@pytest.mark.parametrize(
    ("rule", "name", "code"),
    [
        (rules.commits, "services/orders/handlers.py", "async def f(tx): await tx.session.commit()"),
        (rules.commits, "services/orders/store.py", "async def f(engine):\n async with engine.begin() as s: pass"),
        (rules.clocks, "services/orders/handlers.py", "def f(): return datetime.now(UTC)"),
        (rules.clocks, "services/orders/api.py", "def f(): return transaction.utc_now()"),
        (rules.clocks, "libs/events/outbox.py", "def f(): return time.time()"),
        (rules.tasks, "services/alerts/handlers.py", "def f(): asyncio.create_task(send())"),
        (rules.tasks, "libs/service/app.py", "def f(): asyncio.ensure_future(send())"),
        (
            rules.metric_objects,
            "services/kpi/handlers.py",
            "from prometheus_client import Counter\nSEEN = Counter('a', 'b')",
        ),
        (
            rules.metric_objects,
            "services/kpi/handlers.py",
            "import prometheus_client\nX = prometheus_client.Gauge('a', 'b')",
        ),
        (rules.impure_decisions, "services/orders/domain.py", "import time"),
        (rules.impure_decisions, "services/orders/domain.py", "from services.orders.store import load_order"),
        (rules.impure_decisions, "services/kpi/entities/order.py", "from sqlalchemy import text"),
        (rules.impure_decisions, "services/kpi/kpis.py", "from libs.service.settings import Settings"),
        (rules.impure_decisions, "services/alerts/desk/domain/log.py", "from services.alerts.desk import store"),
        (rules.impure_decisions, "services/alerts/desk/domain/log.py", "import random"),
        (rules.foreign_tables, "services/kpi/store.py", "Q = 'SELECT 1 FROM orders.orders'"),
        (rules.foreign_tables, "services/kpi/store.py", "Q = f'SELECT {x} FROM a JOIN inventory.level USING (sku)'"),
        (rules.sql, "cli/demo/story.py", "Q = 'delete from orders.orders'"),
        (rules.sql, "cli/importers/orders.py", "import sqlalchemy"),
    ],
)
def test_each_rule_can_fail(rule: Rule, name: str, code: str) -> None:
    assert list(rule(parsed(code, name)))


@pytest.mark.parametrize(
    ("rule", "name", "code"),
    [
        (rules.tasks, "libs/service/lifecycle.py", "def f(group): group.create_task(run())"),
        (rules.metric_objects, "libs/service/middleware.py", "from prometheus_client import Counter\nX: Counter"),
        (rules.metric_objects, "services/kpi/reading.py", "from collections import Counter\nX = Counter()"),
        (rules.impure_decisions, "services/orders/domain.py", "from libs.service.errors import WrongState"),
        (rules.impure_decisions, "services/kpi/entities/order.py", "from services.kpi.entities.base import Entity"),
        (
            rules.foreign_tables,
            "services/kpi/store.py",
            "Q = 'SELECT 1 FROM access.stores JOIN kpi.figure USING (store)'",
        ),
        (rules.sql, "cli/demo/story.py", "TEXT = 'Select a store from the list'"),
    ],
)
def test_no_rule_is_broken_by_what_it_allows(rule: Rule, name: str, code: str) -> None:
    assert list(rule(parsed(code, name))) == []
