"""Events of the kpi service, on the topics `traffic`, `marketing` and `kpi`."""

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from libs.events.contracts.base import (
    Cents,
    Channel,
    Count,
    Currency,
    CustomerId,
    Day,
    Dimensions,
    Event,
    Id,
    Instant,
    Label,
    Labels,
    LocalHour,
    Month,
    Number,
    Quantity,
    SignedCents,
    Sku,
    StoreId,
    Text,
    Url,
    UrlPath,
    Value,
    Whole,
)

Grain = Literal["hour", "day", "week", "month", "w1", "w3", "w6", "w12", "w24"]
"""Store hours, days, weeks, months; w1 to w24 are the alarm windows (D38)."""
Bucket = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9A-Z:+-]{2,20}$",
        description="2024-07-01T10, 2024-07-01, 2024-W27 or 2024-07; a window has the name of its last hour",
        examples=["2024-07-01T10"],
    ),
]


def _exactly_one(**given: object) -> None:
    """Raise unless just one of these fields has a value."""
    if sum(value is not None for value in given.values()) != 1:
        raise PydanticCustomError("one_of", "exactly one of {names}", {"names": ", ".join(given)})


# traffic


class Assignment(Value):
    """The variant of an experiment that the visitor was shown."""

    id: Id
    variant: Label


class CartLine(Value):
    """Goods in a cart."""

    sku: Sku
    quantity: Quantity = 1
    unit_price_cents: Cents | None = None


class _Visit(Event):
    TOPIC = "traffic"
    KEY = ("visitor_id",)

    visitor_id: Id
    customer_id: CustomerId | None = None
    session_id: Id | None = None
    """kept, never used for counting (D28)"""
    sku: Sku | None = None
    channel: Channel | None = None
    source: Label | None = None
    campaign: Id | None = None
    device: Label | None = None
    is_bot: bool | None = None
    is_staff: bool | None = None
    experiment: Assignment | None = None


PageKind = Literal["home", "list", "product", "cart", "checkout", "other"]


class PageViewed(_Visit):
    """A visitor saw a page."""

    TYPE = "page.viewed.v1"

    url_path: UrlPath
    page_kind: PageKind


class _CartEvent(_Visit):
    url_path: UrlPath | None = None
    page_kind: PageKind | None = None
    quantity: Quantity | None = None
    lines: Annotated[tuple[CartLine, ...], Strict(False), Field(max_length=1_000)] | None = None


class _GoodsEvent(_CartEvent):
    @model_validator(mode="after")
    def _names_goods(self) -> Self:
        if self.sku is None and not self.lines:
            raise PydanticCustomError("sku_missing", "sku or lines must be given")
        return self


class CartAdded(_GoodsEvent):
    """A visitor put goods into the cart."""

    TYPE = "cart.added.v1"


class CartRemoved(_GoodsEvent):
    """A visitor took goods out of the cart."""

    TYPE = "cart.removed.v1"


class ProductFavorited(_GoodsEvent):
    """A visitor marked goods as a favourite."""

    TYPE = "product.favorited.v1"


class CheckoutStarted(_CartEvent):
    """A visitor began to check out."""

    TYPE = "checkout.started.v1"


# marketing


class CampaignSku(Value):
    """What a campaign promises of a SKU."""

    sku: Sku
    quantity: Quantity | None = None
    price_cents: Cents | None = None


class _Campaign(Event):
    TOPIC = "marketing"
    KEY = ("campaign",)

    campaign: Id
    theme: Text
    starts_at: Instant
    ends_at: Instant
    skus: Annotated[tuple[CampaignSku, ...], Strict(False), Field(max_length=5_000)]
    offer: Text
    budget_cents: Cents
    channels: Labels
    owner: Label
    goals: Annotated[dict[Label, Number], Field(max_length=100, examples=[{"gmv": 15000000}])]
    """metric -> value"""


class CampaignPlanned(_Campaign):
    """A campaign was planned (template 2)."""

    TYPE = "campaign.planned.v1"


class CampaignChanged(_Campaign):
    """A plan was changed; the event carries it as it is now."""

    TYPE = "campaign.changed.v1"


class CampaignEnded(_Campaign):
    """A campaign is over."""

    TYPE = "campaign.ended.v1"


class Criterion(Value):
    """When a target counts as met (KPI-9)."""

    kind: Literal["average", "total", "days_in_a_row", "every_day"]
    n: Annotated[int, Field(gt=0, le=3_660)] | None = None
    """days in a row"""


class TargetSet(Event):
    """A target was set or changed (KPI-9); the same id again replaces it."""

    TYPE = "target.set.v1"
    TOPIC = "marketing"
    KEY = ("target_id",)

    target_id: Id
    dimension: Dimensions
    metric: Label
    value: Number
    owner: Label
    starts_on: Day
    ends_on: Day
    criterion: Criterion


class AdSpent(Event):
    """What an ad cost and brought in a day or an hour; the same key again replaces (D10)."""

    TYPE = "ad.spent.v1"
    TOPIC = "marketing"
    KEY = ("channel",)

    channel: Channel
    source: Label | None = None
    campaign: Id | None = None
    plan: Label | None = None
    sku: Sku | None = None
    creative: Label | None = None
    day: Day | None = None
    hour: LocalHour | None = None
    impressions: Count
    clicks: Count
    spend_cents: Cents
    currency: Currency

    @model_validator(mode="after")
    def _has_one_period(self) -> Self:
        _exactly_one(day=self.day, hour=self.hour)
        return self


class MeasureEntered(Event):
    """A figure that a person or a file brings (KPI-9)."""

    TYPE = "measure.entered.v1"
    TOPIC = "marketing"
    KEY = ("metric",)

    metric: Label
    day: Day | None = None
    month: Month | None = None
    value: Number
    source: Label
    by: Label

    @model_validator(mode="after")
    def _has_one_period(self) -> Self:
        _exactly_one(day=self.day, month=self.month)
        return self


class CostEntered(Event):
    """A cost that a person or a file brings (KPI-11)."""

    TYPE = "cost.entered.v1"
    TOPIC = "marketing"
    KEY = ("category",)

    category: Literal["platform_fee", "staff", "freight", "other"]
    day: Day | None = None
    month: Month | None = None
    amount_cents: SignedCents
    currency: Currency
    sku: Sku | None = None
    campaign: Id | None = None
    source: Label | None = None
    by: Label

    @model_validator(mode="after")
    def _has_one_period(self) -> Self:
        _exactly_one(day=self.day, month=self.month)
        return self


class CompetitorSeen(Event):
    """A rival's price for goods like ours (ALR-18)."""

    TYPE = "competitor.seen.v1"
    TOPIC = "marketing"
    KEY = ("sku",)

    rival: Label
    sku: Sku
    price_cents: Cents
    currency: Currency
    offer: Text | None = None
    link: Url | None = None
    by: Label


class _Experiment(Event):
    TOPIC = "marketing"
    KEY = ("experiment",)

    experiment: Id
    variants: Annotated[Labels, Field(min_length=2)]
    metric: Label
    starts_at: Instant | None = None
    ends_at: Instant | None = None


class ExperimentStarted(_Experiment):
    """An A/B test began (KPI-8)."""

    TYPE = "experiment.started.v1"


class ExperimentStopped(_Experiment):
    """An A/B test ended (KPI-8)."""

    TYPE = "experiment.stopped.v1"


# kpi


class MeasureChange(Value):
    """A measure that was corrected."""

    measure: Label
    from_value: Annotated[Whole, Field(alias="from")]
    to: Whole


class KpiMeasured(Event):
    """The measures of a bucket, once it is complete."""

    TYPE = "kpi.measured.v1"
    TOPIC = "kpi"
    KEY = ("bucket",)

    store: StoreId
    bucket: Bucket
    start: Instant
    end: Instant
    grain: Grain
    dimensions: Dimensions
    measures: Annotated[dict[Label, Whole], Field(max_length=1_000, examples=[{"uv": 4850, "orders_placed": 120}])]
    currency: Currency | None = None
    """of the measures that are money; else the store's"""
    complete: bool
    watermark: Instant
    """everything up to here is in"""


class KpiCorrected(Event):
    """Measures of a bucket that had been measured complete have changed (D36)."""

    TYPE = "kpi.corrected.v1"
    TOPIC = "kpi"
    KEY = ("bucket",)

    bucket: Bucket
    start: Instant | None = None
    end: Instant | None = None
    grain: Grain
    dimensions: Dimensions
    measures: Annotated[tuple[MeasureChange, ...], Strict(False), Field(max_length=1_000)]
    causes: Annotated[tuple[Label, ...], Strict(False), Field(max_length=20)]
    """event ids, or `import:ID`, `rebuild:ID`"""
    cause_count: Count
    currency: Currency | None = None
