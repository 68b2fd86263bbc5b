"""A SKU's history: which category and cost were valid when (D10)."""

from typing import NamedTuple, TypeVar

import msgspec

from libs.events.contracts import SkuChanged, SkuDelisted, SkuListed

T = TypeVar("T")
CatalogEvent = SkuListed | SkuDelisted | SkuChanged


class Version(msgspec.Struct, array_like=True):
    """What one event says; None: the event says nothing, '' or -1: there is no value from then on."""

    us: int
    recorded_us: int
    id: str
    category: str | None
    cost: int | None


class Sku(msgspec.Struct, array_like=True):
    """Every version, in the order of (time, recordedtime, id)."""

    versions: list[Version] = []
    listed_us: int | None = None
    """when it was listed for the first time"""

    def category_at(self, us: int) -> str | None:
        """The category valid at an instant; before the first known one, that one."""
        known = [version for version in self.versions if version.category is not None]
        return _at(known, us).category or None if known else None

    def cost_at(self, us: int) -> int | None:
        """The cost of a unit valid at an instant; before the first known one, that one; None where it is unknown."""
        known = [version for version in self.versions if version.cost is not None]
        cost = _at(known, us).cost if known else None
        return None if cost is None or cost < 0 else cost


class Fact(NamedTuple):
    """One event about a SKU."""

    us: int
    recorded_us: int
    id: str
    event: CatalogEvent


def merge(old: Sku | None, facts: list[Fact]) -> Sku:
    """The history with these events in it."""
    versions = [*(old.versions if old else ()), *(_version(fact) for fact in facts)]
    listings = [fact.us for fact in facts if isinstance(fact.event, SkuListed)]
    if old is not None and old.listed_us is not None:
        listings.append(old.listed_us)
    ordered = sorted(versions, key=lambda version: (version.us, version.recorded_us, version.id))
    return Sku(ordered, min(listings, default=None))


def _version(fact: Fact) -> Version:
    event = fact.event
    if isinstance(event, SkuChanged):
        category = _changed(event.before.category, event.after.category, "")
        cost = _changed(event.before.cost_cents, event.after.cost_cents, -1)
        return Version(fact.us, fact.recorded_us, fact.id, category, cost)
    cost = -1 if event.cost_cents is None else event.cost_cents
    return Version(fact.us, fact.recorded_us, fact.id, event.category or "", cost)


def _changed(before: T | None, after: T | None, nothing: T) -> T | None:
    """What a change says of one field: its new value, that it has none now, or nothing at all."""
    if after is not None:
        return after
    return nothing if before is not None else None


def _at(known: list[Version], us: int) -> Version:
    valid = known[0]
    for version in known:
        if version.us <= us:
            valid = version
    return valid
