"""How good a rule is, by the records that closed its incidents."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from libs.events.transaction import Transaction

_TALLIES = text(
    """
    WITH named AS (
        SELECT DISTINCT i.incident_id, i.status, i.record ->> 'cause_code' AS cause, a ->> 'rule' AS rule
        FROM alerts.incident i CROSS JOIN LATERAL jsonb_array_elements(i.alerts) AS a
        WHERE i.store = :store AND i.opened_at >= :since AND i.opened_at < :until AND NOT i.retroactive
          AND (CAST(:rule AS text) IS NULL OR a ->> 'rule' = :rule)
    ), pages AS (
        SELECT incident_id, count(*) AS sent FROM alerts.delivery
        WHERE store = :store AND status = 'sent' AND incident_id IN (SELECT incident_id FROM named)
        GROUP BY incident_id
    )
    SELECT n.rule, count(*) AS incidents,
           count(*) FILTER (WHERE n.status = 'resolved') AS resolved,
           count(*) FILTER (WHERE n.cause = 'false_alarm') AS false_alarms,
           coalesce(sum(p.sent), 0)::bigint AS pages
    FROM named n LEFT JOIN pages p USING (incident_id)
    GROUP BY n.rule ORDER BY n.rule
    """
)


@dataclass(frozen=True, slots=True)
class Tally:
    """The incidents of a rule, how people closed them, and the messages that were sent about them."""

    rule: str
    incidents: int
    resolved: int
    false_alarms: int
    pages: int

    @property
    def precision(self) -> float | None:
        """Of the resolved incidents, the share that was no false alarm; None before the first."""
        return round(1 - self.false_alarms / self.resolved, 6) if self.resolved else None


async def load_tallies(
    store: str, since: datetime, until: datetime, tx: Transaction, *, rule: str | None = None
) -> dict[str, Tally]:
    """rule -> its tally over the incidents opened in [since, until) that people were to be told of."""
    asked = {"store": store, "since": since, "until": until, "rule": rule}
    return {row.rule: Tally(*row) for row in await tx.session.execute(_TALLIES, asked)}
