"""Ten thousand open clocks: looked at by an index, not by a scan, and only when their time has come."""

from sqlalchemy import text

from services.alerts.desk.handlers.measuring import MOST_SPOKEN_OF
from services.alerts.desk.store import conversations
from services.alerts.invariants import violations
from tests.alerts.desk.counter import Counter

MANY = """
INSERT INTO alerts.clock (store, conversation_id, policy, since, kind, number, class, limit_seconds, started_at, due_at,
 elapsed_us, state, judges, warned, fired, alerting, timer_at, version)
SELECT 'many', 'c-' || n, 'default', '1970-01-01', 'first_response', 1, 'pre_sale', 600, now(), now() + '1 day', 0,
 'running', true, false, false, false, now() + '1 day' + n * interval '1 second', 1 FROM generate_series(1, 10000) n
"""


async def test_open_clocks_are_found_by_their_time(counter: Counter) -> None:
    async with counter.desk.runtime.engine.begin() as session:
        await session.execute(text(MANY))
        await session.execute(text("ANALYZE alerts.clock"))
        plan = (
            await session.execute(
                text(
                    "EXPLAIN SELECT store, conversation_id FROM alerts.clock WHERE timer_at < now()"
                    " ORDER BY timer_at LIMIT 200"
                )
            )
        ).scalars()
        assert "ix_clock_timer_at" in "\n".join(plan)
    async with counter.desk.runtime.worker.begin() as tx:
        assert await conversations.list_due(tx.now, 200, tx) == set()
    async with counter.desk.runtime.engine.begin() as session:
        await session.execute(text("DELETE FROM alerts.clock WHERE store = 'many'"))


async def test_what_must_hold_of_clocks_holds_after_a_day_at_the_counter(counter: Counter) -> None:
    await counter.tell(
        counter.opened(0, "after_sale", is_complex=True),
        counter.received(),
        counter.replied(5),
        counter.event("conversation.waiting.v1", 10, on="customer", by="7"),
        counter.opened(0, conversation_id="c-2"),
        counter.opened(0, conversation_id="c-3"),
        counter.replied(3, conversation_id="c-3"),
    )
    await counter.pass_time(minutes=20)
    async with counter.desk.runtime.engine.connect() as session:
        found = await violations(session)
    assert [one for one in found if "clock" in one.invariant or "conversation" in one.invariant] == []


async def test_of_a_file_that_is_brought_in_breaches_are_said_piece_by_piece(counter: Counter) -> None:
    late = {"conversation_id": "late"}
    others = [counter.opened(-3, conversation_id=f"c-{n}") for n in range(MOST_SPOKEN_OF)]
    await counter.tell(counter.opened(-30, **late), counter.replied(-1, **late), *others)
    assert (await counter.clocks(conversation="late"))[0]["state"] == "breached"
    assert await counter.incidents() == []
    await counter.pass_time(seconds=1)
    (incident,) = await counter.incidents()
    assert incident["about"]["conversation_id"] == "late"
    assert incident["recovered_at"] is not None
