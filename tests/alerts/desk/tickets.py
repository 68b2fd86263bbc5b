"""A real service desk's ticket log, read as conversations: each update is a reply, states are pauses and solutions."""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from services.alerts.desk.domain.log import Did, Fact, On
from services.alerts.desk.domain.policies import ServiceClass

FILE = Path(__file__).parents[4] / "shared" / "data" / "service_incident_log_2016-02_2016-04.csv.gz"
TICKETS, REOPENED, MEDIAN_MINUTES = 17_136, 202, 43
CUSTOMER = "Awaiting User Info"
THIRD_PARTY = ("Awaiting Vendor", "Awaiting Problem", "Awaiting Evidence")
DONE = ("Resolved", "Closed")
Row = Mapping[str, str]


def require_file() -> Path:
    """The file; the test is skipped where it is missing."""
    if not FILE.exists():
        pytest.skip(f"{FILE.name} is not in shared/data")
    return FILE


@cache
def instant(text: str) -> datetime:
    """Such as 29/2/2016 01:16; no zone is given, UTC is as good as any."""
    return datetime.strptime(text, "%d/%m/%Y %H:%M").replace(tzinfo=UTC)


@cache
def read_tickets(path: Path) -> dict[str, list[Row]]:
    """The updates of each ticket, in the order of their times."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for row in csv.DictReader(lines):
            found[row["number"]].append(row)
    for rows in found.values():
        rows.sort(key=lambda row: (instant(row["sys_updated_at"]), int(row["sys_mod_count"])))
    return dict(found)


def facts(rows: Sequence[Row]) -> Iterator[Fact]:
    """What happened in a ticket. Updates of one minute are put a millisecond apart, in their order."""
    opened = instant(rows[0]["opened_at"])
    yield Fact(Did.OPENED, opened, "0-opened", topic_class=ServiceClass.AFTER_SALE, is_complex=True)
    yield Fact(Did.RECEIVED, opened, "0-received")
    before, agent, reopened = "New", "?", 0
    for n, row in enumerate(rows):
        if int(row["sys_mod_count"]) == 0:
            continue
        at = instant(row["sys_updated_at"]) + timedelta(milliseconds=n)
        state = row["incident_state"]
        for did, more in _acts(before, state, int(row["reopen_count"]) > reopened):
            who = row["sys_updated_by"].replace(" ", "-")
            yield Fact(did, at, f"{n}-{did}", agent_id=who if did is Did.REPLIED else None, by=who, on=more)
        if row["assigned_to"] not in ("?", agent):
            agent = row["assigned_to"]
            yield Fact(Did.ASSIGNED, at, f"{n}-assigned", agent_id=agent.replace(" ", "-"), by="desk")
        before, reopened = state, max(reopened, int(row["reopen_count"]))


def _acts(before: str, state: str, reopened: bool) -> Iterator[tuple[Did, On | None]]:
    if reopened or (before in DONE and state not in DONE):
        yield Did.REOPENED, None
    if before == CUSTOMER and state != CUSTOMER:
        yield Did.RECEIVED, None
    yield Did.REPLIED, None
    if state == CUSTOMER or state in THIRD_PARTY:
        yield Did.WAITING, On.CUSTOMER if state == CUSTOMER else On.THIRD_PARTY
    if state in DONE and (before not in DONE or reopened):
        yield Did.RESOLVED, None


_TYPES = {
    Did.OPENED: "conversation.opened.v1",
    Did.ASSIGNED: "conversation.assigned.v1",
    Did.REOPENED: "conversation.reopened.v1",
    Did.RECEIVED: "message.received.v1",
    Did.REPLIED: "message.replied.v1",
    Did.WAITING: "conversation.waiting.v1",
    Did.RESOLVED: "conversation.resolved.v1",
}


def events(number: str, rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """The same as CloudEvents for the front door, of one import."""
    for fact in facts(rows):
        yield {
            "specversion": "1.0",
            "id": f"{number}-{fact.id}",
            "source": "/tickets",
            "type": _TYPES[fact.did],
            "time": fact.at.isoformat(),
            "importid": "tickets",
            "data": {"conversation_id": number, **_data(fact, rows[0])},
        }


def _data(fact: Fact, first: Row) -> dict[str, Any]:
    if fact.did is Did.OPENED:
        customer = first["caller_id"].replace(" ", "-")
        return {"customer_id": customer, "topic_class": "after_sale", "is_complex": True, "via": "phone"}
    if fact.did in (Did.RECEIVED, Did.REPLIED):
        return {"message_id": fact.id} | ({"agent_id": fact.agent_id} if fact.agent_id else {})
    said: dict[str, Any] = {"by": fact.by}
    if fact.did is Did.WAITING and fact.on is not None:
        said["on"] = fact.on.value
    if fact.did is Did.ASSIGNED:
        said["agent_id"] = fact.agent_id
    return said
