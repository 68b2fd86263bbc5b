"""The alerts service with its desk: events through the front door, onto the bus, into the consumer, as time passes."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
from sqlalchemy import text

from libs.events.bus import Record
from libs.events.codec import from_record
from libs.events.contracts import ClockMeasured
from libs.events.locks import advisory_lock
from services.alerts.desk.timers import judge
from tests.alerts.conftest import Clock
from tests.support.desk import Desk

Json = dict[str, Any]


@dataclass
class Counter:
    """Where customers are served: what happened comes in as CloudEvents, and clocks run."""

    desk: Desk
    clock: Clock
    store: str
    told: int = 0
    applied: dict[tuple[str, int], int] = field(default_factory=dict)
    """(topic, partition) -> the next offset to apply"""

    async def post(self, *events: Json) -> httpx2.Response:
        """A batch through the front door, not consumed yet."""
        headers = {"content-type": "application/cloudevents-batch+json"}
        return await self.desk.call("POST", "/v1/events", json=list(events), headers=headers, store=self.store)

    def event(self, type_: str, minutes: float = 0, **more: Any) -> Json:
        """A CloudEvent that happened some minutes after now (negative: before); its id is made, or `id_`."""
        self.told += 1
        given = {name: more.pop(f"{name}_") for name in ("id", "importid", "store", "source") if f"{name}_" in more}
        time = (self.clock.now + timedelta(minutes=minutes)).isoformat()
        data = {"conversation_id": "c-1", **more}
        return {"specversion": "1.0", "id": f"e-{self.told:05}", "source": "/chat", "type": type_, "time": time} | {
            **given,
            "data": {name: value for name, value in data.items() if value is not None},
        }

    def opened(self, minutes: float = 0, topic_class: str = "pre_sale", **more: Any) -> Json:
        about = {"customer_id": "c-9", "topic_class": topic_class, "via": "chat", **more}
        return self.event("conversation.opened.v1", minutes, **about)

    def received(self, minutes: float = 0, **more: Any) -> Json:
        return self.event("message.received.v1", minutes, **{"message_id": f"m-{self.told}", **more})

    def replied(self, minutes: float = 0, agent: str | None = "7", **more: Any) -> Json:
        return self.event("message.replied.v1", minutes, **{"message_id": f"m-{self.told}", "agent_id": agent, **more})

    async def tell(self, *events: Json) -> None:
        """A batch through the front door, published and consumed."""
        answer = await self.post(*events)
        assert answer.status_code == 202, answer.text
        assert answer.json()["rejected"] == 0
        await self.settle()

    async def settle(self) -> None:
        """Publish what waits, consume everything new on the topics of the desk."""
        runtime = self.desk.runtime
        async with advisory_lock(runtime.engine, "relay:alerts", role="alerts_worker") as connection:
            await runtime.relay._drain(connection)
        fresh = [record for topic in ("service", "policy") for record in await self._fresh(topic)]
        if fresh:
            await runtime.consumers[0].apply(fresh)

    async def _fresh(self, topic: str) -> list[Record]:
        bus, found = self.desk.runtime.bus, []
        for partition, (_, end) in (await bus.bounds(topic)).items():
            begin = self.applied.get((topic, partition), 0)
            if end > begin:
                found += await bus.read(topic, partition, begin, end - begin)
            self.applied[topic, partition] = end
        return found

    async def pass_time(self, *, known: timedelta | None = None, **by: float) -> None:
        """Time passes, and everything up to then (or to `known` ago) is known."""
        now = self.clock.turn(**by) if by else self.clock.now
        async with self.desk.runtime.engine.begin() as session:
            await session.execute(
                text(
                    "INSERT INTO alerts.watermark (consumer, topic, until) VALUES ('alerts', 'service', :until)"
                    " ON CONFLICT (consumer, topic) DO UPDATE SET until = excluded.until"
                ),
                {"until": now - (known or timedelta())},
            )
        await judge(self.desk.runtime.worker)

    # answers

    async def get(self, path: str) -> Json:
        answer = await self.desk.get(path, store=self.store)
        assert answer.status_code == 200, answer.text
        body: Json = answer.json()
        return body

    async def put(self, path: str, body: Json) -> Json:
        answer = await self.desk.call("PUT", path, json=body, store=self.store)
        assert answer.status_code == 200, answer.text
        told: Json = answer.json()
        return told

    async def show(self, conversation: str = "c-1") -> Json:
        return await self.get(f"/v1/conversations/{conversation}")

    async def clocks(self, policy: str = "default", conversation: str = "c-1") -> list[Json]:
        return [clock for clock in (await self.show(conversation))["clocks"] if clock["policy"] == policy]

    async def incidents(self, query: str = "") -> list[Json]:
        items: list[Json] = (await self.get(f"/v1/incidents{query}"))["items"]
        return items

    async def measured(self) -> list[ClockMeasured]:
        """The clocks told on the bus so far, in order."""
        await self.settle()
        records = await self.desk.records("alerts")
        found = [from_record(record) for record in records]
        return [e.data for e in found if isinstance(e.data, ClockMeasured) and e.store == self.store]
