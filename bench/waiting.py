"""A topic full of events that a service is to catch up with, again and again from the same start."""

import json
from dataclasses import dataclass
from typing import Any

from bench.rounds import Sample
from bench.stage import Stage, installation, new_prefix


@dataclass
class Waiting:
    """A topic full of page views, and a database from which every round gets its own copy."""

    stage: Stage
    template: str
    kafka: str
    prefix: str
    ends: dict[str, int]

    @classmethod
    async def prepare(cls, stage: Stage, count: int, kafka: str, *, days: int = 1) -> "Waiting":
        """Publish the views. `kafka`: the broker, empty for the PostgreSQL bus."""
        database = await stage.database()
        waiting = cls(stage, database, kafka, new_prefix(), {})
        waiting.ends = await waiting.run("bench.workers.load_topic", database, str(count), str(days))
        return waiting

    async def roll_up(self) -> Sample:
        """One round: a new database, a new service, the same events."""
        database = self.stage.copy_of(self.template)
        try:
            return await self.catch_up(database)
        finally:
            self.stage.drop(database)

    async def catch_up(self, database: str) -> Sample:
        """Have the service of this database fold all that waits."""
        ends, postgres = json.dumps(self.ends), str(self.stage.postgres_pid)
        sample: Sample = await self.run("bench.workers.rollup", database, ends, postgres)
        return sample

    async def run(self, module: str, database: str, *arguments: str) -> Any:
        """A worker on this installation."""
        environment = installation(database, self.kafka, self.prefix)
        return await self.stage.worker(module, *arguments, environment=environment)
