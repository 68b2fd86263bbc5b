"""Clocks of conversations: the traps, each a case; and that no order of arrival matters (SRV-1 to SRV-6, D40, D66)."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.alerts.desk.domain.clocks import Clock, State, blame, measure
from services.alerts.desk.domain.hours import ALWAYS
from services.alerts.desk.domain.log import Did, Fact, Log, On, seconds_by_holder
from services.alerts.desk.domain.policies import ServiceClass
from tests.alerts.desk.cases import (
    AFTER,
    COMPLEX,
    DEFAULTS,
    FAR,
    FIRST,
    IN,
    NEXT,
    OFFICE,
    PRE,
    SOLUTION,
    Story,
    at,
    book,
    clocks,
    judged,
    ruler,
)


def first(story: Story, **more: object) -> Clock:
    (clock,) = judged(story, FIRST, **more)  # type: ignore[arg-type]
    return clock


def minutes(clock: Clock) -> float:
    return clock.elapsed / timedelta(minutes=1)


# the first response


@pytest.mark.parametrize(
    ("topic_class", "limit"), [(PRE, timedelta(minutes=10)), (AFTER, timedelta(hours=2)), (IN, timedelta(hours=2))]
)
def test_each_class_has_its_limit_and_in_sale_the_after_sale_one(topic_class: ServiceClass, limit: timedelta) -> None:
    clock = first(Story().opened("09-27 10:00", topic_class), known="09-27 10:01")
    assert (clock.limit, clock.due_at, clock.service_class) == (limit, at("09-27 10:00") + limit, topic_class)
    assert clock.warn_at == at("09-27 10:00") + limit * 0.8


def test_in_sale_may_have_a_limit_of_its_own() -> None:
    rules = book(ruler((AFTER, FIRST, 120), (IN, FIRST, 30)))
    assert first(Story().opened("09-27 10:00", IN), rules=rules).limit == timedelta(minutes=30)


def test_it_starts_with_the_first_message_else_with_the_opening() -> None:
    assert first(Story().opened("09-27 10:00")).started_at == at("09-27 10:00")
    story = Story().opened("09-27 10:00").received("09-27 10:03").received("09-27 10:04")
    assert first(story).started_at == at("09-27 10:03")


def test_what_a_bot_says_stops_nothing() -> None:
    story = Story().opened("09-27 10:00").received("09-27 10:00").bot("09-27 10:00:01").bot("09-27 10:09")
    assert first(story, known="09-27 10:05").state is State.RUNNING
    assert first(story, known="09-27 10:11").state is State.BREACHED
    assert first(story.replied("09-27 10:30")).stopped_at == at("09-27 10:30")


@pytest.mark.parametrize(
    ("reply", "state"), [("10:09:59", State.MET), ("10:10:00", State.MET), ("10:10:01", State.BREACHED)]
)
def test_the_last_moment_is_in_time(reply: str, state: State) -> None:
    story = Story().opened("09-27 10:00").replied(f"09-27 {reply}", "7")
    assert (first(story).state, first(story).agent_id) == (state, "7")


def test_a_clock_that_nobody_stops_is_breached_once_its_limit_is_past() -> None:
    story = Story().opened("09-27 10:00")
    assert first(story, known="09-27 10:10").state is State.RUNNING
    assert first(story, known="09-27 10:10:01").state is State.BREACHED


def test_a_solution_without_a_reply_answers_too() -> None:
    assert first(Story().opened("09-27 10:00").resolved("09-27 10:05")).state is State.MET


def test_where_an_agent_writes_first_the_clock_starts_at_the_opening() -> None:
    clock = first(Story().opened("09-27 10:00").replied("09-27 10:01").received("09-27 15:00"))
    assert (clock.started_at, clock.stopped_at) == (at("09-27 10:00"), at("09-27 10:01"))


def test_without_a_class_nothing_is_measured() -> None:
    assert clocks(Story().received("09-27 10:00")) == ()


# service hours


@pytest.mark.parametrize(
    ("asked", "answered", "ran", "state"),
    [
        ("09-27 17:55", "09-30 09:05", 10, State.MET),  # Friday 17:55, Monday 09:05
        ("09-27 17:55", "09-30 09:06", 11, State.BREACHED),
        ("09-27 11:55", "09-27 13:34", 9, State.MET),  # lunch
        ("09-27 23:59", "09-30 09:10", 10, State.MET),  # midnight
        ("09-28 12:00", "09-28 12:30", 0, State.MET),  # answered on a free day
    ],
)
def test_clocks_run_in_service_hours(asked: str, answered: str, ran: float, state: State) -> None:
    story = Story().opened(asked).received(asked).replied(answered)
    clock = first(story, rules=book(calendar=OFFICE))
    assert (minutes(clock), clock.state) == (ran, state)


# pauses


def test_two_pauses_in_one_minute_are_two_pauses() -> None:
    story = Story().opened("09-27 10:00", AFTER, is_complex=True).received("09-27 10:00")
    story.waiting("09-27 10:30:05").received("09-27 10:30:20").waiting("09-27 10:30:25").received("09-27 10:30:55")
    (clock,) = judged(story.resolved("09-27 11:00"), SOLUTION)
    assert clock.elapsed == timedelta(hours=1) - timedelta(seconds=45)


def test_a_wait_for_the_customer_ends_with_his_message_and_not_with_a_reply() -> None:
    story = Story().opened("09-27 10:00", AFTER, is_complex=True).replied("09-27 10:01")
    story.waiting("09-27 10:10").replied("09-27 10:20").bot("09-27 10:25")
    (paused,) = judged(story, SOLUTION, known="09-27 12:00")
    assert (paused.state, minutes(paused)) == (State.PAUSED, 10)
    (going,) = judged(story.received("09-27 12:00"), SOLUTION, known="09-27 12:30")
    assert (going.state, minutes(going)) == (State.RUNNING, 40)
    assert going.due_at == at("09-28 10:00") + timedelta(minutes=110)


def test_a_wait_for_a_third_party_ends_with_the_next_act_of_an_agent() -> None:
    story = Story().opened("09-27 10:00", AFTER, is_complex=True).received("09-27 10:00")
    story.waiting("09-27 10:10", On.THIRD_PARTY)
    (paused,) = judged(story.received("09-27 10:30").bot("09-27 10:31"), SOLUTION, known="09-27 11:00")
    assert (paused.state, minutes(paused)) == (State.PAUSED, 10)
    (going,) = judged(story.replied("09-27 11:00"), SOLUTION, known="09-27 11:05")
    assert (going.state, minutes(going)) == (State.RUNNING, 15)


def test_a_pause_for_ever_is_never_late() -> None:
    story = Story().opened("09-27 10:00", AFTER, is_complex=True).waiting("09-27 10:10")
    (clock,) = judged(story, SOLUTION)
    assert clock.state is State.PAUSED


# the end, and after it


def test_thanks_after_the_solution_starts_nothing() -> None:
    rules = book(ruler((PRE, FIRST, 10), (PRE, NEXT, 10)))
    story = Story().opened("09-27 10:00").replied("09-27 10:05").resolved("09-27 10:06").received("09-27 10:07")
    assert judged(story, NEXT, rules) == []


def test_a_reopening_after_days_goes_on_without_the_time_it_was_closed() -> None:
    story = Story().opened("09-27 10:00", AFTER, is_complex=True).replied("09-27 10:05").resolved("09-27 20:00")
    (met,) = judged(story, SOLUTION)
    assert (met.state, minutes(met)) == (State.MET, 600)
    story.reopened("10-02 08:00")
    (going,) = judged(story, SOLUTION, known="10-02 09:00")
    assert (going.state, minutes(going), going.stopped_at) == (State.RUNNING, 660, None)
    assert going.due_at == at("10-02 08:00") + timedelta(hours=14)
    (late,) = judged(story.resolved("10-03 08:00"), SOLUTION)
    assert (late.state, late.elapsed) == (State.BREACHED, timedelta(hours=34))


def test_what_the_customer_writes_when_he_comes_back_waits_from_the_reopening_on() -> None:
    rules = book(ruler((PRE, FIRST, 10), (PRE, NEXT, 10)))
    story = Story().opened("09-27 10:00").replied("09-27 10:05").resolved("09-27 10:06")
    story.received("09-27 10:07").reopened("09-30 09:00").replied("09-30 09:04")
    (clock,) = judged(story, NEXT, rules)
    assert (clock.started_at, minutes(clock), clock.state) == (at("09-30 09:00"), 4, State.MET)


def test_each_next_question_has_its_own_clock_from_the_first_unanswered_message() -> None:
    rules = book(ruler((PRE, FIRST, 10), (PRE, NEXT, 5)))
    story = Story().opened("09-27 10:00").received("09-27 10:00").replied("09-27 10:05")
    story.received("09-27 10:10").received("09-27 10:12").bot("09-27 10:12:01").replied("09-27 10:16").received(
        "09-27 10:20"
    )
    late, running = judged(story, NEXT, rules, known="09-27 10:22")
    assert (late.number, minutes(late), late.state) == (1, 6, State.BREACHED)
    assert (running.number, running.started_at, running.state) == (2, at("09-27 10:20"), State.RUNNING)


# several rulers, and rulers that change


def test_several_policies_measure_one_conversation() -> None:
    rules = book(DEFAULTS, ruler((PRE, FIRST, 3), name="marketplace"))
    story = Story().opened("09-27 10:00").replied("09-27 10:05")
    assert first(story, rules=rules).state is State.MET
    (other,) = judged(story, FIRST, rules, policy="marketplace")
    assert (other.state, other.limit) == (State.BREACHED, timedelta(minutes=3))


def test_a_policy_that_changes_midway_keeps_both_results() -> None:
    rules = book(ruler((PRE, FIRST, 10)), ruler((PRE, FIRST, 3), since="09-27 10:02"))
    story = Story().opened("09-27 10:00").replied("09-27 10:05")
    old, new = (c for c in clocks(story, rules) if c.kind is FIRST)
    assert (old.state, old.judges, new.state, new.judges) == (State.MET, True, State.BREACHED, False)
    before = clocks(Story().opened("09-27 09:00").replied("09-27 09:05"), rules)
    assert [(c.limit, c.state) for c in before] == [(timedelta(minutes=10), State.MET)]
    after = clocks(Story().opened("09-27 11:00").replied("09-27 11:05"), rules)
    assert [(c.limit, c.state) for c in after] == [(timedelta(minutes=3), State.BREACHED)]


def test_a_limit_that_was_replaced_before_it_passed_is_told_to_nobody() -> None:
    rules = book(ruler((PRE, FIRST, 10)), ruler((PRE, FIRST, 30), since="09-27 10:02"))
    old, new = clocks(Story().opened("09-27 10:00"), rules, known="09-27 10:20")
    assert (old.state, old.due_at > old.told_until) == (State.BREACHED, True)
    assert (new.state, new.due_at < new.told_until) == (State.RUNNING, True)


def test_a_new_policy_is_laid_at_what_was_before_it_too() -> None:
    rules = book(DEFAULTS, ruler((PRE, FIRST, 3), name="marketplace", since="12-01 00:00"))
    (clock,) = judged(Story().opened("09-27 10:00").replied("09-27 10:05"), FIRST, rules, policy="marketplace")
    assert clock.state is State.BREACHED


# classes


def test_a_conversation_that_is_classed_anew_gets_the_limit_of_its_class() -> None:
    story = Story().opened("09-27 10:00").classed("09-27 10:05", AFTER).replied("09-27 11:00")
    assert (first(story).state, first(story).service_class) == (State.MET, AFTER)


def test_a_class_given_after_the_breach_does_not_undo_it() -> None:
    story = Story().opened("09-27 10:00").classed("09-27 10:15", AFTER).replied("09-27 11:00")
    assert (first(story).state, first(story).service_class) == (State.BREACHED, PRE)


def test_only_a_complex_problem_has_to_be_solved_in_a_day() -> None:
    assert judged(Story().opened("09-27 10:00", AFTER), SOLUTION) == []
    story = Story().opened("09-27 10:00", AFTER).classed("09-27 15:00", AFTER, is_complex=True)
    (clock,) = judged(story, SOLUTION, known="09-27 16:00")
    assert (clock.service_class, clock.due_at) == (COMPLEX, at("09-28 10:00"))


# who had it


def test_it_is_known_who_had_it_for_how_long() -> None:
    story = Story().opened("09-27 10:00", AFTER, is_complex=True).received("09-27 10:00").assigned("09-27 10:08", "7")
    story.replied("09-27 10:10").waiting("09-27 10:10").received("09-27 11:10").assigned("09-27 11:20", "8")
    story.resolved("09-27 11:30")
    held = seconds_by_holder(story.log, FAR)
    assert {holder: span / timedelta(minutes=1) for holder, span in held.items()} == {
        "queue": 8,
        "agent:7": 12,
        "customer": 60,
        "agent:8": 10,
    }
    blamed = blame(story.log, first(story), ALWAYS, FAR)
    assert blamed == {"queue": timedelta(minutes=8), "agent:7": timedelta(minutes=2)}


def test_who_answers_from_the_queue_has_it() -> None:
    held = seconds_by_holder(Story().opened("09-27 10:00").replied("09-27 10:05", "9").log, at("09-27 10:20"))
    assert held == {"queue": timedelta(minutes=5), "agent:9": timedelta(minutes=15)}


# any order


OFFSETS = st.integers(0, 3 * 24 * 60).map(lambda n: timedelta(minutes=n))
START = at("09-26 08:00")
KINDS = st.sampled_from([d for d in Did if d is not Did.OPENED])


@st.composite
def facts(draw: st.DrawFn) -> list[Fact]:
    count = draw(st.integers(1, 25))
    found = [Fact(Did.OPENED, START, "e-0", topic_class=PRE)]
    for n in range(1, count):
        did = draw(KINDS)
        found.append(
            Fact(
                did,
                START + draw(OFFSETS),
                f"e-{n}",
                agent_id=draw(st.sampled_from(["7", "8", None])) if did in (Did.REPLIED, Did.ASSIGNED) else None,
                is_automatic=did is Did.REPLIED and draw(st.booleans()),
                topic_class=draw(st.sampled_from([PRE, IN, AFTER])) if did is Did.CLASSED else None,
                is_complex=draw(st.none() | st.booleans()) if did is Did.CLASSED else None,
                on=draw(st.sampled_from(On)) if did is Did.WAITING else None,
                by="7",
            )
        )
    return found


RULES = book(
    ruler((PRE, FIRST, 10), (PRE, NEXT, 10), (AFTER, FIRST, 120), (COMPLEX, SOLUTION, 1440)),
    ruler((PRE, FIRST, 5), (AFTER, NEXT, 30), since="09-26 12:00"),
    replace(ruler((PRE, FIRST, 3), (AFTER, SOLUTION, 600), name="marketplace"), calendar=None),
    calendar=OFFICE,
)


@settings(max_examples=150, deadline=None)
@given(facts(), st.randoms(use_true_random=False), OFFSETS)
def test_any_order_of_arrival_and_any_repeat_give_the_same_clocks(
    told: list[Fact], random: object, known: timedelta
) -> None:
    shuffled = [*told, *told[::2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    until = START + known
    assert measure(Log(shuffled), RULES, until) == measure(Log(told), RULES, until)
    assert seconds_by_holder(Log(shuffled), until) == seconds_by_holder(Log(told), until)


@settings(max_examples=150, deadline=None)
@given(facts(), OFFSETS)
def test_no_clock_contradicts_itself(told: list[Fact], known: timedelta) -> None:
    log = Log(told)
    for clock in measure(log, RULES, START + known):
        assert clock.started_at <= clock.warn_at <= clock.due_at
        assert clock.stopped_at is None or clock.stopped_at >= clock.started_at
        if clock.state is State.MET:
            assert clock.elapsed <= clock.limit
        if clock.state is State.BREACHED:
            assert clock.elapsed >= clock.limit
        if clock.is_over and clock.state is not State.BREACHED:
            assert clock.due_at >= clock.stopped_at  # type: ignore[operator]


@settings(max_examples=100, deadline=None)
@given(facts())
def test_whoever_has_it_has_it_alone_and_without_gaps(told: list[Fact]) -> None:
    log = Log(told)
    end = START + timedelta(days=4)
    held = sum(seconds_by_holder(log, end).values(), timedelta())
    closed = sum((min(b, end) - a for a, b in log.closed), timedelta())
    assert held + closed == end - log.facts[0].at
