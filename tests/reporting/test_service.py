"""Reporting over HTTP on real PostgreSQL: editions come from measured events alone, and never change silently."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from libs.events.codec import Envelope, from_record, to_message
from libs.events.contracts import KpiCorrected, KpiMeasured, ReportPublished, TargetSet
from libs.events.contracts.base import Event
from libs.service.auth import add_key
from libs.service.runtime import Runtime
from services.reporting.app import build
from services.reporting.publishing import publish_at_deadline, publish_due
from services.reporting.settings import ReportingSettings

SHANGHAI_OFFSET = timedelta(hours=8)
DAY_START = datetime(2024, 6, 30, 16, tzinfo=UTC)
"""2024-07-01 in Shanghai."""


@dataclass
class Desk:
    """A running reporting service and a client with a key for `demo`."""

    runtime: Runtime
    client: httpx2.AsyncClient
    key: str
    foreign_key: str

    async def tell(self, event: Event, *, n: int, store: str = "demo", at: datetime | None = None) -> None:
        """Have the service consume an event, as its consumer does."""
        envelope: Envelope[Any] = Envelope(
            id=f"e-{n}",
            source="/services/kpi",
            store=store,
            subject=event.subject,
            time=at or datetime.now(UTC),
            recorded_time=datetime.now(UTC),
            data=event,
        )
        message = to_message(envelope)
        topic = message.topic
        await self.runtime.bus.publish([message])
        records = [
            record
            for partition, (first, end) in (await self.runtime.bus.bounds(topic)).items()
            for record in (await self.runtime.bus.read(topic, partition, first, end - first) if end > first else [])
        ]
        await self.runtime.consumers[0].apply(records)

    async def publish(self) -> None:
        await publish_due(self.runtime.worker, self.runtime.stores)

    async def get(self, path: str, *, key: str | None = None, **headers: str) -> httpx2.Response:
        return await self.client.get(path, headers={"authorization": f"Bearer {key or self.key}", **headers})


@pytest.fixture
async def desk(fresh_database: str) -> AsyncIterator[Desk]:
    settings = ReportingSettings(database_url=fresh_database, settle_seconds=0, correction_seconds=0)
    runtime, app = build(settings)
    await runtime.start()
    async with runtime.engine.begin() as session:
        for store in ("demo", "other"):
            await session.execute(
                text(
                    "INSERT INTO access.stores (store, name, timezone, currency, language)"
                    " VALUES (:store, :store, 'Asia/Shanghai', 'CNY', 'zh')"
                ),
                {"store": store},
            )
        key = await add_key(session, "demo", ["reports:read", "reports:write"])
        foreign = await add_key(session, "other", ["reports:read"])
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://reporting") as client:
        yield Desk(runtime, client, key.key, foreign.key)
    await runtime.close()


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
    await desk.publish()
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
    await desk.publish()
    async with desk.runtime.engine.connect() as session:
        from libs.events.bus import Record
        from libs.events.outbox import waiting_message

        rows = (await session.execute(text("SELECT * FROM reporting.outbox"))).all()
    events = [from_record(Record(m.topic, 0, 0, m.key, m.value, m.headers)).data for m in map(waiting_message, rows)]
    (event,) = [e for e in events if isinstance(e, ReportPublished)]
    assert (event.report, event.period, event.edition) == ("daily", "2024-07-01", 1)
    assert sum(event.log_position["kpi"]) == 3


async def test_a_correction_makes_the_next_edition_and_the_old_one_stays_byte_for_byte(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    await desk.publish()
    shapes = [f"/v1/reports/daily/2024-07-01.{kind}?edition=1" for kind in ("json", "html", "xlsx", "csv")]
    before = [(await desk.get(path)).content for path in shapes]
    await correct_orders(desk)
    await desk.publish()
    assert [(await desk.get(path)).content for path in shapes] == before
    newest = (await desk.get("/v1/reports/daily/2024-07-01.json")).json()
    assert (newest["edition"], newest["rows"][0]["orders"]) == (2, 119)
    editions = (await desk.get("/v1/reports/daily/2024-07-01/editions")).json()["items"]
    assert [(e["edition"], e["reason"]) for e in editions] == [(1, "measured"), (2, "correction")]


async def test_the_diff_names_the_cells_and_the_events_that_did_it(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    await desk.publish()
    await correct_orders(desk)
    await desk.publish()
    cells = (await desk.get("/v1/reports/daily/2024-07-01/diff?from=1&to=2")).json()["cells"]
    orders = next(cell for cell in cells if cell["path"] == "rows/0/orders")
    assert (orders["from"], orders["to"], orders["cause_count"]) == (120, 119, 1)
    assert [cause["event_id"] for cause in orders["causes"]] == ["order-event-77"]


async def test_the_same_events_again_make_no_new_edition(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    await desk.publish()
    await tell_the_worked_day(desk)
    await desk.publish()
    assert len((await desk.get("/v1/reports/daily/2024-07-01/editions")).json()["items"]) == 1


async def test_a_correction_that_changes_no_cell_makes_no_edition(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    await desk.publish()
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
    await desk.publish()
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
    await desk.publish()
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
    await desk.publish()
    answer = await desk.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_another_store_sees_nothing_of_it(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    await desk.publish()
    editions = await desk.get("/v1/reports/daily/2024-07-01/editions", key=desk.foreign_key)
    assert editions.json()["items"] == []
    named = await desk.get("/v1/reports/daily/2024-07-01/editions?store=demo", key=desk.foreign_key)
    assert named.status_code == 403


async def test_making_a_report_now_needs_the_right_and_a_finished_period(desk: Desk) -> None:
    await tell_the_worked_day(desk)
    headers = {"authorization": f"Bearer {desk.key}"}
    made = await desk.client.post("/v1/reports/daily/2024-07-01", headers=headers)
    again = await desk.client.post("/v1/reports/daily/2024-07-01", headers=headers)
    running = await desk.client.post(
        f"/v1/reports/daily/{datetime.now(UTC) + SHANGHAI_OFFSET:%Y-%m-%d}", headers=headers
    )
    refused = await desk.client.post(
        "/v1/reports/daily/2024-07-01", headers={"authorization": f"Bearer {desk.foreign_key}"}
    )
    assert (made.status_code, made.json()["edition"]) == (201, 1)
    assert (again.status_code, again.json()["edition"]) == (200, 1)
    assert (running.status_code, running.json()["code"]) == (409, "wrong_state")
    assert refused.status_code == 403
