"""Conversations over HTTP on real PostgreSQL: clocks, warnings, breaches, who had them (SRV-1 to SRV-6)."""

import random
from datetime import timedelta
from typing import Any

from tests.alerts.desk.counter import Counter

MARKETPLACE = {"limits": [{"class": "pre_sale", "kind": "first_response", "seconds": 180}]}


async def test_a_question_is_warned_of_at_80_percent_breached_at_its_limit_and_recovers_with_the_answer(
    counter: Counter,
) -> None:
    await counter.tell(counter.opened(), counter.received())
    (clock,) = await counter.clocks()
    assert (clock["kind"], clock["limit_seconds"], clock["state"]) == ("first_response", 600, "running")
    await counter.pass_time(minutes=8)
    assert await counter.incidents() == []
    await counter.pass_time(seconds=1)
    (incident,) = await counter.incidents()
    assert (incident["rule"], incident["about"]["conversation_id"]) == ("response_presale_warning", "c-1")
    await counter.pass_time(minutes=2)
    (incident,) = await counter.incidents("?rule=response_presale")
    assert [alert["rule"] for alert in incident["alerts"]] == ["response_presale_warning", "response_presale"]
    assert incident["figures"]["limit"] == "10 min"
    assert incident["figures"]["held"] == [{"holder": "queue", "seconds": 601}]
    assert (await counter.clocks())[0]["state"] == "breached"
    await counter.tell(counter.replied())
    (clock,) = await counter.clocks()
    assert (clock["state"], clock["elapsed_seconds"], clock["agent_id"]) == ("breached", 601, "7")
    (incident,) = await counter.incidents()
    assert incident["recovered_at"] is not None


async def test_warning_breach_and_answer_are_each_told_once(counter: Counter) -> None:
    channel = {
        "kind": "webhook",
        "url": "http://127.0.0.1:9/x",
        "secret": "whsec_c2VjcmV0IG9mIHR3ZW50eSBieXRlcyBvciBzbw==",
    }
    await counter.put("/v1/channels/ops", channel)
    await counter.tell(counter.opened())
    for minutes in (9, 2, 3):
        await counter.pass_time(minutes=minutes)
    await counter.tell(counter.replied())
    told = (await counter.get("/v1/notifications"))["items"]
    assert [row["type"] for row in reversed(told)] == ["incident.opened", "incident.escalated", "incident.recovered"]


async def test_a_breach_is_not_raised_before_everything_up_to_its_time_is_known(counter: Counter) -> None:
    await counter.tell(counter.opened())
    await counter.pass_time(minutes=11, known=timedelta(minutes=5))
    assert await counter.incidents() == []
    await counter.tell(counter.replied(-2))
    await counter.pass_time(minutes=1)
    assert await counter.incidents() == []
    assert (await counter.clocks())[0]["state"] == "met"


async def test_every_class_breaks_its_own_rule(counter: Counter) -> None:
    for name, topic_class, is_complex in (("a", "pre_sale", None), ("b", "in_sale", None), ("c", "after_sale", True)):
        await counter.tell(counter.opened(0, topic_class, conversation_id=name, is_complex=is_complex))
    await counter.pass_time(hours=2, seconds=1)
    await counter.pass_time(hours=22, seconds=1)
    found = {(i["about"]["conversation_id"], i["rule"]) for i in await counter.incidents()}
    assert found == {
        ("a", "response_presale"),
        ("b", "response_aftersale"),
        ("c", "response_aftersale"),
        ("c", "solution_overdue"),
    }


async def test_two_rulers_measure_one_conversation_and_each_breach_is_an_incident_of_its_own(counter: Counter) -> None:
    await counter.put("/v1/sla-policies/marketplace", MARKETPLACE)
    await counter.tell(counter.opened())
    await counter.pass_time(minutes=3, seconds=1)
    assert [(i["rule"], i["about"]["policy"]) for i in await counter.incidents()] == [
        ("response_presale", "marketplace")
    ]
    await counter.tell(counter.replied())
    assert [clock["state"] for clock in await counter.clocks()] == ["met"]
    assert [clock["state"] for clock in await counter.clocks("marketplace")] == ["breached"]


async def test_a_new_policy_is_laid_at_open_conversations_at_once(counter: Counter) -> None:
    await counter.tell(counter.opened())
    await counter.pass_time(minutes=4)
    await counter.put("/v1/sla-policies/marketplace", MARKETPLACE)
    await counter.settle()
    await counter.pass_time(seconds=1)
    assert [clock["state"] for clock in await counter.clocks("marketplace")] == ["breached"]
    assert [i["about"]["policy"] for i in await counter.incidents()] == ["marketplace"]


async def test_a_policy_that_changes_midway_keeps_both_results(counter: Counter) -> None:
    await counter.tell(counter.opened())
    await counter.pass_time(minutes=2)
    await counter.put("/v1/sla-policies/default", MARKETPLACE)
    await counter.settle()
    await counter.pass_time(minutes=3)
    await counter.tell(counter.replied())
    results = [(c["limit_seconds"], c["state"], c["judges"]) for c in await counter.clocks()]
    assert results == [(600, "met", True), (180, "breached", False)]
    today = await counter.get("/v1/sla")
    assert [(row["met"], row["breached"]) for row in today["items"]] == [(1, 0)]


async def test_a_calendar_makes_the_clock_wait_for_the_morning(counter: Counter) -> None:
    night = {"timezone": "Asia/Shanghai", "week": {"mon": [["09:00", "18:00"]], "fri": [["09:00", "18:00"]]}}
    await counter.put("/v1/calendars/office", night)
    await counter.put("/v1/sla-policies/office", {**MARKETPLACE, "calendar": "office"})
    await counter.tell({**counter.opened(), "time": "2024-09-27T17:58:00+08:00"})
    (clock,) = await counter.clocks("office")
    assert clock["due_at"] == "2024-09-30T09:01:00+08:00"


async def test_any_order_of_arrival_gives_the_same_conversation(counter: Counter) -> None:
    story = [
        counter.opened(-300, "after_sale", is_complex=True),
        counter.received(-300),
        counter.replied(-299, agent=None, is_automatic=True),
        counter.event("conversation.assigned.v1", -290, agent_id="7", by="lead"),
        counter.replied(-280),
        counter.event("conversation.waiting.v1", -280, on="customer", by="7"),
        counter.received(-200),
        counter.event("conversation.resolved.v1", -150, by="7"),
        counter.event("conversation.reopened.v1", -100, by="customer"),
        counter.event("conversation.resolved.v1", -50, by="8"),
        counter.event("rating.given.v1", -40, score=4),
    ]
    await counter.tell(*story)
    mixed = [{**event, "data": {**event["data"], "conversation_id": "c-2"}} for event in story]
    random.Random(7).shuffle(mixed)
    for n, event in enumerate(mixed):
        await counter.tell({**event, "id": f"again-{n}"})
    first, second = await counter.show("c-1"), await counter.show("c-2")
    assert {**second, "conversation_id": "c-1"} == first
    assert first["rating"] == 4
    assert first["held"] == [
        {"holder": "queue", "seconds": 600},
        {"holder": "agent:7", "seconds": 600 + 3000 + 3000},
        {"holder": "customer", "seconds": 80 * 60},
    ]
    assert [(c["kind"], c["elapsed_seconds"], c["state"]) for c in first["clocks"]] == [
        ("first_response", 1200, "met"),
        ("solution", 7200, "met"),
    ]


async def test_an_event_told_twice_counts_once(counter: Counter) -> None:
    opened = counter.opened()
    await counter.tell(opened)
    told = len(await counter.measured())
    await counter.tell(opened)
    assert len(await counter.measured()) == told == 1


async def test_every_change_of_a_clock_is_told_with_a_higher_version(counter: Counter) -> None:
    await counter.tell(counter.opened())
    await counter.pass_time(minutes=11)
    await counter.tell(counter.replied())
    measured = await counter.measured()
    assert [(m.state, m.version, m.elapsed_seconds) for m in measured] == [
        ("running", 1, 0),
        ("breached", 2, 660),
        ("breached", 3, 660),
    ]
    assert (measured[2].agent_id, measured[2].topic_class, measured[2].policy) == ("7", "pre_sale", "default")


async def test_late_data_disproves_a_breach(counter: Counter) -> None:
    await counter.tell(counter.opened())
    await counter.pass_time(minutes=11)
    assert (await counter.clocks())[0]["state"] == "breached"
    await counter.tell(counter.replied(-5))
    assert (await counter.clocks())[0]["state"] == "met"
    (incident,) = await counter.incidents()
    assert incident["recovered_at"] is not None


async def test_an_imported_conversation_that_was_never_answered_is_breached_and_told_to_nobody(
    counter: Counter,
) -> None:
    await counter.tell(counter.opened(-60 * 24 * 9, importid_="old-1"))
    await counter.pass_time(seconds=30)
    assert (await counter.clocks())[0]["state"] == "running"  # more of the file may be on its way
    await counter.pass_time(seconds=31)
    assert (await counter.clocks())[0]["state"] == "breached"
    (incident,) = await counter.incidents()
    assert (incident["retroactive"], incident["rule"], incident["notifications"]) == (True, "response_presale", [])


async def test_a_late_answer_that_comes_with_its_question_is_recorded(counter: Counter) -> None:
    await counter.tell(counter.opened(-200), counter.replied(-180))
    (incident,) = await counter.incidents()
    assert (incident["retroactive"], incident["recovered_at"] is not None) == (True, True)


async def test_a_rule_that_is_switched_off_raises_nothing_and_the_clock_is_breached_all_the_same(
    counter: Counter,
) -> None:
    await counter.put("/v1/rules/response_presale", {"enabled": False})
    await counter.tell(counter.opened())
    await counter.pass_time(minutes=11)
    assert await counter.incidents() == []
    assert (await counter.clocks())[0]["state"] == "breached"


async def test_conversations_are_listed_by_class_and_by_breach(counter: Counter) -> None:
    for n in range(3):
        about = {"conversation_id": f"p-{n}"}
        await counter.tell(counter.opened(n, **about), counter.replied(n + 1, **about))
    await counter.tell(counter.opened(3, "after_sale", conversation_id="a-1", is_complex=True))
    await counter.tell(counter.opened(3, "pre_sale", conversation_id="late"))
    await counter.pass_time(minutes=14)
    assert [c["conversation_id"] for c in await _list(counter, "?breached=true")] == ["late"]
    assert [c["conversation_id"] for c in await _list(counter, "?class=complex")] == ["a-1"]
    in_time = await _list(counter, "?class=pre_sale&breached=false")
    assert [c["conversation_id"] for c in in_time] == ["p-2", "p-1", "p-0"]
    page = await counter.get("/v1/conversations?limit=2")
    rest = await counter.get(f"/v1/conversations?limit=9&cursor={page['next_cursor']}")
    assert len(page["items"]) + len(rest["items"]) == 5


async def _list(counter: Counter, query: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await counter.get(f"/v1/conversations{query}"))["items"]
    return items


async def test_another_store_sees_no_conversation(counter: Counter) -> None:
    await counter.tell(counter.opened())
    other = await counter.desk.get("/v1/conversations/c-1", store="other")
    assert other.status_code == 404
    assert (await counter.desk.get("/v1/conversations", store="other")).json()["items"] == []
