"""What cannot be answered: each has its defined answer, which names the place."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.kpi.conftest import KpiService
from tests.kpi.test_questions import view

BAD: list[tuple[dict[str, Any], str, str, str]] = [
    ({"by": "planet"}, "/by", "not_kept", "demo"),
    ({"by": "device,source"}, "/by", "not_kept", "demo"),
    ({"by": "sku", "grain": "hour"}, "/by", "not_kept", "demo"),
    ({"grain": "minute"}, "/grain", "grain", "demo"),
    ({"from_": "2024-07-02", "to": "2024-07-01"}, "/from", "range", "demo"),
    ({"from_": "2024-02-30", "to": "2024-07-01"}, "/from", "day", "demo"),
    ({"from_": "2024-7-1", "to": "2024-07-01"}, "/from", "day", "demo"),
    ({"to": "0001-01-01"}, "/to", "day", "demo"),
    ({"as_of": "2024-07-01T10:00:00"}, "/as_of", "instant", "demo"),
    ({"as_of": "2999-07-01T10:00:00Z"}, "/as_of", "future", "demo"),
    ({"currency": "yuan"}, "/currency", "currency", "demo"),
    ({"version": "latest"}, "/version", "version", "demo"),
]


@pytest.mark.parametrize(("params", "pointer", "code", "key"), BAD)
async def test_a_question_that_cannot_be_is_refused_with_its_place(
    kpi: KpiService, params: dict[str, Any], pointer: str, code: str, key: str
) -> None:
    answer = await kpi.get("/v1/kpis/uv", key=key, **params)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)


async def test_an_unknown_figure_is_not_found(kpi: KpiService) -> None:
    answer = await kpi.get("/v1/kpis/conversion.magic")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_too_many_points_are_refused_before_they_are_counted(kpi: KpiService) -> None:
    answer = await kpi.get("/v1/kpis/uv", from_="1970-01-01", to="2024-07-01", grain="hour")
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_points")


async def test_an_hour_that_the_clocks_skip_is_refused_for_ad_spend(kpi: KpiService) -> None:
    ad = {"channel": "paid", "impressions": 1, "clicks": 1, "spend_cents": 1, "currency": "USD"}
    skipped = await kpi.post("/v1/ad-spend", [{**ad, "hour": "2024-03-10T02"}], key="york")
    assert (skipped.status_code, skipped.json()["errors"][0]["pointer"]) == (422, "/0/hour")
    repeated = await kpi.post("/v1/ad-spend", [{**ad, "hour": "2024-11-03T01-05:00"}], key="york")
    assert repeated.status_code == 201


async def test_a_day_that_a_zone_skipped_is_refused(kpi: KpiService) -> None:
    """Samoa had no 30 December 2011."""
    from libs.service.errors import Validation
    from services.kpi.asking import read_day
    from services.kpi.calendar import calendar_of

    with pytest.raises(Validation, match="does not exist"):
        read_day("from", "2011-12-30", calendar_of("Pacific/Apia"))


async def test_an_event_ten_years_ahead_is_quarantined_and_counted_nowhere(kpi: KpiService) -> None:
    ahead = datetime.now(UTC) + timedelta(days=3650)
    assert (await kpi.post("/v1/events", [view("ahead", "v-ahead", at=ahead)])).json()["accepted"] == 1
    await kpi.catch_up()
    topics = {t["topic"]: t for t in (await kpi.get("/v1/completeness")).json()["topics"]}
    assert topics["traffic"]["quarantined"] == 1
    day = ahead.date().isoformat()
    assert (await kpi.get("/v1/kpis/uv", from_=day, to=day)).json()["series"] == []
