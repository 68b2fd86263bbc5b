"""Rules about customer service (SRV-1, 2, 3, 8): the breach, and the warning before it (SRV-6).

Limits of conversations are those of each service-level policy, of complaints those of `default`; a warning is an
alert in the breach's incident.
"""

from dataclasses import replace

from services.alerts.rules.shapes import Deadline, Role, Severity

RESPONSE_PRESALE = Deadline(
    id="response_presale",
    source="SRV-1",
    role=Role.SERVICE,
    zh="售前会话 {conversation_id}: 超过 {limit} 未回复 ({policy})",
    en="Pre-sale conversation {conversation_id}: no reply within {limit} ({policy})",
    topic="service",
)
RESPONSE_AFTERSALE = Deadline(
    id="response_aftersale",
    source="SRV-2",
    role=Role.SERVICE,
    zh="售后会话 {conversation_id}: 超过 {limit} 未回复 ({policy})",
    en="After-sale conversation {conversation_id}: no reply within {limit} ({policy})",
    topic="service",
)
SOLUTION_OVERDUE = Deadline(
    id="solution_overdue",
    source="SRV-3",
    severity=Severity.CRITICAL,
    role=Role.SERVICE,
    zh="问题 {case}: 超过 {limit} 未解决",
    en="Problem {case}: no solution within {limit}",
    topic="service",
)
BAD_REVIEW_UNANSWERED = Deadline(
    id="bad_review_unanswered",
    source="SRV-8",
    role=Role.SERVICE,
    zh="{name}: {stars} 星评价 {review_id} 超过 {hours} 小时未回复",
    en="{name}: {stars}-star review {review_id} not answered within {hours} h",
    parameters={"hours": 24, "stars": 3, "warn_at": 0.8},
    scopes=("category", "sku"),
    topic="service",
)


def _warning(breach: Deadline, zh: str, en: str) -> Deadline:
    words = replace(breach, id=f"{breach.id}_warning", zh=zh, en=en)
    return replace(words, group=breach.matter, severity=Severity.WARNING, parameters={}, scopes=())


RESPONSE_PRESALE_WARNING = _warning(
    RESPONSE_PRESALE,
    "售前会话 {conversation_id}: 即将超过 {limit} 未回复 ({policy})",
    "Pre-sale conversation {conversation_id}: no reply yet, limit {limit} ({policy})",
)
RESPONSE_AFTERSALE_WARNING = _warning(
    RESPONSE_AFTERSALE,
    "售后会话 {conversation_id}: 即将超过 {limit} 未回复 ({policy})",
    "After-sale conversation {conversation_id}: no reply yet, limit {limit} ({policy})",
)
SOLUTION_OVERDUE_WARNING = _warning(
    SOLUTION_OVERDUE,
    "问题 {case}: 即将超过 {limit} 未解决",
    "Problem {case}: no solution yet, limit {limit}",
)
BAD_REVIEW_UNANSWERED_WARNING = _warning(
    BAD_REVIEW_UNANSWERED,
    "{name}: {stars} 星评价 {review_id} 即将超过 {hours} 小时未回复",
    "{name}: {stars}-star review {review_id} not answered yet, limit {hours} h",
)

RULES = (
    RESPONSE_PRESALE,
    RESPONSE_PRESALE_WARNING,
    RESPONSE_AFTERSALE,
    RESPONSE_AFTERSALE_WARNING,
    SOLUTION_OVERDUE,
    SOLUTION_OVERDUE_WARNING,
    BAD_REVIEW_UNANSWERED,
    BAD_REVIEW_UNANSWERED_WARNING,
)
