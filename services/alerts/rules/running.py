"""Rules about how work and the platform itself run (ALR-12, ALR-16, RPT-1, RPT-4, missing data, deliveries)."""

from services.alerts.rules.shapes import Deadline, Role, Rule, Severity

INCIDENT_UNACKNOWLEDGED = Deadline(
    id="incident_unacknowledged",
    source="ALR-12",
    role=Role.LEAD,
    zh="异常 {incident_id} 超过 {minutes} 分钟无人确认",
    en="Incident {incident_id} not acknowledged within {minutes} min",
    parameters={"minutes": 60},
    topic="alerts",
)
CAUSE_MISSING = Deadline(
    id="cause_missing",
    source="ALR-12",
    role=Role.LEAD,
    zh="异常 {incident_id}: 到期未记录原因",
    en="Incident {incident_id}: its cause has not been recorded in time",
    parameters={"late_hour": 20, "next_day_hour": 12},
    topic="alerts",
)
MANUAL = Rule(id="manual", source="ALR-16", role=Role.LEAD, zh="{title}", en="{title}")
TECHNICAL = Rule(id="technical", source="ALR-15", role=Role.LEAD, zh="{title}", en="{title}")
REPORT_LATE = Deadline(
    id="report_late",
    source="RPT-1",
    severity=Severity.CRITICAL,
    role=Role.LEAD,
    zh="{day} 的日报到 {deadline} 仍未完成",
    en="The daily report of {day} is not ready by {deadline}",
    parameters={"hour": 9},
    topic="reports",
    daily=True,
)
REVIEW_LATE = Deadline(
    id="review_late",
    source="RPT-4",
    role=Role.SPECIALIST,
    zh="活动 {campaign}: 结束后 {working_days} 个工作日内没有复盘",
    en="Campaign {campaign}: no review within {working_days} working days of its end",
    parameters={"working_days": 3},
    scopes=("campaign",),
    topic="reports",
)
DATA_MISSING = Rule(
    id="data_missing",
    source="ALR-15",
    severity=Severity.CRITICAL,
    role=Role.LEAD,
    zh="数据缺失: {topic} {what_zh}",
    en="Data is missing: {topic} {what_en}",
    parameters={"factor": 3, "minimum_gap_minutes": 10, "lag_minutes": 2, "history_days": 7},
)
DELIVERY_FAILING = Rule(
    id="delivery_failing",
    source="ALR-15",
    role=Role.LEAD,
    zh="通知渠道 {channel} 发送失败",
    en="Channel {channel} does not take messages",
)

RULES = (
    INCIDENT_UNACKNOWLEDGED,
    CAUSE_MISSING,
    MANUAL,
    TECHNICAL,
    REPORT_LATE,
    REVIEW_LATE,
    DATA_MISSING,
    DELIVERY_FAILING,
)
