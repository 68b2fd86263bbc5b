"""Volleys of calls at one server, each with a number of its own, and what they cost it."""

from dataclasses import dataclass, field

from bench.load import Answers, Requests, Volley
from bench.machine import cpu_seconds
from bench.rounds import Sample
from bench.stage import CannotMeasure, Stage


@dataclass
class Shooter:
    """One server under fire. `also` are processes that work for it: their processor time counts too."""

    stage: Stage
    port: int
    pid: int
    requests: Requests
    seconds: float = 1.5
    also: tuple[int, ...] = ()
    events_a_call: int = 1
    sent: int = 0
    busiest_generator: float = 0.0
    may_refuse: bool = field(default=False, kw_only=True)
    """Whether a 503 is part of what is measured."""

    async def shoot(self, clients: int, requests: Requests | None = None) -> Sample:
        """One volley. Raises CannotMeasure where anything else than success is answered."""
        cpu = self._cpu()
        volley = Volley(self.port, requests or self.requests, clients, self.seconds, self.sent)
        answers = await self.stage.generator.shoot(volley)
        cpu = self._cpu() - cpu
        self.sent += answers.sent
        self.busiest_generator = max(self.busiest_generator, answers.generator_cpu)
        self._require_good(answers)
        return {
            "per_second": answers.per_second * self.events_a_call,
            "p50_ms": answers.p50_ms,
            "p99_ms": answers.p99_ms,
            "cpu_us": 1e6 * cpu / answers.sent / self.events_a_call,
            "refused": float(answers.statuses.get(503, 0)),
            "dropped": float(answers.dropped),
        }

    def _cpu(self) -> float:
        return sum(cpu_seconds(pid) for pid in (self.pid, *self.also))

    def _require_good(self, answers: Answers) -> None:
        allowed = {503} if self.may_refuse else set()
        strange = {status for status in answers.statuses if not 200 <= status < 300} - allowed
        if strange or not answers.good:
            raise CannotMeasure(f"the answers were {answers.statuses}")
