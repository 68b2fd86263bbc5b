"""The bodies that people and files send to kpi, as the wire has them."""

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from libs.events.contracts.base import (
    Cents,
    Channel,
    Count,
    Currency,
    Day,
    Dimensions,
    Id,
    Instant,
    Label,
    Labels,
    LocalHour,
    Month,
    Number,
    SignedCents,
    Sku,
    Text,
    Url,
)
from libs.events.contracts.kpi import CampaignSku, Criterion
from libs.service.routes import Body


class Campaign(Body):
    """`PUT /v1/campaigns/{id}`: the plan (template 2)."""

    theme: Text
    starts_at: Instant
    ends_at: Instant
    skus: Annotated[tuple[CampaignSku, ...], Strict(False), Field(max_length=5_000)] = ()
    offer: Text = ""
    budget_cents: Cents = 0
    channels: Labels = ()
    owner: Label
    goals: Annotated[dict[Label, Number], Field(max_length=100)] = {}

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.starts_at >= self.ends_at:
            raise PydanticCustomError("range", "ends_at is not after starts_at")
        if len({line.sku for line in self.skus}) != len(self.skus):
            raise PydanticCustomError("duplicate", "a SKU is named twice")
        return self


class Target(Body):
    """`PUT /v1/targets/{id}` (KPI-9)."""

    dimension: Dimensions = {}
    metric: Label
    value: Number
    owner: Label
    starts_on: Day
    ends_on: Day
    criterion: Criterion

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.starts_on > self.ends_on:
            raise PydanticCustomError("range", "ends_on is before starts_on")
        if self.criterion.kind == "days_in_a_row" and self.criterion.n is None:
            raise PydanticCustomError("missing", "days_in_a_row needs n")
        return self


class Experiment(Body):
    """`PUT /v1/experiments/{id}` (KPI-8)."""

    variants: Annotated[Labels, Field(min_length=2)]
    metric: Label
    starts_at: Instant
    ends_at: Instant | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.ends_at is not None and self.starts_at >= self.ends_at:
            raise PydanticCustomError("range", "ends_at is not after starts_at")
        if len(set(self.variants)) != len(self.variants):
            raise PydanticCustomError("duplicate", "a variant is named twice")
        return self


class AdSpend(Body):
    """An entry of `POST /v1/ad-spend`: a day or an hour of one ad."""

    channel: Channel
    source: Label | None = None
    campaign: Id | None = None
    plan: Label | None = None
    sku: Sku | None = None
    creative: Label | None = None
    day: Day | None = None
    hour: LocalHour | None = None
    reported_at: Instant | None = None
    impressions: Count
    clicks: Count
    spend_cents: Cents
    currency: Currency

    @model_validator(mode="after")
    def _has_one_period(self) -> Self:
        _check_one(self.day, self.hour, "day or hour")
        return self


class Measure(Body):
    """An entry of `POST /v1/measures`: a figure that a person or a file brings."""

    metric: Label
    day: Day | None = None
    month: Month | None = None
    value: Number
    source: Label

    @model_validator(mode="after")
    def _has_one_period(self) -> Self:
        _check_one(self.day, self.month, "day or month")
        return self


class Cost(Body):
    """An entry of `POST /v1/costs` (KPI-11)."""

    category: Literal["platform_fee", "staff", "freight", "other"]
    day: Day | None = None
    month: Month | None = None
    amount_cents: SignedCents
    currency: Currency
    sku: Sku | None = None
    campaign: Id | None = None
    source: Label | None = None

    @model_validator(mode="after")
    def _has_one_period(self) -> Self:
        _check_one(self.day, self.month, "day or month")
        return self


class Competitor(Body):
    """An entry of `POST /v1/competitors` (ALR-18)."""

    rival: Label
    sku: Sku
    price_cents: Cents
    currency: Currency | None = None
    offer: Text | None = None
    link: Url | None = None
    seen_at: Instant


class Import(Body):
    """`POST /v1/imports`: opens a backfill (D6)."""

    import_id: Id


def _check_one(one: object, other: object, names: str) -> None:
    if (one is None) == (other is None):
        raise PydanticCustomError("one_of", "exactly one of {names}", {"names": names})
