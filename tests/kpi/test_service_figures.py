"""Customer service in figures, from events on the bus to the answer (SRV-7, D34, D37)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.events.contracts import BY_TYPE
from libs.events.contracts.base import Event
from tests.kpi.conftest import KpiService
from tests.kpi.test_questions import order

MONDAY = datetime(2024, 7, 1, 2, tzinfo=UTC)
DAY = {"from_": "2024-07-01", "to": "2024-07-01"}


def fact(event_type: str, **data: Any) -> Event:
    return BY_TYPE[event_type].model_validate(data)


def opened(name: str, customer: str, topic_class: str = "pre_sale", **more: Any) -> Event:
    data = {"conversation_id": name, "customer_id": customer, "topic_class": topic_class, "subject": "", "via": "chat"}
    return fact("conversation.opened.v1", **data, **more)


def clock(name: str, seconds: int, state: str = "met", **more: Any) -> Event:
    stopped = None if more.pop("running", False) else (MONDAY + timedelta(seconds=seconds)).isoformat()
    measured = {
        "conversation_id": name,
        "policy": "default",
        "kind": "first_response",
        "class": "pre_sale",
        "agent_id": "agent-7",
        "started_at": MONDAY.isoformat(),
        "due_at": (MONDAY + timedelta(seconds=600)).isoformat(),
        "stopped_at": stopped,
        "elapsed_seconds": seconds,
        "state": state,
        "version": 1,
    }
    return fact("clock.measured.v1", **{**measured, **more})


async def one(kpi: KpiService, figure: str, **params: Any) -> dict[str, Any]:
    answer = await kpi.get(f"/v1/kpis/{figure}", **{**DAY, **params})
    assert answer.status_code == 200, answer.text
    (point,) = answer.json()["series"]
    return dict(point)


async def split(kpi: KpiService, figure: str, by: str) -> dict[str, Any]:
    answer = await kpi.get(f"/v1/kpis/{figure}", **DAY, by=by)
    return {point["dimensions"][by]: point["value"] for point in answer.json()["series"]}


SECONDS = [60, 120, 180, 240, 900]
"""Five first responses, the last too late."""


@pytest.fixture(scope="module")
async def shop(kpi: KpiService) -> KpiService:
    """Six conversations on Monday: five answered, one never; four solved, one of them reopened."""
    talks = [opened(f"t-{n}", f"c-{n}") for n in range(4)]
    talks += [opened("t-4", "c-1", "after_sale"), opened("t-5", "c-5", "after_sale", customer_tier="gold")]
    await kpi.tell(*talks, at=MONDAY, prefix="talk")
    clocks = [clock(f"t-{n}", seconds, "met" if seconds <= 600 else "breached") for n, seconds in enumerate(SECONDS)]
    lost = clock("t-5", 600, "breached", running=True, agent_id=None, **{"class": "after_sale"})
    await kpi.tell(*clocks, lost, at=MONDAY + timedelta(hours=1), prefix="clock")
    other_policy = clock("t-0", 5, policy="vip", version=9)
    first_version = clock("t-0", 3, version=0 + 1)
    corrected = clock("t-0", 60, version=2)
    await kpi.tell(corrected, first_version, other_policy, at=MONDAY + timedelta(hours=2), prefix="again")
    solved = [fact("conversation.resolved.v1", conversation_id=f"t-{n}", by="li") for n in range(4)]
    await kpi.tell(*solved, at=MONDAY + timedelta(hours=2), prefix="solved")
    reopened = fact("conversation.reopened.v1", conversation_id="t-3", by="c-3")
    await kpi.tell(reopened, at=MONDAY + timedelta(hours=3), prefix="reopened")
    late = fact("conversation.resolved.v1", conversation_id="t-4", by="li")
    await kpi.tell(late, at=MONDAY + timedelta(hours=25), prefix="late")
    ratings = [fact("rating.given.v1", conversation_id=f"t-{n}", score=score) for n, score in enumerate((5, 4, 2))]
    by_order = fact("rating.given.v1", order_id="o-1", score=3)
    await kpi.tell(*ratings, by_order, at=MONDAY, prefix="rating")
    about = {"customer_id": "c-1", "sku": "A001", "kind": "quality"}
    filed = [fact("complaint.filed.v1", complaint_id=f"q-{n}", **about) for n in range(2)]
    await kpi.tell(*filed, at=MONDAY, prefix="filed")
    settled = [fact("complaint.resolved.v1", complaint_id=f"q-{n}", outcome="ok", **about) for n in range(2)]
    await kpi.tell(settled[0], at=MONDAY + timedelta(hours=24), prefix="settled-0")
    await kpi.tell(settled[1], at=MONDAY + timedelta(hours=24, seconds=1), prefix="settled-1")
    await kpi.tell(*order("1", None, 10_000), at=MONDAY + timedelta(hours=24), prefix="paid-1")
    await kpi.tell(*order("2", None, 10_000), at=MONDAY + timedelta(hours=24, seconds=1), prefix="paid-2")
    await kpi.tell(*order("0", None, 10_000), at=MONDAY - timedelta(seconds=1), prefix="paid-0")
    await kpi.catch_up()
    return kpi


async def test_conversations_and_their_classes(shop: KpiService) -> None:
    assert (await one(shop, "conversations"))["value"] == 6
    assert await split(shop, "conversations", "class") == {"pre_sale": 4, "after_sale": 2}
    assert await split(shop, "conversations", "customer_tier") == {"gold": 1}


async def test_first_responses_average_median_and_90th_by_nearest_rank(shop: KpiService) -> None:
    average = await one(shop, "first_response_avg")
    assert (average["numerator"], average["denominator"], average["value"]) == (1500, 5, 300)
    median = await one(shop, "first_response_p50")
    assert (median["numerator"], median["denominator"], median["value"]) == (180, 5, 180)
    assert (await one(shop, "first_response_p90"))["value"] == 900
    assert (await one(shop, "first_response_p50", grain="week"))["value"] == 180
    assert (await one(shop, "first_response_p90", grain="month"))["value"] == 900


async def test_percentiles_of_an_empty_bucket_are_null(shop: KpiService) -> None:
    empty = await one(shop, "first_response_p90", from_="2024-07-05", to="2024-07-05")
    assert (empty["denominator"], empty["value"]) == (0, None)


async def test_a_higher_version_of_a_clock_replaces_and_other_policies_do_not_count(shop: KpiService) -> None:
    assert (await one(shop, "first_responses"))["value"] == 5
    assert (await one(shop, "first_response_seconds"))["value"] == sum(SECONDS)


async def test_an_answer_that_never_came_is_a_breach(shop: KpiService) -> None:
    met = await one(shop, "sla_met")
    assert (met["numerator"], met["denominator"]) == (4, 6)
    assert await split(shop, "sla_met", "agent") == {"agent-7": 0.8}


async def test_a_reopened_conversation_is_not_solved(shop: KpiService) -> None:
    rate = await one(shop, "resolution_rate")
    assert (rate["numerator"], rate["denominator"]) == (4, 6)
    assert (await one(shop, "resolved_in_time"))["value"] == 3


async def test_complaints_in_time_and_their_rate(shop: KpiService) -> None:
    assert (await one(shop, "complaints"))["value"] == 2
    assert (await one(shop, "complaints_in_time"))["value"] == 1
    rate = await one(shop, "complaint_rate")
    assert (rate["numerator"], rate["denominator"]) == (2, 1)
    assert await split(shop, "complaints", "sku") == {"A001": 2}


async def test_satisfaction_is_the_average_and_the_share_of_4_and_5(shop: KpiService) -> None:
    csat = await one(shop, "csat")
    assert (csat["numerator"], csat["denominator"], csat["value"]) == (14, 4, 3.5)
    assert (await one(shop, "csat.good"))["value"] == 0.5


async def test_an_asker_bought_within_24_hours_after_asking(shop: KpiService) -> None:
    """c-1 paid exactly 24 h after asking, c-2 a second later, c-0 before; c-1 asked twice and is one asker."""
    bought = await one(shop, "ask_to_buy")
    assert (bought["numerator"], bought["denominator"], bought["value"]) == (1, 5, 0.2)
    assert (await one(shop, "askers", grain="month"))["value"] == 5
    assert await split(shop, "askers", "class") == {"pre_sale": 4, "after_sale": 2}


async def test_what_the_service_does_not_keep_is_refused_with_what_it_keeps(shop: KpiService) -> None:
    answer = await shop.get("/v1/kpis/sla_met", **DAY, by="channel")
    assert answer.status_code == 422
    assert "class" in answer.json()["detail"]
