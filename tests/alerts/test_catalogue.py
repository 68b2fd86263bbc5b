"""Every rule of the catalogue: from the event, over the real bus and consumer, to its incident and its message."""

from collections.abc import AsyncIterator
from string import Formatter

import pytest
from pydantic import SecretStr

from services.alerts.app import build
from services.alerts.rules import RULE, RULES, Role, Severity
from services.alerts.settings import AlertsSettings
from tests.alerts.catalogue import ELSEWHERE, EXAMPLES
from tests.alerts.stories import Teller
from tests.support.desk import desk_of


@pytest.fixture(scope="module")
async def teller(database: str) -> AsyncIterator[Teller]:
    settings = AlertsSettings(database_url=SecretStr(database), webhook_allow="127.0.0.1")
    async with desk_of(build(settings), ["alerts:read", "alerts:write"]) as desk:
        yield await Teller.of(desk)


@pytest.mark.parametrize("rule", EXAMPLES)
async def test_a_rule_fires_in_its_example_and_has_it_told(teller: Teller, rule: str) -> None:
    store = f"fires.{rule}"
    await teller.open(store)
    await teller.tell(store, EXAMPLES[rule].fires)
    (incident,) = await teller.incidents(store, rule)
    assert RULE[rule].severity is Severity(incident["severity"])
    assert _figures_of(RULE[rule].en) <= {*incident["figures"], *incident["about"], "name"}
    assert {message["channel"] for message in incident["notifications"]} == {"ops"}


def _figures_of(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize("rule", EXAMPLES)
async def test_a_rule_is_silent_in_its_other_example(teller: Teller, rule: str) -> None:
    store = f"silent.{rule}"
    await teller.open(store)
    await teller.tell(store, EXAMPLES[rule].silent)
    assert await teller.incidents(store, rule) == []


def test_every_rule_has_its_examples() -> None:
    assert set(RULE) == set(EXAMPLES) | set(ELSEWHERE)
    assert not set(EXAMPLES) & set(ELSEWHERE)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_has_its_words_its_source_and_whom_it_concerns(rule) -> None:  # type: ignore[no-untyped-def]
    assert rule.zh
    assert rule.en
    assert rule.source.split("-")[0] in {"INV", "ORD", "ALR", "SRV", "RPT"}
    assert isinstance(rule.role, Role)
