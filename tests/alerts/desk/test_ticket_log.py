"""17,136 real tickets through the clocks, against a computation of its own over the table's columns."""

from datetime import UTC, datetime, timedelta
from statistics import median

import polars as pl

from services.alerts.desk.domain.clocks import Clock, State, measure
from services.alerts.desk.domain.hours import Calendar, ServiceHours
from services.alerts.desk.domain.log import Did, Log
from services.alerts.desk.domain.policies import BEGINNING, BUILT_IN, Kind, Policy, Rulers, history
from tests.alerts.desk import tickets
from tests.alerts.desk.cases import DAYTIME

SHIFTS = (*(DAYTIME,) * 5, (), ())
OFFICE = Policy("office", BUILT_IN.limits, BEGINNING, calendar="office")
RULERS = Rulers(
    (*history("default", ()), *history("office", (OFFICE,))),
    {"office": ServiceHours(((BEGINNING, Calendar("UTC", SHIFTS)),))},
)
END = datetime(2018, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def table() -> pl.DataFrame:
    """The file's rows with their times as numbers of minutes, in the order of a replay."""
    raw = pl.read_csv(tickets.require_file(), infer_schema_length=0)

    def minute(name: str) -> pl.Expr:
        return pl.col(name).str.strptime(pl.Datetime, "%d/%m/%Y %H:%M").dt.epoch("s") // 60

    return raw.select(
        "number",
        state="incident_state",
        mod=pl.col("sys_mod_count").cast(pl.Int64),
        reopened=pl.col("reopen_count").cast(pl.Int64),
        opened=minute("opened_at"),
        at=minute("sys_updated_at"),
    ).sort("number", "at", "mod")


def open_minutes(frame: pl.DataFrame) -> pl.DataFrame:
    """minute -> how many minutes the office had been open before it."""
    first, last = frame["opened"].min(), frame["at"].max()
    assert isinstance(first, int)
    assert isinstance(last, int)
    every = pl.DataFrame({"minute": pl.int_range(first - 1440, last + 1440, eager=True)})
    when = pl.from_epoch(pl.col("minute") * 60)
    of_day = when.dt.hour().cast(pl.Int64) * 60 + when.dt.minute()
    is_open = (when.dt.weekday() <= 5) & (of_day.is_between(540, 719) | of_day.is_between(810, 1079))
    return every.with_columns(worked=is_open.cast(pl.Int64).cum_sum() - is_open.cast(pl.Int64))


def first_touches(frame: pl.DataFrame) -> pl.DataFrame:
    touched = frame.filter((pl.col("mod") > 0) & (pl.col("at") >= pl.col("opened")))
    return touched.group_by("number").agg(pl.col("opened").first(), pl.col("at").min())


def solutions(frame: pl.DataFrame) -> pl.DataFrame:
    """Minutes in which a ticket was neither put off nor done, up to its last solution."""
    state = pl.when(pl.col("mod") == 0).then(pl.lit("New")).otherwise(pl.col("state"))
    runs = ~state.str.starts_with("Awaiting") & ~state.is_in(tickets.DONE)
    at = pl.max_horizontal("at", "opened")
    spans = frame.with_columns(runs=runs, at=at, next=at.shift(-1).over("number"))
    before = (pl.col("at").first() - pl.col("opened").first()).alias("before")
    ran = ((pl.col("next") - pl.col("at")) * pl.col("runs")).sum()
    return spans.group_by("number").agg(before, ran.alias("ran"), pl.col("state").last().alias("last"))


def measured() -> dict[str, list[Clock]]:
    found = {}
    for number, rows in tickets.read_tickets(tickets.require_file()).items():
        found[number] = list(measure(Log(tickets.facts(rows)), RULERS, END))
    return found


def test_the_real_ticket_log_agrees_with_an_independent_computation() -> None:
    frame = table()
    clocks = measured()
    assert len(clocks) == tickets.TICKETS

    def of(policy: str, kind: Kind) -> dict[str, Clock]:
        every = ((number, clock) for number, those in clocks.items() for clock in those)
        return {number: clock for number, clock in every if (clock.policy, clock.kind) == (policy, kind)}

    _agree_on_first_touch(frame, of("default", Kind.FIRST_RESPONSE), of("office", Kind.FIRST_RESPONSE))
    _agree_on_solutions(frame, of("default", Kind.SOLUTION))


def _agree_on_first_touch(frame: pl.DataFrame, always: dict[str, Clock], office: dict[str, Clock]) -> None:
    worked = open_minutes(frame)
    touches = (
        first_touches(frame)
        .join(worked.rename({"minute": "opened", "worked": "a"}), on="opened")
        .join(worked.rename({"minute": "at", "worked": "b"}), on="at")
    )
    assert len(touches) == tickets.TICKETS
    for row in touches.iter_rows(named=True):
        clock, at_work = always[row["number"]], office[row["number"]]
        minutes = row["at"] - row["opened"]
        assert abs(clock.elapsed - timedelta(minutes=minutes)) < SECOND, row["number"]
        assert abs(at_work.elapsed - timedelta(minutes=row["b"] - row["a"])) < SECOND, row["number"]
        if minutes != 120:
            assert (clock.state is State.BREACHED) == (minutes > 120), row["number"]
    assert median(touches["at"] - touches["opened"]) == tickets.MEDIAN_MINUTES
    assert round(median(clock.elapsed / SECOND for clock in always.values()) / 60) == tickets.MEDIAN_MINUTES


def _agree_on_solutions(frame: pl.DataFrame, always: dict[str, Clock]) -> None:
    solved = 0
    for row in solutions(frame).iter_rows(named=True):
        clock = always[row["number"]]
        is_done = row["last"] in tickets.DONE
        assert (clock.stopped_at is not None) == is_done, row["number"]
        if is_done:
            solved += 1
            minutes = row["before"] + row["ran"]
            assert abs(clock.elapsed - timedelta(minutes=minutes)) < SECOND, row["number"]
    assert solved > 17_000


def test_202_tickets_were_reopened() -> None:
    frame = table()
    assert frame.filter(pl.col("reopened") > 0)["number"].n_unique() == tickets.REOPENED
    found = tickets.read_tickets(tickets.require_file())
    told = {n for n, rows in found.items() if any(fact.did is Did.REOPENED for fact in tickets.facts(rows))}
    assert len(told) >= tickets.REOPENED
