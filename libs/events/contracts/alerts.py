"""Events of the alerts service, on the topics `service`, `policy` and `alerts`."""

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from libs.events.contracts.base import (
    About,
    Count,
    CustomerId,
    Event,
    FreeJson,
    FreeObject,
    Id,
    Ids,
    Instant,
    Label,
    LongText,
    Number,
    Seconds,
    Severity,
    Sku,
    Text,
    TopicClass,
    Value,
    Version,
)

# service


class _Conversation(Event):
    TOPIC = "service"
    KEY = ("conversation_id",)

    conversation_id: Id


class ConversationOpened(_Conversation):
    """A customer asks for something (SRV-4)."""

    TYPE = "conversation.opened.v1"

    customer_id: CustomerId
    customer_tier: Label | None = None
    topic_class: TopicClass
    subject_line: Annotated[Text, Field(alias="subject")] = ""
    is_complex: bool | None = None
    sku: Sku | None = None
    order_id: Id | None = None
    via: Literal["chat", "phone", "mail", "social"]


class MessageReceived(_Conversation):
    """The customer wrote."""

    TYPE = "message.received.v1"

    message_id: Id


class MessageReplied(_Conversation):
    """The store wrote; an automatic reply stops no clock (SRV-5)."""

    TYPE = "message.replied.v1"

    message_id: Id
    agent_id: Id | None = None
    is_automatic: bool = False


class ConversationClassed(_Conversation):
    """A conversation was given another class."""

    TYPE = "conversation.classed.v1"

    topic_class: TopicClass
    is_complex: bool | None = None
    by: Label


class ConversationAssigned(_Conversation):
    """A conversation went to an agent, or back to the queue."""

    TYPE = "conversation.assigned.v1"

    agent_id: Id | None = None
    by: Label


class ConversationWaiting(_Conversation):
    """The clocks pause: the store waits for somebody else (D66)."""

    TYPE = "conversation.waiting.v1"

    on: Literal["customer", "third_party"]
    by: Label


class ConversationResolved(_Conversation):
    """A solution was given."""

    TYPE = "conversation.resolved.v1"

    outcome: Text | None = None
    by: Label


class ConversationReopened(_Conversation):
    """The solution was none."""

    TYPE = "conversation.reopened.v1"

    reason: Text | None = None
    by: Label


class _Complaint(Event):
    TOPIC = "service"
    KEY = ("conversation_id", "order_id", "complaint_id")

    complaint_id: Id
    customer_id: CustomerId
    order_id: Id | None = None
    conversation_id: Id | None = None
    sku: Sku | None = None
    kind: Literal["wrong_goods", "missing_goods", "quality", "service", "logistics", "other"]


class ComplaintFiled(_Complaint):
    """A customer complained."""

    TYPE = "complaint.filed.v1"


class ComplaintResolved(_Complaint):
    """A complaint was settled or given up."""

    TYPE = "complaint.resolved.v1"

    outcome: Text


class RatingGiven(Event):
    """A customer rated a conversation or an order, 1 to 5 (SRV-7)."""

    TYPE = "rating.given.v1"
    TOPIC = "service"
    KEY = ("conversation_id", "order_id")

    conversation_id: Id | None = None
    order_id: Id | None = None
    score: Annotated[int, Field(ge=1, le=5)]
    customer_id: CustomerId | None = None
    agent_id: Id | None = None

    @model_validator(mode="after")
    def _rates_something(self) -> Self:
        if self.conversation_id is None and self.order_id is None:
            raise PydanticCustomError("one_of", "conversation_id or order_id must be given")
        return self


class _Review(Event):
    TOPIC = "service"
    KEY = ("conversation_id", "order_id", "review_id")

    review_id: Id
    sku: Sku
    order_id: Id | None = None
    conversation_id: Id | None = None
    stars: Annotated[int, Field(ge=1, le=5)]


class ReviewPosted(_Review):
    """A customer reviewed goods (SRV-8)."""

    TYPE = "review.posted.v1"


class ReviewAnswered(_Review):
    """The store answered a review."""

    TYPE = "review.answered.v1"

    by: Label | None = None


# policy


class PolicyChanged(Event):
    """A rule, threshold, calendar, silence, person or rota changed; `before` and `after` are its whole bodies."""

    TYPE = "policy.changed.v1"
    TOPIC = "policy"
    KEY = ("policy_id",)

    policy_id: Id
    kind: Label
    scope: FreeObject | None = None
    before: FreeJson = None
    after: FreeJson = None
    by: Label
    valid_from: Instant


# alerts


class Evidence(Value):
    """One check made for an incident, with the figures before and after (ALR-13)."""

    check: Literal[
        "price",
        "stock",
        "listing",
        "reviews",
        "service",
        "traffic",
        "campaign",
        "payment",
        "competitor",
        "unexplained",
    ]
    rank: Count
    before: FreeJson = None
    after: FreeJson = None
    lost_orders: Number | None = None
    share: Number | None = None
    text: Text


EvidenceList = Annotated[tuple[Evidence, ...], Strict(False), Field(max_length=100)]
Reason = Literal["first", "repeated", "escalated", "retroactive"]


class _Alert(Event):
    TOPIC = "alerts"
    KEY = ("incident_id",)

    alert_id: Id
    incident_id: Id
    rule: Label
    about: About
    severity: Severity
    figures: Annotated[FreeObject, Field(examples=[{"available": 9, "safety": 10}])]
    evidence: EvidenceList = ()
    reason: Reason
    retroactive: bool = False
    """known more than an hour after its limit: recorded, told to nobody (D5)"""
    fired_at: Instant | None = None
    """when the condition began, where that is not the event's time"""


class AlertFired(_Alert):
    """A rule's condition holds."""

    TYPE = "alert.fired.v1"


class AlertRecovered(_Alert):
    """A rule's condition holds no more."""

    TYPE = "alert.recovered.v1"

    reason: Reason = "first"


class IncidentRecord(Value):
    """The record that closes an incident (template 4, ALR-14)."""

    date: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", examples=["2024-07-03"])] | None = None
    description: Text | None = None
    scope: Text | None = None
    cause_code: Literal[
        "stock_data",
        "stock_out",
        "price",
        "listing",
        "campaign",
        "traffic_mix",
        "competitor",
        "payment",
        "service",
        "logistics",
        "system",
        "false_alarm",
    ]
    cause: Text
    measures: Text
    owner: Label
    completed_at: Instant


class _Incident(Event):
    TOPIC = "alerts"
    KEY = ("incident_id",)

    incident_id: Id
    alerts: Ids
    """ids of its alerts so far"""
    owner: Label | None = None
    """None only where the store has no people"""
    rule: Label
    severity: Severity
    title: Text
    about: About
    by: Label
    """the person, or `rule:ID`"""
    retroactive: bool = False


class IncidentOpened(_Incident):
    """Something needs somebody (ALR-12)."""

    TYPE = "incident.opened.v1"

    description: LongText | None = None
    figures: FreeObject | None = None
    evidence: EvidenceList = ()
    previous: Id | None = None
    """the resolved incident of the same matter before it (D41)"""


class IncidentAcknowledged(_Incident):
    """Somebody has seen it."""

    TYPE = "incident.acknowledged.v1"


class IncidentInvestigating(_Incident):
    """Somebody looks for the cause."""

    TYPE = "incident.investigating.v1"


class IncidentResolved(_Incident):
    """Closed with its record."""

    TYPE = "incident.resolved.v1"

    record: IncidentRecord


class IncidentEscalated(_Incident):
    """It went up to the next person, or its severity rose."""

    TYPE = "incident.escalated.v1"

    reason: Label
    level: Count = 1


class _Notification(Event):
    TOPIC = "alerts"
    KEY = ("incident_id", "report_id", "notification_id")

    notification_id: Id
    channel: Label
    alert_id: Id | None = None
    incident_id: Id | None = None
    report_id: Id | None = None
    attempt: Count


class NotificationSent(_Notification):
    """A target took a message."""

    TYPE = "notification.sent.v1"


class NotificationFailed(_Notification):
    """A target did not take a message."""

    TYPE = "notification.failed.v1"

    error: Text
    """what the target said; addresses and secrets masked"""
    is_final: bool = False
    """no further try follows"""


class NotificationFolded(_Notification):
    """A message was not sent by itself, because another says it (ALR-15)."""

    TYPE = "notification.folded.v1"

    reason: Label


class ClockMeasured(Event):
    """A clock of a conversation under one policy; the higher version replaces (D37)."""

    TYPE = "clock.measured.v1"
    TOPIC = "alerts"
    KEY = ("conversation_id",)

    conversation_id: Id
    policy: Label
    kind: Literal["first_response", "next_response", "solution"]
    topic_class: Annotated[TopicClass, Field(alias="class")]
    agent_id: Id | None = None
    started_at: Instant
    due_at: Instant
    stopped_at: Instant | None = None
    elapsed_seconds: Seconds
    limit_seconds: Seconds | None = None
    state: Literal["running", "met", "breached", "paused"]
    version: Version


class ViolationRecorded(Event):
    """The store broke a rule of a platform (ALR-16)."""

    TYPE = "violation.recorded.v1"
    TOPIC = "alerts"
    KEY = ("violation_id",)

    violation_id: Id
    rule: Label
    sku: Sku | None = None
    points: Number
    penalised: bool
    appeal_due: Instant | None = None
