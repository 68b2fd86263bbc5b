"""Measure conversations anew: load the log, measure, save what changed, tell it (D37), raise what is late."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from libs.events.codec import Envelope
from libs.events.contracts import ClockMeasured, TopicClass
from libs.events.transaction import Transaction
from services.alerts.desk.domain.clocks import Clock, State, blame, measure
from services.alerts.desk.domain.hours import ServiceHours
from services.alerts.desk.domain.log import Log
from services.alerts.desk.domain.policies import BEGINNING, Kind, Rulers, ServiceClass
from services.alerts.desk.domain.rounding import whole_seconds
from services.alerts.desk.domain.standing import NOTHING, Act, Moment, Said, Standing, of_clock, stand
from services.alerts.desk.handlers.alerting import Matter, in_words, say
from services.alerts.desk.store import conversations as kept
from services.alerts.desk.store.conversations import ClockKey, KeptClock, KeptConversation, Key
from services.alerts.desk.store.rulers import load_rulers

MOST_SPOKEN_OF = 200
"""Conversations of one transaction of which something is said: each saying costs several statements."""
AT_ONCE = BEGINNING
"""The timer of a clock of which something is to be said still."""

Causes = Mapping[Key, Envelope[Any]]
"""The event that each conversation is measured anew for, where there is one."""


@dataclass(slots=True)
class _Writes:
    """What is to be saved of a batch."""

    conversations: list[dict[str, Any]] = field(default_factory=list)
    clocks: list[dict[str, Any]] = field(default_factory=list)
    gone: list[tuple[Key, ClockKey]] = field(default_factory=list)


async def measure_anew(
    touched: Mapping[Key, KeptConversation], tx: Transaction, *, causes: Causes, judged_until: datetime | None = None
) -> None:
    """Measure these (locked) conversations; `judged_until` judges running clocks up to then, else as far as before.

    Of very many at once (a file is brought in) what is to be said is left to the ticker, which says it piece by piece.
    """
    speaks = len(touched) <= MOST_SPOKEN_OF
    logs = await kept.load_logs(touched, tx)
    clocks = await kept.load_clocks(touched, tx)
    books = {store: await load_rulers(store, tx) for store in sorted({store for store, _ in touched})}
    writes = _Writes()
    for key in sorted(touched):
        before = touched[key]
        known_until = max(before.known_until, judged_until or before.known_until)
        tx.cause = causes.get(key)
        case = _Case(key, logs[key], books[key[0]], before, known_until, speaks)
        await _measure(case, clocks[key], writes, tx)
    tx.cause = None
    await kept.save_conversations(writes.conversations, tx)
    await kept.save_clocks(writes.clocks, tx)
    await kept.delete_clocks(writes.gone, tx)


@dataclass(frozen=True, slots=True)
class _Case:
    """A conversation that is measured."""

    key: Key
    log: Log
    rules: Rulers
    before: KeptConversation
    known_until: datetime
    speaks: bool

    def standing(self, clock: Clock, said: Said, now: datetime) -> Standing:
        standing = stand(of_clock(clock), said, self.moment(now))
        return standing if self.speaks or not standing.acts else Standing(said, (), AT_ONCE)

    def moment(self, now: datetime) -> Moment:
        return Moment(self.known_until, self.before.settled_at, now, self.before.imported)

    def hours(self, clock: Clock) -> ServiceHours:
        versions = (p for p in self.rules.policies if (p.id, p.begins) == (clock.policy, clock.since))
        return self.rules.hours(next(versions))


async def _measure(case: _Case, known: Mapping[ClockKey, KeptClock], writes: _Writes, tx: Transaction) -> None:
    clocks = measure(case.log, case.rules, case.known_until)
    version = case.before.version
    for clock in clocks:
        old = known.get(clock.key)
        standing = case.standing(clock, old.said if old else NOTHING, tx.now)
        is_news = old is None or old.told != kept.told_of(clock)
        if is_news and clock.judges:
            version += 1
            _tell(case, clock, version, tx)
        if is_news or old is None or (old.said, old.timer_at) != (standing.said, standing.timer_at):
            writes.clocks.append(kept.clock_row(case.key, clock, standing.said, standing.timer_at, version))
        await _speak(case, clock, standing, tx)
    await _forget(case, {clock.key for clock in clocks}, known, writes, tx)
    writes.conversations.append(_row(case, clocks, version))


def _tell(case: _Case, clock: Clock, version: int, tx: Transaction) -> None:
    tx.emit(
        ClockMeasured(
            conversation_id=case.key[1],
            policy=clock.policy,
            kind=clock.kind.value,
            topic_class=_topic_class(clock),
            agent_id=clock.agent_id,
            started_at=clock.started_at,
            due_at=clock.due_at,
            stopped_at=clock.stopped_at,
            elapsed_seconds=whole_seconds(clock.elapsed),
            limit_seconds=int(clock.limit.total_seconds()),
            state=clock.state.value,
            version=version,
        ),
        store=case.key[0],
        time=clock.stopped_at or (clock.due_at if clock.state is State.BREACHED else clock.started_at),
    )


def _topic_class(clock: Clock) -> TopicClass:
    """The class of the conversation, one of three: figures are told by it."""
    return cast(TopicClass, clock.topic_class.value)


async def _speak(case: _Case, clock: Clock, standing: Standing, tx: Transaction) -> None:
    if standing.acts:
        await say(_matter(case, clock), standing.acts, tx)


def _matter(case: _Case, clock: Clock) -> Matter:
    limited = of_clock(clock)
    return Matter(
        store=case.key[0],
        rule=rule_of(clock.kind, clock.service_class),
        about=_about(case.key, clock.policy),
        figures=_figures(case, clock),
        warn_at=limited.warn_at,
        due_at=limited.due_at,
        over_at=clock.stopped_at,
    )


def _about(key: Key, policy: str) -> dict[str, str]:
    return {"conversation_id": key[1], "policy": policy}


def rule_of(kind: Kind, service_class: ServiceClass) -> str:
    """The rule that a breached clock breaks."""
    if kind is Kind.SOLUTION:
        return "solution_overdue"
    return "response_presale" if service_class is ServiceClass.PRE_SALE else "response_aftersale"


def _figures(case: _Case, clock: Clock) -> dict[str, Any]:
    end = clock.stopped_at or max(case.known_until, clock.due_at)
    blamed = blame(case.log, clock, case.hours(clock), end)
    return {
        "case": case.key[1],
        "kind": clock.kind.value,
        "class": clock.service_class.value,
        "limit": in_words(clock.limit),
        "limit_seconds": int(clock.limit.total_seconds()),
        "started_at": clock.started_at.isoformat(),
        "due_at": clock.due_at.isoformat(),
        "elapsed_seconds": whole_seconds(clock.elapsed),
        "held": [{"holder": holder, "seconds": whole_seconds(span)} for holder, span in blamed.items()],
    }


async def _forget(
    case: _Case, known_now: Collection[ClockKey], before: Mapping[ClockKey, KeptClock], writes: _Writes, tx: Transaction
) -> None:
    """Clocks that the log does not know any more go, and what was said of them recovers."""
    for clock_key, old in before.items():
        if clock_key in known_now:
            continue
        writes.gone.append((case.key, clock_key))
        if old.said.alerting:
            await say(_former(case, clock_key, old, tx.now), [Act.RECOVER], tx)


def _former(case: _Case, clock_key: ClockKey, old: KeptClock, now: datetime) -> Matter:
    rule = rule_of(clock_key[2], old.rule_class)
    return Matter(case.key[0], rule, _about(case.key, clock_key[0]), {}, now, now, now)


def _row(case: _Case, clocks: Collection[Clock], version: int) -> dict[str, Any]:
    log, last = case.log, case.log.classes[-1] if case.log.classes else None
    details = log.opened.details if log.opened else {}
    return {
        "store": case.key[0],
        "conversation_id": case.key[1],
        **{name: details.get(name) for name in ("customer_id", "customer_tier", "order_id", "sku", "via", "subject")},
        "class": last.topic_class.value if last else None,
        "is_complex": last.is_complex if last else False,
        "status": log.status.value,
        "opened_at": log.opened.at if log.opened else log.facts[0].at,
        "resolved_at": log.resolved_at,
        "breached": any(clock.state is State.BREACHED for clock in clocks),
        "known_until": case.known_until,
        "recount": False,
        "version": version,
    }
