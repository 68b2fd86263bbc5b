"""What people bring and define: each becomes a fact, once; what is wrong is refused whole, with its place."""

import asyncio
import io
from datetime import UTC, datetime
from typing import Any

import pytest
import xlsxwriter
from sqlalchemy import text

from services.kpi.definitions import end_due
from tests.kpi.conftest import KpiService

SPEND: dict[str, Any] = {
    "channel": "paid",
    "source": "douyin",
    "day": "2024-07-01",
    "impressions": 1000,
    "clicks": 50,
    "spend_cents": 30000,
    "currency": "CNY",
}
CAMPAIGN: dict[str, Any] = {
    "theme": "夏季清仓",
    "starts_at": "2024-07-15T00:00:00+08:00",
    "ends_at": "2024-07-20T00:00:00+08:00",
    "skus": [{"sku": "A001", "quantity": 100, "price_cents": 3900}],
    "offer": "满299减50",
    "budget_cents": 3_000_000,
    "channels": ["social"],
    "owner": "li",
    "goals": {"gmv": 15_000_000, "stock_cleared": 0.3},
}
TARGET: dict[str, Any] = {
    "dimension": {},
    "metric": "uv",
    "value": 5000,
    "owner": "li",
    "starts_on": "2024-07-01",
    "ends_on": "2024-09-30",
    "criterion": {"kind": "days_in_a_row", "n": 7},
}
EXPERIMENT: dict[str, Any] = {
    "variants": ["a", "b"],
    "metric": "conversion.order_uv",
    "starts_at": "2024-07-01T00:00:00+08:00",
}


async def told(kpi: KpiService, event_type: str) -> list[Any]:
    """The data of the events of this type that wait for the relay."""
    return [event.data for event in await kpi.waiting("marketing") if event.type == event_type]


@pytest.fixture(autouse=True)
async def _quiet(kpi: KpiService) -> None:
    async with kpi.runtime.engine.begin() as session:
        await session.execute(text("DELETE FROM kpi.outbox"))


# brought


async def test_spend_becomes_a_fact_with_the_time_it_was_reported(kpi: KpiService) -> None:
    answer = await kpi.post("/v1/ad-spend", [{**SPEND, "reported_at": "2024-07-02T09:00:00+08:00"}])
    assert (answer.status_code, answer.json()) == (201, {"accepted": 1})
    (event,) = await kpi.waiting("marketing")
    assert (event.type, event.store, event.subject) == ("ad.spent.v1", "demo", "paid")
    assert event.time == datetime(2024, 7, 2, 1, tzinfo=UTC)
    assert event.data.spend_cents == 30000


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"channel": "tv"}, "/1/channel"),
        ({"clicks": -1}, "/1/clicks"),
        ({"clicks": "50"}, "/1/clicks"),
        ({"day": None}, "/1"),
        ({"hour": "2024-07-01T10"}, "/1"),
        ({"day": None, "hour": "2024-07-01T25"}, "/1/hour"),
        ({"spend": 1}, "/1/spend"),
        ({"reported_at": "2999-01-01T00:00:00Z"}, "/1/reported_at"),
    ],
)
async def test_one_wrong_entry_refuses_all_and_says_where(
    kpi: KpiService, changes: dict[str, Any], pointer: str
) -> None:
    answer = await kpi.post("/v1/ad-spend", [SPEND, {**SPEND, **changes}])
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert await kpi.waiting("marketing") == []


async def test_an_hour_that_the_stores_clock_skips_is_refused(kpi: KpiService) -> None:
    entry = {**{name: value for name, value in SPEND.items() if name != "day"}, "hour": "2024-03-10T02"}
    assert (await kpi.post("/v1/ad-spend", [entry], key="york")).json()["errors"][0]["pointer"] == "/0/hour"
    assert (await kpi.post("/v1/ad-spend", [entry])).status_code == 201


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
async def test_spend_comes_as_csv_too(kpi: KpiService, encoding: str) -> None:
    table = "channel,source,day,impressions,clicks,spend_cents,currency\npaid,抖音,2024-07-01,1000,50,30000,CNY\n"
    answer = await kpi.post("/v1/ad-spend", content=table.encode(encoding), content_type="text/csv")
    assert answer.status_code == 201, answer.text
    (spend,) = await told(kpi, "ad.spent.v1")
    assert (spend.source, spend.spend_cents) == ("抖音", 30000)


async def test_spend_comes_as_a_spreadsheet_too(kpi: KpiService) -> None:
    rows = (SPEND, {**SPEND, "day": datetime(2024, 7, 2)})  # noqa: DTZ001  a cell of a spreadsheet
    answer = await kpi.post("/v1/ad-spend", content=spreadsheet(*rows), content_type=XLSX)
    assert answer.status_code == 201, answer.text
    spends = await told(kpi, "ad.spent.v1")
    assert [(f"{spend.day}", spend.clicks) for spend in spends] == [("2024-07-01", 50), ("2024-07-02", 50)]


XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def spreadsheet(*rows: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"default_date_format": "yyyy-mm-dd"}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, list(rows[0]))
        for number, row in enumerate(rows, 1):
            sheet.write_row(number, 0, list(row.values()))
    return buffer.getvalue()


async def test_a_wrong_cell_is_named_by_its_row(kpi: KpiService) -> None:
    table = (
        b"channel,day,impressions,clicks,spend_cents,currency\npaid,2024-07-01,1,1,1,CNY\npaid,2024-07-01,1,x,1,CNY\n"
    )
    answer = await kpi.post("/v1/ad-spend", content=table, content_type="text/csv")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/1/clicks")


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"\x00\xff\xff", "text/csv", 400),
        (b"", "text/csv", 400),
        (b"a,a\n1,2\n", "text/csv", 400),
        (b"no book", XLSX, 400),
        (b"<a/>", "text/xml", 415),
        (b"[", "application/json", 400),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused(
    kpi: KpiService, content: bytes, content_type: str, status: int
) -> None:
    answer = await kpi.post("/v1/ad-spend", content=content, content_type=content_type)
    assert answer.status_code == status, answer.text


async def test_measures_costs_and_rivals_prices_are_told_with_who_brought_them(kpi: KpiService) -> None:
    measure = {"metric": "brand_searches", "month": "2024-07", "value": 9500, "source": "baidu"}
    cost = {"category": "staff", "day": "2024-07-01", "amount_cents": 80000, "currency": "CNY"}
    rival = {"rival": "shop b", "sku": "A001", "price_cents": 6900, "seen_at": "2024-07-01T10:00:00+08:00"}
    for path, entry in (("measures", measure), ("costs", cost), ("competitors", rival)):
        assert (await kpi.post(f"/v1/{path}", [entry])).status_code == 201
    events = await kpi.waiting("marketing")
    assert [event.type for event in events] == ["measure.entered.v1", "cost.entered.v1", "competitor.seen.v1"]
    assert all(event.data.by.startswith("key:") for event in events)
    assert events[2].data.currency == "CNY"
    assert events[2].time == datetime(2024, 7, 1, 2, tzinfo=UTC)


async def test_free_text_is_masked_before_it_is_told(kpi: KpiService) -> None:
    rival = {
        "rival": "b",
        "sku": "A001",
        "price_cents": 1,
        "offer": "打 13800005678",
        "seen_at": "2024-07-01T10:00:00Z",
    }
    await kpi.post("/v1/competitors", [rival])
    (seen,) = await told(kpi, "competitor.seen.v1")
    assert "13800005678" not in seen.offer


async def test_a_repeated_call_with_a_key_has_one_effect(kpi: KpiService) -> None:
    first = await kpi.post("/v1/ad-spend", [SPEND], idempotency_key="spend-1")
    again = await kpi.post("/v1/ad-spend", [SPEND], idempotency_key="spend-1")
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert len(await told(kpi, "ad.spent.v1")) == 1
    other = await kpi.post("/v1/ad-spend", [{**SPEND, "clicks": 1}], idempotency_key="spend-1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


async def test_the_same_rivals_price_twice_is_one_fact(kpi: KpiService) -> None:
    rival = {"rival": "b", "sku": "A001", "price_cents": 1, "seen_at": "2024-07-01T10:00:00Z"}
    for _ in range(2):
        await kpi.post("/v1/competitors", [rival])
    ids = [event.id for event in await kpi.waiting("marketing")]
    assert len(ids) == 2
    assert ids[0] == ids[1]


async def test_what_belongs_to_an_import_says_so(kpi: KpiService) -> None:
    await kpi.post("/v1/ad-spend?import_id=backfill-1", [SPEND])
    (event,) = await kpi.waiting("marketing")
    assert event.import_id == "backfill-1"


async def test_more_than_a_thousand_entries_are_413(kpi: KpiService) -> None:
    assert (await kpi.post("/v1/ad-spend", [SPEND] * 1001)).status_code == 413


async def test_bringing_needs_the_right_to_write_figures(kpi: KpiService) -> None:
    for path in ("ad-spend", "measures", "costs", "competitors"):
        assert (await kpi.post(f"/v1/{path}", [], key="reader")).status_code == 403


# defined


async def test_a_campaign_is_planned_then_changed_and_the_same_again_is_nothing(kpi: KpiService) -> None:
    planned = await kpi.put("/v1/campaigns/summer", CAMPAIGN)
    assert (planned.status_code, planned.headers["etag"]) == (201, '"1"')
    assert (await kpi.put("/v1/campaigns/summer", CAMPAIGN)).status_code == 200
    changed = await kpi.put("/v1/campaigns/summer", {**CAMPAIGN, "budget_cents": 4_000_000})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert [event.type for event in await kpi.waiting("marketing")] == ["campaign.planned.v1", "campaign.changed.v1"]
    shown = (await kpi.get("/v1/campaigns/summer")).json()
    assert (shown["theme"], shown["budget_cents"], shown["version"]) == ("夏季清仓", 4_000_000, 2)
    assert [entry["campaign"] for entry in (await kpi.get("/v1/campaigns")).json()["items"]] == ["summer"]


async def test_a_stale_change_is_412(kpi: KpiService) -> None:
    await kpi.put("/v1/campaigns/autumn", CAMPAIGN)
    assert (await kpi.put("/v1/campaigns/autumn", {**CAMPAIGN, "owner": "wu"}, if_match='"1"')).status_code == 200
    assert (await kpi.put("/v1/campaigns/autumn", {**CAMPAIGN, "owner": "xu"}, if_match='"1"')).status_code == 412


@pytest.mark.parametrize(
    "changes",
    [
        {"ends_at": "2024-07-15T00:00:00+08:00"},
        {"skus": [{"sku": "A001"}, {"sku": "A001"}]},
        {"starts_at": "2024-07-15T00:00:00"},
        {"budget_cents": 1.5},
        {"goals": {"gmv": "much"}},
        {"owner": None},
        {"more": 1},
    ],
)
async def test_a_plan_that_cannot_be_is_refused(kpi: KpiService, changes: dict[str, Any]) -> None:
    answer = await kpi.put("/v1/campaigns/never", {**CAMPAIGN, **changes})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation")
    assert (await kpi.get("/v1/campaigns/never")).status_code == 404


async def test_a_campaign_that_is_over_is_told_once(kpi: KpiService) -> None:
    await kpi.put("/v1/campaigns/past", CAMPAIGN)
    while await end_due(kpi.runtime.worker):
        pass
    ended = [event.campaign for event in await told(kpi, "campaign.ended.v1")]
    assert ended.count("past") == 1
    assert await end_due(kpi.runtime.worker) == 0


async def test_a_target_is_set_and_shows_where_it_stands(kpi: KpiService) -> None:
    assert (await kpi.put("/v1/targets/daily-uv", TARGET)).status_code == 201
    entered = {**TARGET, "metric": "brand_searches", "criterion": {"kind": "total"}}
    await kpi.put("/v1/targets/searches", entered)
    await kpi.put("/v1/targets/later", {**TARGET, "starts_on": "2024-10-01", "ends_on": "2024-12-31"})
    target = (await told(kpi, "target.set.v1"))[0]
    assert (target.target_id, target.criterion.n) == ("daily-uv", 7)
    answer = (await kpi.get("/v1/achievement", from_="2024-07-01", to="2024-07-03")).json()
    by_id = {item["target_id"]: item for item in answer["items"]}
    assert set(by_id) == {"daily-uv", "searches"}
    assert by_id["daily-uv"] == {
        "target_id": "daily-uv",
        "metric": "uv",
        "target": 5000,
        "actual": 0,
        "expected_to_date": 5000,
        "achievement": 0,
        "met": False,
        "streak": 0,
    }
    assert by_id["searches"]["actual"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"criterion": {"kind": "days_in_a_row"}},
        {"criterion": {"kind": "now and then"}},
        {"ends_on": "2024-06-30"},
        {"dimension": {"colour": "red"}},
        {"value": "many"},
    ],
)
async def test_a_target_that_cannot_be_is_refused(kpi: KpiService, changes: dict[str, Any]) -> None:
    assert (await kpi.put("/v1/targets/never", {**TARGET, **changes})).status_code == 422


async def test_an_experiment_is_told_and_says_what_is_not_kept(kpi: KpiService) -> None:
    assert (await kpi.put("/v1/experiments/button", EXPERIMENT)).status_code == 201
    (started,) = await told(kpi, "experiment.started.v1")
    assert started.variants == ("a", "b")
    shown = (await kpi.get("/v1/experiments/button")).json()
    assert [variant["variant"] for variant in shown["variants"]] == ["a", "b"]
    assert "not_kept" not in shown
    await kpi.put("/v1/experiments/basket", {**EXPERIMENT, "metric": "aov"})
    unknown = (await kpi.get("/v1/experiments/basket")).json()
    assert unknown["not_kept"]
    assert [variant["converted"] for variant in unknown["variants"]] == [None, None]
    one = {**EXPERIMENT, "variants": ["a"]}
    assert (await kpi.put("/v1/experiments/one", one)).status_code == 422


async def test_another_stores_definitions_are_not_found(kpi: KpiService) -> None:
    await kpi.put("/v1/campaigns/ours", CAMPAIGN)
    assert (await kpi.get("/v1/campaigns/ours", key="other")).status_code == 404
    assert (await kpi.get("/v1/campaigns", key="other")).json()["items"] == []


async def test_two_who_define_the_same_at_once_make_one(kpi: KpiService) -> None:
    answers = await asyncio.gather(*(kpi.put("/v1/campaigns/race", CAMPAIGN) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    planned = [event.campaign for event in await told(kpi, "campaign.planned.v1")]
    assert planned.count("race") == 1


# imports


async def test_an_import_is_opened_and_ended_and_both_may_be_repeated(kpi: KpiService) -> None:
    for _ in range(2):
        opened = await kpi.post("/v1/imports", {"import_id": "backfill-9"})
        assert (opened.status_code, opened.json()) == (201, {"import_id": "backfill-9", "status": "open"})
    ended = [(await kpi.post("/v1/imports/backfill-9/end")).json() for _ in range(2)]
    assert ended[0] == ended[1]
    assert (ended[0]["status"], ended[0]["import_id"]) == ("ended", "backfill-9")


async def test_an_import_that_was_never_opened_cannot_end(kpi: KpiService) -> None:
    assert (await kpi.post("/v1/imports/never/end")).status_code == 404
    await kpi.post("/v1/imports", {"import_id": "theirs"}, key="other")
    assert (await kpi.post("/v1/imports/theirs/end")).status_code == 404


async def test_buckets_that_an_import_fills_are_incomplete_until_it_has_been_measured(kpi: KpiService) -> None:
    view = {
        "id": "im-1",
        "type": "page.viewed",
        "time": "2024-05-01T10:00:00+08:00",
        "visitor_id": "v-1",
        "url_path": "/",
        "page_kind": "home",
        "importid": "backfill-10",
    }
    await kpi.post("/v1/imports", {"import_id": "backfill-10"})
    await kpi.post("/v1/events", [view])
    await kpi.catch_up()
    answer = (await kpi.get("/v1/kpis/pv", from_="2024-05-01", to="2024-05-02")).json()
    assert [(point["value"], point["complete"]) for point in answer["series"]] == [(1, False), (0, True)]
    assert answer["completeness"]["complete"] is False
