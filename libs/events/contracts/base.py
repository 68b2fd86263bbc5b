"""What all contracts share: the event, the topics, and the kinds of values that travel.

A contract is the one description of an event type: its class gives the wire name, the topic, the key and the fields.
JSON Schemas, the AsyncAPI document and `docs/reference/events.md` are printed from it. Names on the wire are written
out, never derived from code.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    Strict,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

T = TypeVar("T")

MAX_CENTS: Final = 10**14
"""A billion billions: amounts stay exact in every consumer's 64-bit sums."""
MAX_COUNT: Final = 10**12
MAX_INT: Final = 2**63 - 1
MAX_LINES: Final = 10_000

EVERY_TOPIC: Final = "*"
EVERY_STORE: Final = "*"


# Topics


@dataclass(frozen=True, slots=True)
class Topic:
    """An ordered stream with one owner, the only service that writes it."""

    name: str
    owner: str
    partitions: int
    key: str
    """What the key is, in words; on Kafka it is `store/subject`."""
    what: str
    retention_days: int | None = None

    @property
    def postgres_partitions(self) -> int:
        """The PostgreSQL bus has at most four partitions a topic."""
        return min(4, self.partitions)


TOPICS: Final[Mapping[str, Topic]] = {
    topic.name: topic
    for topic in (
        Topic("orders", "orders", 12, "order_id", "the life of an order, payments, shipments, returns"),
        Topic(
            "inventory",
            "inventory",
            12,
            "sku, or reservation, order or count (multi-SKU facts)",
            "every stock movement, level and promise; refusals too",
        ),
        Topic("catalog", "inventory", 3, "sku", "SKUs: name, price, cost, listing, images"),
        Topic("traffic", "kpi", 24, "visitor_id", "page views, carts, favorites, checkouts", retention_days=30),
        Topic(
            "marketing",
            "kpi",
            3,
            "campaign, channel, target or experiment; metric, cost category or sku",
            "campaigns, targets, spend, experiments; entered measures and costs, competitors",
        ),
        Topic(
            "service",
            "alerts",
            6,
            "conversation_id, else order_id, else own id",
            "customer-service conversations, complaints, ratings, reviews",
        ),
        Topic(
            "policy",
            "alerts",
            1,
            "policy id",
            "rules, thresholds, SLA policies, calendars, silences, people, rotas: every change, with who and when",
        ),
        Topic("kpi", "kpi", 6, "store + bucket", "measured windows, corrections"),
        Topic(
            "alerts",
            "alerts",
            3,
            "incident_id (clocks: conversation_id; violations: own id)",
            "alerts, incidents, notifications, clocks, violations",
        ),
        Topic("reports", "reporting", 1, "report id", "published editions"),
        Topic("stores", "orders", 1, "store", "stores: name, zone, currency, language"),
    )
}

DEAD_SUFFIX: Final = ".dead"


def dead(topic: str) -> str:
    """The topic of what could not be handled: `<topic>.dead`, one partition."""
    return topic + DEAD_SUFFIX


def dead_topic(topic: Topic, service: str) -> Topic:
    """The dead-letter topic of `topic` as `service`, one of its consumers, writes it."""
    return Topic(dead(topic.name), service, 1, f"as on {topic.name}", "what could not be handled, with the reason")


# Values


class FreeText:
    """Marks text that people write, in which phone numbers and the like are masked before it travels (D8)."""


class PersonReference:
    """Marks a reference to a person, which is replaced when it looks like a phone number or a mail address (D7)."""


_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YEARS: Final = range(1970, 9999)


def parse_instant(text: str) -> datetime:
    """An instant from RFC 3339 text with an offset. Raises ValueError for anything else."""
    if not _RFC3339.fullmatch(text):
        raise ValueError("not a time with offset")
    try:
        instant = datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise ValueError("no such time") from error
    if instant.year not in _YEARS:
        raise ValueError("year out of range")
    return instant


def _instant(value: object) -> datetime:
    if type(value) is str:
        try:
            return parse_instant(value)
        except ValueError as error:
            raise PydanticCustomError("instant", str(error)) from None
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return value
    raise PydanticCustomError("instant", "not a time with offset")


def _day(value: object) -> date:
    if type(value) is str and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise PydanticCustomError("day", "no such day") from None
    if type(value) is date:
        return value
    raise PydanticCustomError("day", "not a day YYYY-MM-DD")


def _number(value: object) -> int | float:
    if type(value) is int and abs(value) <= MAX_INT:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    raise PydanticCustomError("number", "not a finite number of 64 bit")


def _bounded(value: Any) -> Any:
    """Free JSON as a consumer's database can hold it: finite numbers, 64-bit integers, no NUL."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            pending += node.keys()
            pending += node.values()
        elif isinstance(node, list):
            pending += node
        elif isinstance(node, str):
            if "\x00" in node:
                raise PydanticCustomError("free_json", "NUL in a text")
        elif isinstance(node, int) and abs(node) > MAX_INT:
            raise PydanticCustomError("free_json", "an integer over 64 bit")
    return value


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    Field(description="RFC 3339 with offset", examples=["2024-07-01T10:00:00+08:00"]),
]
Day = Annotated[
    date,
    BeforeValidator(_day),
    Field(description="a day in the store's time zone", examples=["2024-07-01"]),
]
LocalHour = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}([+-][0-9]{2}:[0-9]{2})?$",
        description="an hour in the store's time zone; the hour repeated on a DST day carries its offset",
        examples=["2024-07-01T10"],
    ),
]
Month = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", examples=["2024-07"])]
Number = Annotated[int | float, PlainValidator(_number), WithJsonSchema({"type": "number"}), Field(examples=[0.03])]
FreeJson = Annotated[JsonValue, AfterValidator(_bounded)]
FreeObject = Annotated[dict[str, JsonValue], AfterValidator(_bounded)]

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]
"""An id as clients give it."""

ReservationId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._:~-]{1,160}$",
        description="as an id; an order's own hold is `{order_id}~{n}`",
        examples=["o-1001~0"],
    ),
]
CustomerId = Annotated[
    str,
    Field(
        pattern=r"^[^\x00-\x1f\x7f]{1,128}$",
        description="the storefront's reference; never a phone number, a name or an address",
        examples=["c-9"],
    ),
    PersonReference(),
]
StoreId = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9._:-]{1,64})$", examples=["demo"])]
Sku = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="case-sensitive", examples=["A001"])]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217", examples=["CNY"])]

Label = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]
"""A short text of one line."""

Text = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=4_000, description="free text"), FreeText()]
LongText = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=20_000, description="free text"), FreeText()]
Url = Annotated[str, Field(pattern=r"^[^\x00-\x20\x7f]{1,2000}$", examples=["https://img.example.com/a001.jpg"])]
UrlPath = Annotated[
    str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,2000}$", description="without query", examples=["/p/A001"])
]

Cents = Annotated[int, Field(ge=0, le=MAX_CENTS, description="minor units of the currency")]
SignedCents = Annotated[int, Field(ge=-MAX_CENTS, le=MAX_CENTS, description="minor units of the currency")]
Quantity = Annotated[int, Field(gt=0, le=10**9, description="units")]
Units = Annotated[int, Field(ge=0, le=MAX_COUNT, description="units")]
SignedUnits = Annotated[int, Field(ge=-MAX_COUNT, le=MAX_COUNT, description="units")]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Seconds = Annotated[int, Field(ge=0, le=MAX_COUNT, description="seconds")]
Version = Annotated[int, Field(ge=0, le=MAX_INT)]
Whole = Annotated[int, Field(ge=-MAX_INT, le=MAX_INT)]

Channel = Literal["natural_search", "paid", "social", "direct", "referral", "other"]
SkuKind = Literal["goods", "service"]
Severity = Literal["info", "warning", "critical"]
TopicClass = Literal["pre_sale", "in_sale", "after_sale"]
Dimensions = Annotated[dict[Label, Label], Field(max_length=20, examples=[{"channel": "paid"}])]
About = Annotated[dict[Label, Label], Field(max_length=20, description="what it is about", examples=[{"sku": "A001"}])]


class Value(BaseModel):
    """A part of an event. Strict: nothing is converted, JSON lists become tuples."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )


class Event(Value):
    """An immutable fact, past tense.

    Consumers ignore unknown fields; the HTTP front door validates with `extra="forbid"`.
    """

    TYPE: ClassVar[str]
    """The name on the wire, `noun.past_verb.vN`."""
    TOPIC: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]]
    """The attributes that may be the subject: the first that is not None is."""

    @property
    def subject(self) -> str:
        """The key of the event within its store: events with one subject are consumed in the order of acceptance."""
        for name in self.KEY:
            value = getattr(self, name)
            if value is not None:
                return str(value)
        raise ValueError(f"{self.TYPE} without {' or '.join(self.KEY)}")


class Line(Value):
    """A line of an order."""

    sku: Sku
    quantity: Quantity
    unit_price_cents: Cents
    discount_cents: Cents = 0
    cost_cents: Cents | None = None
    """the cost of one unit"""

    @property
    def amount_cents(self) -> int:
        """Quantity x unit price - line discount (D11)."""
        return self.quantity * self.unit_price_cents - self.discount_cents


class StockLine(Value):
    """Units of a SKU, without money."""

    sku: Sku
    quantity: Quantity


Lines = Annotated[tuple[Line, ...], Strict(False), Field(max_length=MAX_LINES)]
StockLines = Annotated[tuple[StockLine, ...], Strict(False), Field(max_length=MAX_LINES)]
Labels = Annotated[tuple[Label, ...], Strict(False), Field(max_length=1_000)]
Ids = Annotated[tuple[Id, ...], Strict(False), Field(max_length=1_000)]


class TopicBeat(Event):
    """Written by the owner to each of its topics every 5 s: everything accepted before `until` is on the bus (D27).

    Its store is `*` and its subject the topic.
    """

    TYPE = "topic.beat.v1"
    TOPIC = EVERY_TOPIC
    KEY = ()

    until: Instant
