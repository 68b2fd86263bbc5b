"""Reporting over HTTP on real PostgreSQL: editions come from measured events alone, and never change silently."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from libs.events.contracts import KpiCorrected, KpiMeasured, ReportPublished, TargetSet
from services.reporting.app import build
from services.reporting.publishing import publish_at_deadline, publish_due
from services.reporting.settings import ReportingSettings
from tests.support.desk import Desk, desk_of

SHANGHAI_OFFSET = timedelta(hours=8)
DAY_START = datetime(2024, 6, 30, 16, tzinfo=UTC)
"""2024-07-01 in Shanghai."""


@pytest.fixture
async def desk(fresh_database: str) -> AsyncIterator[Desk]:
    settings = ReportingSettings(database_url=SecretStr(fresh_database), settle_seconds=0, correction_seconds=0)
    async with desk_of(build(settings), ["reports:read", "reports:write"]) as running:
        yield running


async def publish(desk: Desk) -> None:
    """What the ticker does."""
    await publish_due(desk.runtime.worker, desk.runtime.stores)


def measured(dimensions: dict[str, str], **measures: int) -> KpiMeasured:
    return KpiMeasured(
        store="demo",
        bucket="2024-07-01",
        start=DAY_START,
        end=DAY_START + timedelta(days=1),
        grain="day",
        dimensions=dimensions,
        measures=measures,
        complete=True,
        watermark=DAY_START + timedelta(days=1, minutes=5),
    )


async def tell_the_worked_day(desk: Desk) -> None:
    target = TargetSet.model_validate(
        {
            "target_id": "t-1",
            "dimension": {},
            "metric": "conversion.order_uv",
            "value": 0.03,
            "owner": "li",
            "starts_on": "2024-07-01",
            "ends_on": "2024-09-30",
            "criterion": {"kind": "average"},
        }
    )
    await desk.tell(target, n=1)
    await desk.tell(measured({"channel": "natural_search"}, uv=2183), n=2)
    await desk.tell(measured({"channel": "paid"}, uv=1455), n=3)
    day = measured(
        {}, uv=4850, pv=18200, orders_placed=120, orders_placed_here=120, orders_paid=120, paid_amount=1872000
    )
    await desk.tell(day, n=4)


async def correct_orders(desk: Desk, *, n: int = 9) -> None:
    correction = KpiCorrected.model_validate(
        {
            "bucket": "2024-07-01",
            "grain": "day",
            "dimensions": {},
            "measures": [
                {"measure": "orders_placed", "from": 120, "to": 119},
                {"measure": "orders_placed_here", "from": 120, "to": 119},
            ],
            "causes": ["order-event-77"],
            "cause_count": 1,
        }
    )
    await desk.tell(correction, n=n)


async def test_a_measured_day_becomes_the_first_edition(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    await publish(desk)
    answer = (await desk.get("/v1/reports/daily/2024-07-01.json?lang=zh")).json()
    row = answer["rows"][0]
    assert (answer["report"], answer["store"], answer["period"], answer["edition"]) == (
        "daily",
        "demo",
        "2024-07-01",
        1,
    )
    assert answer["complete"] is True
    assert row["text"]["conversion"] == "2.47%"
    assert row["text"]["main_source"] == "自然搜索 45%"
    assert row["notes"] == ["转化率低于目标 0.53 个百分点"]
    assert (row["conversion"], row["aov_cents"], row["main_source_share"]) == (0.024742, 15600, 0.450103)


async def test_the_edition_is_told_with_the_position_it_was_made_at(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    await publish(desk)
    events = await desk.emitted()
    (event,) = [e for e in events if isinstance(e, ReportPublished)]
    assert (event.report, event.period, event.edition) == ("daily", "2024-07-01", 1)
    assert sum(event.log_position["kpi"]) == 3


async def test_a_correction_makes_the_next_edition_and_the_old_one_stays_byte_for_byte(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    await publish(desk)
    shapes = [f"/v1/reports/daily/2024-07-01.{kind}?edition=1" for kind in ("json", "html", "xlsx", "csv")]
    before = [(await desk.get(path)).content for path in shapes]
    await correct_orders(desk)
    await publish(desk)
    assert [(await desk.get(path)).content for path in shapes] == before
    newest = (await desk.get("/v1/reports/daily/2024-07-01.json")).json()
    assert (newest["edition"], newest["rows"][0]["orders"]) == (2, 119)
    editions = (await desk.get("/v1/reports/daily/2024-07-01/editions")).json()["items"]
    assert [(e["edition"], e["reason"]) for e in editions] == [(1, "measured"), (2, "correction")]


async def test_the_diff_names_the_cells_and_the_events_that_did_it(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    await publish(desk)
    await correct_orders(desk)
    await publish(desk)
    cells = (await desk.get("/v1/reports/daily/2024-07-01/diff?from=1&to=2")).json()["cells"]
    orders = next(cell for cell in cells if cell["path"] == "rows/0/orders")
    assert (orders["from"], orders["to"], orders["cause_count"]) == (120, 119, 1)
    assert [cause["event_id"] for cause in orders["causes"]] == ["order-event-77"]


async def test_the_same_events_again_make_no_new_edition(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    await publish(desk)
    await tell_the_worked_day(desk)
    await publish(desk)
    assert len((await desk.get("/v1/reports/daily/2024-07-01/editions")).json()["items"]) == 1


async def test_a_correction_that_changes_no_cell_makes_no_edition(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    await publish(desk)
    correction = KpiCorrected.model_validate(
        {
            "bucket": "2024-07-01",
            "grain": "day",
            "dimensions": {},
            "measures": [{"measure": "freight_amount", "from": 0, "to": 5}],
            "causes": ["x"],
            "cause_count": 1,
        }
    )
    await desk.tell(correction, n=9)
    await publish(desk)
    assert len((await desk.get("/v1/reports/daily/2024-07-01/editions")).json()["items"]) == 1


async def test_at_the_deadline_yesterday_is_published_incomplete_and_says_what_is_missing(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    now = datetime(2024, 7, 3, 1, 0, 1, tzinfo=UTC)  # 09:00:01 on the day after 2024-07-02 in Shanghai
    desk.runtime.worker.clock = lambda: now
    await publish_at_deadline(desk.runtime.worker, desk.runtime.stores)
    answer = (await desk.get("/v1/reports/daily/2024-07-02.json")).json()
    assert (answer["edition"], answer["complete"], answer["missing"]) == (1, False, ["traffic", "orders"])
    assert answer["rows"][0]["uv"] is None


async def test_before_the_deadline_nothing_is_published(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    now = datetime(2024, 7, 3, 0, 59, 59, tzinfo=UTC)
    desk.runtime.worker.clock = lambda: now
    await publish_at_deadline(desk.runtime.worker, desk.runtime.stores)
    assert (await desk.get("/v1/reports/daily/2024-07-02/editions")).json()["items"] == []


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("text/html", "text/html; charset=utf-8"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
    ],
)
async def test_the_shape_follows_accept(desk: Desk, accept: str, media_type: str) -> None:
    await tell_the_worked_day(desk)
    await publish(desk)
    answer = await desk.get("/v1/reports/daily/2024-07-01", accept=accept)
    assert answer.headers["content-type"] == media_type


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/reports/daily/2024-13-01.json", 422),
        ("/v1/reports/daily/2024-02-30", 422),
        ("/v1/reports/hourly/2024-07-01", 404),
        ("/v1/reports/daily/2024-07-01.pdf", 404),
        ("/v1/reports/daily/2024-07-01.json?edition=7", 404),
        ("/v1/reports/daily/2999-07-01.json", 404),
        ("/v1/reports/daily/2024-07-01/diff?from=1&to=x", 422),
        ("/v1/reports/daily/2024-07-01.json?lang=fr", 422),
    ],
)
async def test_what_does_not_exist_is_refused_clearly(desk: Desk, path: str, status: int) -> None:
    await tell_the_worked_day(desk)
    await publish(desk)
    answer = await desk.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_another_store_sees_nothing_of_it(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    await publish(desk)
    editions = await desk.get("/v1/reports/daily/2024-07-01/editions", store="other")
    assert editions.json()["items"] == []
    named = await desk.get("/v1/reports/daily/2024-07-01/editions?store=demo", store="other")
    assert named.status_code == 403


async def test_making_a_report_now_needs_a_finished_period(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    made = await desk.call("POST", "/v1/reports/daily/2024-07-01")
    again = await desk.call("POST", "/v1/reports/daily/2024-07-01")
    running = await desk.call("POST", f"/v1/reports/daily/{datetime.now(UTC) + SHANGHAI_OFFSET:%Y-%m-%d}")
    assert (made.status_code, made.json()["edition"]) == (201, 1)
    assert (again.status_code, again.json()["edition"]) == (200, 1)
    assert (running.status_code, running.json()["code"]) == (409, "wrong_state")
