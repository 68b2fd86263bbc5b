"""Rules about the code, each a function from a source to what breaks it there. `test_rules.py` applies them."""

import re
from collections.abc import Iterator

from tests.architecture.sources import Source

SERVICES = ("orders", "inventory", "alerts", "kpi", "reporting")

# who may do it

COMMITTERS = {
    "libs/events/transaction.py",  # the one place: state and outbox together
    "libs/events/kafka.py",  # tells the broker how far a group is; the truth is the position row
    "libs/service/migration.py",
    "libs/service/migrations/env.py",
}
TASK_STARTERS = {
    "libs/events/lane.py",  # a lane keeps and awaits its one loop until it is closed
    "libs/events/postgres_group.py",  # so does a membership
    "libs/events/kafka.py",  # stops aiokafka's consumer and awaits it: its cancellation is not ours
    "libs/service/auth.py",  # one look-up that several callers await
    "libs/service/stores.py",  # the same
}
CLOCKS = {
    "libs/events/transaction.py",  # utc_now: the one clock; everything else is given the time
    "libs/events/ids.py",  # a UUIDv7 for which nobody gave a time
}
CLOCK_USERS = {
    "libs/service/middleware.py",  # the time in a request's id
    "libs/service/runtime.py",  # hands the clock to transactions, relay and tickers
}
PURE = ("domain", "entities", "kpis", "rules", "sla", "statistics", "reports", "scorecard", "evidence")
"""Modules of a service that decide: no SQL, HTTP, bus, settings, logging, clock, chance."""

PURE_MAY_IMPORT = ("libs.events.contracts", "libs.service.errors", "libs.service.storetime")
DEPARTMENTS = ("desk",)
"""Packages inside a service that repeat its shape."""
IMPURE_STDLIB = {
    "asyncio",
    "logging",
    "os",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "uuid",
    "urllib.request",
    "pathlib",
    "http",
}
MACHINERY = {
    "fastapi",
    "starlette",
    "sqlalchemy",
    "asyncpg",
    "aiokafka",
    "httpx2",
    "structlog",
    "pydantic_settings",
    "prometheus_client",
    "alembic",
    "uvicorn",
}
"""msgspec is none: its structs are values, as dataclasses are."""

_CLOCK_CALLS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "datetime.datetime.now", "date.today", "datetime.date.today",
    "time.time", "time.time_ns",
}  # fmt: skip
_STARTERS = {"asyncio.create_task", "asyncio.ensure_future", "loop.create_task", "asyncio.run_coroutine_threadsafe"}
_METRICS = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
_SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|TRUNCATE|CREATE|ALTER|DROP)\b")
_TABLE = re.compile(r"\b(?:from|join|into|update|table|truncate|copy)\s+(?:only\s+)?(\w+)\.(\w+)", re.IGNORECASE)


def commits(source: Source) -> Iterator[str]:
    """Transactions are ended in one place (5-promises: one transaction a batch, no effect outside it)."""
    if source.name in COMMITTERS or source.name.startswith("cli/"):
        return
    for name, call in source.calls():
        if name.endswith((".commit", "engine.begin", "connection.begin", "session.begin", ".begin_nested")):
            yield f"{source.name}:{call.lineno} {name}()"


def clocks(source: Source) -> Iterator[str]:
    """Time comes in as an argument; only the edge asks what time it is."""
    if source.name in CLOCKS or source.name.startswith("cli/"):
        return
    for name, call in source.calls():
        if name in _CLOCK_CALLS or (name.endswith("utc_now") and not _at_the_edge(source)):
            yield f"{source.name}:{call.lineno} {name}()"


def _at_the_edge(source: Source) -> bool:
    return source.name in CLOCK_USERS or source.name.endswith(("/app.py", "/__main__.py"))


def tasks(source: Source) -> Iterator[str]:
    """No task outside a supervised group: one that ends unseen would be missed by nobody."""
    if source.name in TASK_STARTERS:
        return
    for name, call in source.calls():
        if name in _STARTERS:
            yield f"{source.name}:{call.lineno} {name}()"


def metric_objects(source: Source) -> Iterator[str]:
    """Every metric is declared in a `metrics.py`, where the docs find it."""
    if source.name.endswith("/metrics.py"):
        return
    imported = {module.rsplit(".", 1)[1] for module, _ in source.imports() if module.startswith("prometheus_client.")}
    for name, call in source.calls():
        if name in imported & _METRICS or name in {f"prometheus_client.{kind}" for kind in _METRICS}:
            yield f"{source.name}:{call.lineno} {name}()"


def impure_decisions(source: Source) -> Iterator[str]:
    """Decisions, entities and catalogues are pure."""
    if not is_pure_module(source):
        return
    for module, line in source.imports():
        if not _is_allowed_in_decisions(module, source):
            yield f"{source.name}:{line} imports {module}"


def is_pure_module(source: Source) -> bool:
    parts = source.name.removesuffix(".py").split("/")
    return bool(source.service) and _layer(parts) in PURE


def _layer(parts: list[str]) -> str:
    """What a module is within its service, or its department: `domain`, `store` ..."""
    inner = [part for part in parts[2:] if part not in DEPARTMENTS]
    return inner[0] if inner else ""


def _is_allowed_in_decisions(module: str, source: Source) -> bool:
    if module.startswith(("libs.", "services.", "cli.")):
        return module.startswith((*PURE_MAY_IMPORT, f"services.{source.service}.")) and not _is_shell(module)
    return not {module, module.split(".")[0]} & (IMPURE_STDLIB | MACHINERY)


def _is_shell(module: str) -> bool:
    parts = module.split(".")
    return parts[0] == "services" and _layer(parts) in (
        "api", "app", "handlers", "store", "tables", "settings", "migrations",
    )  # fmt: skip


def foreign_tables(source: Source) -> Iterator[str]:
    """Nobody reads or writes another service's tables; `access` is the one shared schema, `bus` the bus's own."""
    if not source.service:
        return
    for text, line in source.texts():
        for schema, table in _TABLE.findall(text):
            if schema in SERVICES and schema != source.service:
                yield f"{source.name}:{line} {schema}.{table}"


def sql(source: Source) -> Iterator[str]:
    """Importers and the demo use the front doors only (D52)."""
    for module, line in source.imports():
        if module.split(".")[0] in ("sqlalchemy", "asyncpg", "alembic") or module.startswith("services."):
            yield f"{source.name}:{line} imports {module}"
    for text, line in source.texts():
        if _SQL.search(text) or any(schema in SERVICES for schema, _ in _TABLE.findall(text)):
            yield f"{source.name}:{line} {text[:60]!r}"


def uses_front_doors_only(source: Source) -> bool:
    return source.name.startswith(("cli/importers", "cli/import", "cli/demo", "cli/simulate"))
