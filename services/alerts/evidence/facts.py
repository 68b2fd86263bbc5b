"""What the checks look at. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Case:
    """What fell: orders of a window against what its level would have made of it."""

    expected: float
    actual: int

    @property
    def lost(self) -> float:
        """Orders that are missing."""
        return max(0.0, self.expected - self.actual)


@dataclass(frozen=True, slots=True)
class SkuFacts:
    """One of the SKUs that usually sell. Times are minutes of the window; `usual` is what a window usually has."""

    sku: str
    title: str
    share: float
    """of all orders, usually"""
    orders: int
    out_minutes: float = 0.0
    usual_out_minutes: float = 0.0
    prices: tuple[tuple[int | None, int | None], ...] = ()
    """(from, to) of each change of price"""
    listing: tuple[str, ...] = ()
    """what else was changed of it: listed, delisted, title, image"""
    complaints: int = 0
    """bad reviews and complaints about it"""
    rivals: tuple[tuple[str, int], ...] = ()
    """(rival, price) below its own price"""


@dataclass(frozen=True, slots=True)
class PartFacts:
    """Visitors and orders of a channel, source or device, now and usually."""

    name: str
    uv: int
    orders: int
    usual_uv: float
    usual_orders: float


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """Payments by one method."""

    method: str
    failed: int
    tried: int
    usual_failed: float
    usual_tried: float


@dataclass(frozen=True, slots=True)
class CampaignFacts:
    """A campaign that began or ended shortly before."""

    campaign: str
    what: str
    at: datetime
    orders: int
    usual_orders: float


@dataclass(frozen=True, slots=True)
class Counts:
    """How often something happened in the window, and usually in as long a time."""

    now: int = 0
    usual: float = 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the window and the time before it."""

    minutes: float
    skus: Sequence[SkuFacts] = ()
    channels: Sequence[PartFacts] = ()
    sources: Sequence[PartFacts] = ()
    devices: Sequence[PartFacts] = ()
    methods: Sequence[MethodFacts] = ()
    campaigns: Sequence[CampaignFacts] = ()
    bad_reviews: Counts = field(default_factory=Counts)
    complaints: Counts = field(default_factory=Counts)
    refunds: Counts = field(default_factory=Counts)
    slow_answers: Counts = field(default_factory=Counts)


def out_minutes(changes: Iterable[tuple[datetime, bool]], start: datetime, end: datetime) -> float:
    """Minutes of [start, end) in which a SKU was sold out, from (time, sold out or back in), in order."""
    out_since: datetime | None = None
    seconds = 0.0
    for at, is_out in changes:
        if is_out:
            out_since = out_since or at
        elif out_since is not None:
            seconds += _overlap(out_since, at, start, end)
            out_since = None
    if out_since is not None:
        seconds += _overlap(out_since, end, start, end)
    return seconds / 60


def _overlap(begin: datetime, over: datetime, start: datetime, end: datetime) -> float:
    return max(0.0, (min(over, end) - max(begin, start)).total_seconds())
