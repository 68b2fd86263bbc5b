"""Pages of docs/reference that are printed from the code: who reacts to what, routes with scopes, figures, metrics."""

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import click
import typer
from fastapi import FastAPI
from prometheus_client import REGISTRY

from cli.local.topology import SERVICES
from cli.main import app as opswire
from cli.settings_catalogue import settings_class
from docs import kpi_page, rules_page
from docs import proofs as proofs_page
from libs.events.contracts import EVENTS, TOPICS
from libs.events.contracts.base import EVERY_TOPIC
from libs.service.runtime import Runtime

PRINTED = "Printed by `make docs`; not to be edited."


def subscriptions() -> str:
    """Event -> producer -> consumers, from the tables at the foot of the handlers."""
    consumers = {service: _events_consumed(service) for service in SERVICES}
    rows = [
        [f"`{event.TYPE}`", TOPICS[event.TOPIC].owner, ", ".join(s for s in SERVICES if event in consumers[s])]
        for event in EVENTS
        if event.TOPIC != EVERY_TOPIC
    ]
    return _page("Who reacts to what", _table(("event", "producer", "consumers"), rows))


def routes() -> str:
    """Every call with its scope (D49)."""
    parts = []
    for service in SERVICES:
        rows = [[f"`{method} {path}`", scope, what] for method, path, scope, what in _operations(service)]
        if rows:
            parts.append(f"## {service}\n\n{_table(('call', 'scope', 'what'), rows)}")
    return _page("Calls and their scopes", "\n\n".join(parts))


def kpis() -> str:
    """The catalogue of measures and figures."""
    return _page("Measures and figures", kpi_page.page())


def rules() -> str:
    """The catalogue of alert rules."""
    return _page("Alert rules", rules_page.page())


def metrics() -> str:
    """Every metric that a service shows at `/metrics`."""
    for name in _metric_modules():
        importlib.import_module(name)
    families = sorted(
        (family for family in REGISTRY.collect() if family.name.startswith("opswire_")), key=lambda family: family.name
    )
    rows = [[f"`{family.name}`", family.type, family.documentation] for family in families]
    return _page("Metrics", _table(("metric", "kind", "what"), rows))


def proofs() -> str:
    """Promise -> test -> twin."""
    return _page("Promises and their tests", proofs_page.page())


def commands() -> str:
    """The commands of `opswire`, as their `--help` shows them."""
    root = typer.main.get_command(opswire)
    parts = [f"## {path}\n\n```\n{text}\n```" for path, text in _helps(root, ["opswire"])]
    return _page("Commands", "\n\n".join(parts))


# parts


@cache
def _built(service: str) -> tuple[Runtime, FastAPI] | None:
    """A service put together but not started."""
    if importlib.util.find_spec(f"services.{service}.app") is None:
        return None
    build: Any = importlib.import_module(f"services.{service}.app").build
    made: tuple[Runtime, FastAPI] = build(settings_class(service)())
    return made


def _events_consumed(service: str) -> frozenset[type]:
    built = _built(service)
    if built is None:
        return frozenset()
    return frozenset(event for consumer in built[0].consumers for event in consumer.reactions.events)


def _operations(service: str) -> Iterator[tuple[str, str, str, str]]:
    built = _built(service)
    if built is None:
        return
    for path, operations in built[1].openapi()["paths"].items():
        for method, operation in operations.items():
            what = (operation.get("description") or operation.get("summary") or "").split("\n")[0]
            yield method.upper(), path, operation.get("x-scope", ""), what


def _metric_modules() -> list[str]:
    candidates = ["libs.events.metrics", "libs.service.metrics", *(f"services.{s}.metrics" for s in SERVICES)]
    return [name for name in candidates if importlib.util.find_spec(name) is not None]


def _helps(command: Any, path: list[str]) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=" ".join(path), terminal_width=100, max_content_width=100)
    yield " ".join(path), command.get_help(context).rstrip()
    for name, part in getattr(command, "commands", {}).items():
        yield from _helps(part, [*path, name])


def _page(title: str, body: str) -> str:
    return f"# {title}\n\n{PRINTED}\n\n{body}\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
