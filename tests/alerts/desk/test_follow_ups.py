"""Complaints are settled, and bad reviews answered, in time (SRV-3, SRV-8)."""

from tests.alerts.desk.counter import Counter, Json


def filed(counter: Counter, minutes: float = 0, name: str = "k-1") -> Json:
    about = {"complaint_id": name, "customer_id": "c-9", "kind": "quality", "conversation_id": None, "order_id": "o-1"}
    return counter.event("complaint.filed.v1", minutes, **about)


def settled(counter: Counter, minutes: float = 0, name: str = "k-1") -> Json:
    event = filed(counter, minutes, name)
    data = {**event["data"], "outcome": "refunded"}
    return {**event, "type": "complaint.resolved.v1", "data": data}


def posted(counter: Counter, minutes: float = 0, stars: int = 2) -> Json:
    about = {"review_id": "r-1", "sku": "A001", "stars": stars, "conversation_id": None}
    return counter.event("review.posted.v1", minutes, **about)


def answered(counter: Counter, minutes: float = 0) -> Json:
    return {**posted(counter, minutes), "type": "review.answered.v1"}


async def test_a_complaint_is_overdue_after_24_hours(counter: Counter) -> None:
    await counter.tell(filed(counter))
    await counter.pass_time(hours=20)
    assert [i["rule"] for i in await counter.incidents()] == ["solution_overdue_warning"]
    await counter.pass_time(hours=4, seconds=1)
    (incident,) = await counter.incidents("?rule=solution_overdue")
    assert (incident["about"], incident["severity"]) == ({"complaint_id": "k-1"}, "critical")
    (complaint,) = (await counter.get("/v1/complaints?state=overdue"))["items"]
    assert (complaint["complaint_id"], complaint["kind"], complaint["resolved_at"]) == ("k-1", "quality", None)
    await counter.tell(settled(counter))
    (incident,) = await counter.incidents()
    assert incident["recovered_at"] is not None


async def test_a_complaint_that_is_settled_in_time_disturbs_nobody_in_any_order(counter: Counter) -> None:
    await counter.tell(settled(counter, -60))
    await counter.tell(filed(counter, -120))
    await counter.pass_time(hours=30)
    assert await counter.incidents() == []
    (complaint,) = (await counter.get("/v1/complaints"))["items"]
    assert (complaint["state"], complaint["outcome"]) == ("done", "refunded")


async def test_a_middling_review_wants_an_answer_within_a_day_a_good_one_does_not(counter: Counter) -> None:
    await counter.tell(posted(counter, stars=3))
    await counter.pass_time(hours=24, seconds=1)
    (incident,) = await counter.incidents()
    assert (incident["rule"], incident["about"]) == ("bad_review_unanswered", {"review_id": "r-1", "sku": "A001"})
    await counter.tell(answered(counter))
    (incident,) = await counter.incidents()
    assert incident["recovered_at"] is not None


async def test_a_good_review_wants_nothing(counter: Counter) -> None:
    await counter.tell(posted(counter, stars=4))
    await counter.pass_time(hours=30)
    assert await counter.incidents() == []
    assert (await counter.get("/v1/reviews"))["items"] == []


async def test_the_limit_and_the_stars_can_be_set(counter: Counter) -> None:
    await counter.put("/v1/rules/bad_review_unanswered", {"parameters": {"hours": 2, "stars": 4}})
    await counter.tell(posted(counter, stars=4))
    await counter.pass_time(hours=2, seconds=1)
    assert [i["rule"] for i in await counter.incidents()] == ["bad_review_unanswered"]


async def test_a_bad_review_is_given_up_with_a_record(counter: Counter) -> None:
    await counter.tell(posted(counter))
    await counter.pass_time(hours=25)
    (incident,) = await counter.incidents()
    record = {"cause_code": "service", "cause": "cannot be reached", "measures": "none", "owner": "li"}
    path = f"/v1/incidents/{incident['incident_id']}/resolve"
    answer = await counter.desk.call("POST", path, json=record, store=counter.store)
    assert answer.json()["status"] == "resolved"
    await counter.pass_time(hours=25)
    assert await counter.incidents("?status=open") == []
