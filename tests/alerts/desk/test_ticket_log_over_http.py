"""The real ticket log through the front door, the bus and the consumer: the service levels that its clocks give."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from services.alerts.desk.domain.clocks import State, measure
from services.alerts.desk.domain.log import Log
from services.alerts.desk.domain.policies import Kind, Rulers
from tests.alerts.desk import tickets
from tests.alerts.desk.counter import Counter, Json

END = datetime(2026, 1, 1, tzinfo=UTC)


def of_log(numbers: Sequence[str], kind: Kind) -> tuple[int, int]:
    """Met and breached, by the pure clocks."""
    found = tickets.read_tickets(tickets.require_file())
    clocks = [c for n in numbers for c in measure(Log(tickets.facts(found[n])), Rulers(), END) if c.kind is kind]
    states = [clock.state for clock in clocks]
    return states.count(State.MET), states.count(State.BREACHED)


async def replay(counter: Counter, numbers: Sequence[str]) -> dict[str, Json]:
    """All events of these tickets, in the order of their times over all tickets; the service levels by kind."""
    found = tickets.read_tickets(tickets.require_file())
    told = sorted((e for n in numbers for e in tickets.events(n, found[n])), key=lambda event: str(event["time"]))
    for start in range(0, len(told), 1000):
        await counter.tell(*told[start : start + 1000])
    await counter.pass_time(seconds=61)
    first = (await counter.get("/v1/sla?from=2016-02-28&to=2016-05-02&policy=default"))["items"]
    return {row["kind"]: row for row in first}


async def compare(counter: Counter, numbers: Sequence[str]) -> None:
    levels = await replay(counter, numbers)
    for kind in (Kind.FIRST_RESPONSE, Kind.SOLUTION):
        row = levels[kind.value]
        assert (row["met"], row["breached"]) == of_log(numbers, kind)
    assert (await counter.get("/v1/notifications"))["items"] == [], "breaches of the past are told to nobody"


async def test_a_handful_of_real_tickets_gives_the_levels_of_their_clocks(counter: Counter) -> None:
    every = sorted(tickets.read_tickets(tickets.require_file()))
    await compare(counter, random.Random(7).sample(every, 25))


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_all_real_tickets_give_the_levels_of_their_clocks(counter: Counter) -> None:
    await compare(counter, sorted(tickets.read_tickets(tickets.require_file())))
