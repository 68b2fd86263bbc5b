"""What must always hold about editions, asked of the database as it is (RPT-7, D31, D72)."""

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.service.invariants import Violation, broken, shared_checks
from services.reporting.render import SHAPES
from services.reporting.texts import LANGUAGES

_SUBJECT = "report || ' ' || period || ' edition ' || edition"

_CHECKS = {
    "editions are numbered without a gap": """
        SELECT p.store, p.report || ' ' || p.period, p.editions, count(e.edition) FROM reporting.period p
        LEFT JOIN reporting.edition e USING (store, report, period) GROUP BY p.store, p.report, p.period, p.editions
        HAVING count(e.edition) <> p.editions OR coalesce(max(e.edition), 0) <> p.editions
    """,
    "an edition has all of its shapes": f"""
        SELECT store, {_SUBJECT}, {len(LANGUAGES) * len(SHAPES)}, count(s.extension) FROM reporting.edition
        LEFT JOIN reporting.shape s USING (store, report, period, edition) GROUP BY store, report, period, edition
        HAVING count(s.extension) <> {len(LANGUAGES) * len(SHAPES)}
    """,
    "an edition is stamped with its own number": f"""
        SELECT store, {_SUBJECT}, edition, coalesce(content ->> 'edition', 'none') FROM reporting.edition
        WHERE content ->> 'edition' IS DISTINCT FROM edition::text OR content ->> 'store' IS DISTINCT FROM store
    """,
    "editions follow one another in time": f"""
        SELECT store, {_SUBJECT}, 'after ' || before::text, published_at::text FROM (
         SELECT store, report, period, edition, published_at,
                lag(published_at) OVER (PARTITION BY store, report, period ORDER BY edition) AS before
         FROM reporting.edition) AS e WHERE published_at < before
    """,
    "the newest edition says what was measured": """
        SELECT e.store, e.report || ' ' || e.period, b.measures ->> 'orders_placed', e.content #>> '{rows,0,orders}'
        FROM reporting.period p JOIN reporting.edition e USING (store, report, period)
        JOIN reporting.bucket b ON (b.store, b.bucket, b.channel) = (e.store, e.period, '')
         AND b.grain = CASE e.report WHEN 'daily' THEN 'day' WHEN 'weekly' THEN 'week' ELSE 'month' END
        WHERE p.due_at IS NULL AND e.edition = p.editions
         AND b.measures ->> 'orders_placed' IS DISTINCT FROM e.content #>> '{rows,0,orders}'
    """,
}

INVARIANTS = (*shared_checks("reporting"), *_CHECKS)


async def violations(session: AsyncConnection) -> list[Violation]:
    """Every broken invariant of every store."""
    return await broken(session, {**shared_checks("reporting"), **_CHECKS})
