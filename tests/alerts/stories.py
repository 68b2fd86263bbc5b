"""Short stories of events, told to the real service with a clock of their own: what happens to a store, and when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import text

from libs.events.bus import Record
from libs.events.codec import Envelope, to_message
from libs.events.contracts import TopicBeat
from libs.events.contracts.base import TOPICS, Event
from libs.service.auth import add_key
from services.alerts.handlers.deadlines import Clockwork
from services.alerts.handlers.silence import Watch
from services.alerts.rules import RULES, Deadline
from tests.support.desk import Desk

BEGAN = datetime(2024, 7, 1, 2, 0, tzinfo=UTC)
"""A Monday, 10:00 in Shanghai: the moment from which stories count."""
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Told:
    """An event that happens at a time; `late`: how much later it is heard of."""

    event: Event
    at: timedelta = timedelta(0)
    late: timedelta = timedelta(0)
    import_id: str | None = None


@dataclass(frozen=True)
class Until:
    """Nothing else happens until then, and every topic is known to be complete."""

    at: timedelta


Step = Told | Until


def told(*events: Event, at: timedelta = timedelta(0)) -> list[Step]:
    """These events, at one time."""
    return [Told(event, at) for event in events]


@dataclass
class Teller:
    """Tells stories to a started service whose loops do not run."""

    desk: Desk
    key: str
    now: datetime = BEGAN
    _count: int = 0
    _offsets: dict[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    async def of(cls, desk: Desk) -> "Teller":
        """A teller with an operator's key."""
        async with desk.runtime.engine.begin() as session:
            key = (await add_key(session, "*", ["alerts:read", "alerts:write"])).key
        teller = cls(desk, key)
        desk.runtime.worker.clock = lambda: teller.now
        consumers = desk.runtime.consumers
        teller.watch = Watch(desk.runtime.worker, consumers)
        teller.clockwork = Clockwork(desk.runtime.worker, desk.runtime.stores, teller.watch)
        return teller

    watch: Watch = field(init=False)
    clockwork: Clockwork = field(init=False)

    async def open(self, store: str, zone: str = "Asia/Shanghai") -> None:
        """Make a store with a channel that takes every message; stores of earlier stories are gone."""
        async with self.desk.runtime.engine.begin() as session:
            for table in ("alerts.watermark", "alerts.timer", "alerts.pulse", "access.stores"):
                await session.execute(text(f"DELETE FROM {table}"))
            await session.execute(
                text("INSERT INTO access.stores (store, name, timezone, currency, language)"
                     " VALUES (:store, :store, :zone, 'CNY', 'zh')"),
                {"store": store, "zone": zone},
            )  # fmt: skip
        body = {"kind": "webhook", "url": "http://127.0.0.1:9/hook", "secret": "whsec_" + "A" * 32, "language": "en"}
        answer = await self.call("PUT", "/v1/channels/ops", store, json=body)
        assert answer.status_code == 200, answer.text

    async def tell(self, store: str, steps: Sequence[Step]) -> None:
        """Let it all happen, in order."""
        for is_event, group in groupby(steps, key=lambda step: isinstance(step, Told)):
            if is_event:
                await self._events(store, [step for step in group if isinstance(step, Told)])
            else:
                for step in group:
                    await self._pass(BEGAN + step.at)

    async def _events(self, store: str, events: Sequence[Told]) -> None:
        for (_, at), group in groupby(events, key=lambda one: (one.event.TOPIC, one.at + one.late)):
            self.now = BEGAN + at
            await self.publish([self._envelope(store, one) for one in group])

    def _envelope(self, store: str, one: Told) -> Envelope[Any]:
        self._count += 1
        return Envelope(
            id=f"s-{self._count}",
            source="/services/test",
            store=store,
            subject=one.event.subject,
            time=BEGAN + one.at,
            recorded_time=self.now,
            data=one.event,
            import_id=one.import_id,
        )

    async def publish(self, envelopes: Iterable[Envelope[Any]], *, topic: str | None = None) -> None:
        """Put events on the bus and have their consumers apply what is new there."""
        messages = [to_message(envelope) for envelope in envelopes]
        await self.desk.runtime.bus.publish(messages)
        for name in dict.fromkeys(topic or message.topic for message in messages):
            records = await self._new(name)
            for consumer in self.desk.runtime.consumers:
                if name in consumer.reactions.topics:
                    await consumer.apply(records)

    async def _new(self, topic: str) -> list[Record]:
        found: list[Record] = []
        for partition, (first, end) in (await self.desk.runtime.bus.bounds(topic)).items():
            begin = self._offsets.get((topic, partition), first)
            if end > begin:
                found += await self.desk.runtime.bus.read(topic, partition, begin, end - begin)
            self._offsets[topic, partition] = end
        return found

    async def _pass(self, now: datetime) -> None:
        """Time passes: beats of the topics that deadlines wait for arrive, then what is due is done."""
        self.now = now
        await self.clockwork.set_days()
        for topic in sorted({rule.topic for rule in RULES if isinstance(rule, Deadline)} - {"alerts", "service"}):
            await self.beat(topic, now)
        await self.clockwork.tick()

    async def beat(self, topic: str, until: datetime) -> None:
        """The owner of a topic says that all up to then is on the bus."""
        self._count += 1
        envelope: Envelope[Any] = Envelope(
            id=f"b-{self._count}",
            source=f"/services/{TOPICS[topic].owner}",
            store="*",
            subject=topic,
            time=until,
            recorded_time=until,
            data=TopicBeat(until=until),
        )
        await self.publish([envelope], topic=topic)

    async def call(self, method: str, path: str, store: str, **options: Any) -> Any:
        """A call for one store."""
        headers = {"authorization": f"Bearer {self.key}"}
        joint = "&" if "?" in path else "?"
        return await self.desk.client.request(method, f"{path}{joint}store={store}", headers=headers, **options)

    async def incidents(self, store: str, rule: str | None = None) -> list[dict[str, Any]]:
        """The store's incidents, those with an alert of a rule, the newest first."""
        answer = await self.call("GET", f"/v1/incidents?rule={rule}" if rule else "/v1/incidents", store)
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


def day(offset: int = 0) -> date:
    """A day of the story, in Shanghai."""
    return (BEGAN + 8 * HOUR + offset * DAY).date()
