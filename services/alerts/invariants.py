"""What must always hold about incidents and their messages, asked of the database as it is (P6, ALR-14, ALR-15)."""

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.service.invariants import Violation, broken, shared_checks

_CHECKS = {
    "one standing incident a matter": """
        SELECT store, key, 1, count(*) FROM alerts.incident WHERE status <> 'resolved'
        GROUP BY store, key HAVING count(*) > 1
    """,
    "an incident that opened says so in its timeline": """
        SELECT i.store, i.incident_id, 1, count(t.id) FROM alerts.incident i
        LEFT JOIN alerts.timeline t ON (t.store, t.incident_id, t.kind) = (i.store, i.incident_id, 'opened')
        GROUP BY i.store, i.incident_id HAVING count(t.id) <> 1
    """,
    "an incident has recovered when all of its alerts have": """
        SELECT i.store, i.incident_id, a.firing::text || ' firing', coalesce(i.recovered_at::text, 'not recovered')
        FROM alerts.incident i CROSS JOIN LATERAL (SELECT count(*) AS firing FROM jsonb_array_elements(i.alerts) AS x
        WHERE x ->> 'recovered_at' IS NULL
        AND x ->> 'rule' NOT IN ('incident_unacknowledged', 'cause_missing')) AS a
        WHERE (a.firing = 0) <> (i.recovered_at IS NOT NULL)
    """,
    "a resolved incident has its record": """
        SELECT store, incident_id, 'a record', 'none' FROM alerts.incident
        WHERE (status = 'resolved') <> (record IS NOT NULL AND resolved_at IS NOT NULL)
    """,
    "a message is about an incident that exists": """
        SELECT d.store, d.notification_id, d.incident_id, 'no such incident' FROM alerts.delivery d
        LEFT JOIN alerts.incident i USING (store, incident_id)
        WHERE d.incident_id IS NOT NULL AND i.incident_id IS NULL
    """,
    "an alert is told once on a channel": """
        SELECT store, alert_id || ' on ' || channel || ': ' || type, 1, count(*) FROM alerts.delivery
        WHERE alert_id IS NOT NULL AND status IN ('pending', 'sent', 'failed')
        GROUP BY store, alert_id, channel, type HAVING count(*) > 1
    """,
    "a message is settled, or waits to be sent": """
        SELECT store, notification_id, CASE WHEN status = 'pending' THEN 'a time to be sent' ELSE 'settled' END,
               coalesce(due_at::text, 'never') || ', ' || coalesce(settled_at::text, 'not settled')
        FROM alerts.delivery WHERE CASE WHEN status = 'pending' THEN due_at IS NULL OR settled_at IS NOT NULL
         ELSE due_at IS NOT NULL OR settled_at IS NULL OR leased_until IS NOT NULL END
    """,
    "what waits to be sent is tried": """
        SELECT store, notification_id, 'tried when due', 'due since ' || due_at::text FROM alerts.delivery
        WHERE status = 'pending' AND due_at < now() - interval '3 minutes'
    """,
    "a clock that runs will be looked at": """
        SELECT store, conversation_id || ' ' || policy || ' ' || kind, 'a timer', 'none' FROM alerts.clock
        WHERE state = 'running' AND timer_at IS NULL
    """,
    "a clock that is over, late or paused waits for no time": """
        SELECT store, conversation_id || ' ' || policy || ' ' || kind, 'no timer', timer_at::text FROM alerts.clock
        WHERE state <> 'running' AND timer_at > '1970-01-01T00:00:00Z'
    """,
    "a clock is judged once its time is surely past": """
        SELECT c.store, c.conversation_id || ' ' || c.policy || ' ' || c.kind, 'judged',
               'due since ' || c.timer_at::text
        FROM alerts.clock c JOIN alerts.watermark w ON (w.consumer, w.topic) = ('alerts', 'service')
        WHERE c.timer_at < w.until - interval '3 minutes'
    """,
    "a conversation is breached when one of its clocks is": """
        SELECT v.store, v.conversation_id, v.breached::text, count(c.policy) FROM alerts.conversation v
        LEFT JOIN alerts.clock c ON (c.store, c.conversation_id, c.state) = (v.store, v.conversation_id, 'breached')
        GROUP BY v.store, v.conversation_id, v.breached HAVING v.breached <> (count(c.policy) > 0)
    """,
}

INVARIANTS = (*shared_checks("alerts"), *_CHECKS)


async def violations(session: AsyncConnection) -> list[Violation]:
    """Every broken invariant of every store."""
    return await broken(session, {**shared_checks("alerts"), **_CHECKS})
