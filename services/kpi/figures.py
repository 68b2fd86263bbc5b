"""Differences in, figures out: the vectors of a cell, the cells of a profile, and their roll-up over the grains. Pure.

A *cell* is one bucket seen through some dimensions (`by` names them, sorted; its values stand in the same order). It
holds a sparse vector: number of a measure -> integer. Numbers are written to the database and never change; a measure
that is money carries its currency in the number, so that sums cannot mix currencies.

A *profile* is what an entity knows about where its measures belong: a visit has channel, source, campaign and device,
an order line a SKU. It is expanded into cells only after a batch has been added up, so that a thousand visitors with
one profile cost one expansion.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, Protocol, TypeVar

from services.kpi.kpis import MEASURE, Unit

Vector = dict[int, int]
"""Number of a measure (and currency) -> value; zeros are left out."""

EVERY_GRAIN: Final = "*"
"""The grain of a contribution that counts in the hour that starts at its second and in every longer bucket over it."""

FROM_DAY: Final = "day+"
"""The same from a day on: counts in the day that starts at its second, its week and its month."""

SEPARATOR: Final = "\x1f"
"""Between the values of a cell's dimensions; no label may contain it."""

_REGISTERED: Final = """
pv uv cart_adds cart_visitors favorites favorite_visitors fav_or_cart_visitors checkout_visitors
product_visitors sessions bounces sessions_converted excluded_bots excluded_staff
orders_placed orders_placed_here orders_placed_paid orders_cancelled gmv
orders_paid buyers_paid buyers_paid_here units_paid paid_amount items_amount cost_amount
covered_items_amount first_orders first_orders_amount returning_orders returning_orders_365d
returning_orders_30d returning_amount refund_amount_order_day refund_items_amount_order_day
orders_returned_order_day payments_tried payments_succeeded refund_amount refund_items_amount refunds
disputes returns_requested orders_returned orders_shipped orders_shipped_on_time orders_due_to_ship
orders_delivered delivery_seconds freight_amount
cohort_customers cohort_repurchased_30d
conversations first_responses_due first_responses first_response_seconds first_responses_in_time
first_response_times resolved resolution_seconds resolved_in_time complaints complaints_resolved
complaints_in_time ratings rating_sum ratings_good askers askers_who_paid
impressions clicks ad_spend platform_fees entered_costs count_lines count_lines_exact
orders_reviewed orders_reviewed_on_time orders_delivered_wrong
"""
NUMBERS: Final[Mapping[str, int]] = {name: number for number, name in enumerate(_REGISTERED.split())}
"""Append only: these numbers are in the database."""

ABROAD: Final = "XXX"
"""In the place of a currency: customers whose every order in a cell is in a foreign one."""

_NAMES: Final = {number: name for name, number in NUMBERS.items()}
_CURRENCY_STEP: Final = 1 << 10
_LETTERS: Final = 26
_SAMPLED: Final = frozenset({"first_response_times"})
"""Measures that are whole distributions: a number a value, which holds how often it was met."""
MOST_SAMPLE: Final = 10**7
"""The largest value that a distribution tells from others: 115 days in seconds."""


def number_of(measure: str, currency: str = "") -> int:
    """The number of a measure; one that is money must name its currency, others must not."""
    number = NUMBERS[measure]
    return number + _CURRENCY_STEP * _currency_number(currency) if currency else number


def sample_number(measure: str, value: int) -> int:
    """The number under which a distribution counts this value."""
    return NUMBERS[measure] + _CURRENCY_STEP * (1 + min(max(0, value), MOST_SAMPLE))


def in_currency(counts: Vector, currency: str) -> Vector:
    """Counts that belong to amounts in a foreign currency: as they are, and once more under that currency.

    So an average of amounts in one currency finds how many they are: of a foreign one its own counts, of the store's
    what is left of all.
    """
    slot = _CURRENCY_STEP * _currency_number(currency)
    return {**counts, **{number + slot: value for number, value in counts.items()}}


def is_sample(number: int) -> bool:
    """Whether it is a value of a distribution, which is no measure by itself."""
    return _NAMES[number % _CURRENCY_STEP] in _SAMPLED


def measure_of(number: int) -> tuple[str, str]:
    """(measure, currency or ''); of a distribution (measure, the value)."""
    slot, measure = divmod(number, _CURRENCY_STEP)
    name = _NAMES[measure]
    return name, str(slot - 1) if name in _SAMPLED else _currency_name(slot)


def is_money(measure: str) -> bool:
    return MEASURE[measure].unit is Unit.CENTS


def _currency_number(currency: str) -> int:
    number = 0
    for letter in currency:
        number = number * _LETTERS + ord(letter) - ord("A")
    return number + 1


def _currency_name(number: int) -> str:
    if number == 0:
        return ""
    letters = []
    number -= 1
    for _ in range(3):
        number, letter = divmod(number, _LETTERS)
        letters.append(chr(ord("A") + letter))
    return "".join(reversed(letters))


class Cell(NamedTuple):
    """One bucket of one store through some dimensions. `bucket` is the second at which it starts."""

    store: str
    grain: str
    by: str
    bucket: int
    value: str


class Place(NamedTuple):
    """Where an entity's contribution belongs before it is expanded."""

    store: str
    grain: str
    bucket: int
    profile: tuple[str | None, ...]


Contribution = dict[Place, Vector]

EXPANSIONS: Final[Mapping[str, tuple[tuple[str, tuple[int, ...]], ...]]] = {
    # profile ("total",)
    "total": (("", ()),),
    # profile ("visit", channel, source, campaign, device)
    "visit": (
        ("", ()),
        ("channel", (1,)),
        ("source", (2,)),
        ("campaign", (3,)),
        ("device", (4,)),
        ("channel,source", (1, 2)),
        ("campaign,channel", (3, 1)),
        ("channel,device", (1, 4)),
    ),
    # profile ("order", channel, source, campaign, origin, customer_kind, customer_tier)
    "order": (
        ("", ()),
        ("channel", (1,)),
        ("source", (2,)),
        ("campaign", (3,)),
        ("origin", (4,)),
        ("customer_kind", (5,)),
        ("customer_tier", (6,)),
        ("channel,source", (1, 2)),
        ("campaign,channel", (3, 1)),
        ("channel,origin", (1, 4)),
        ("channel,customer_kind", (1, 5)),
    ),
    # profile ("sku", channel, sku)
    "sku": (("sku", (2,)), ("channel,sku", (1, 2))),
    # profile ("category", category)
    "category": (("category", (1,)),),
    # profile ("service", class, agent, customer_tier)
    "service": (
        ("", ()),
        ("class", (1,)),
        ("agent", (2,)),
        ("customer_tier", (3,)),
        ("agent,class", (2, 1)),
    ),
    # profiles ("class", class), ("agent", agent): of distinct askers, who are counted cell by cell
    "class": (("class", (1,)),),
    "agent": (("agent", (1,)),),
    # profile ("complaint", sku)
    "complaint": (("", ()), ("sku", (1,))),
    # profile ("ad", channel, source, campaign, sku, plan)
    "ad": (
        ("", ()),
        ("channel", (1,)),
        ("source", (2,)),
        ("campaign", (3,)),
        ("sku", (4,)),
        ("plan", (5,)),
        ("channel,source", (1, 2)),
        ("campaign,channel", (3, 1)),
        ("channel,sku", (1, 4)),
    ),
    # profile ("cost", campaign, sku)
    "cost": (("", ()), ("campaign", (1,)), ("sku", (2,))),
}
"""Kind of a profile (its first element) -> the cells that it counts in, and which of its elements are their values."""


def expand(profile: tuple[str | None, ...]) -> Iterator[tuple[str, str]]:
    """(by, value) of every cell that a profile counts in; one without a value for a dimension is not in its cells."""
    for by, indices in EXPANSIONS[profile[0] or "total"]:
        values = [profile[index] for index in indices]
        if None not in values:
            yield by, SEPARATOR.join(map(str, values))


def add(into: Contribution, place: Place, vector: Mapping[int, int], sign: int = 1) -> None:
    """Add a vector to one place."""
    cell = into.get(place)
    if cell is None:
        cell = into[place] = {}
    for number, value in vector.items():
        cell[number] = cell.get(number, 0) + sign * value


def add_all(into: Contribution, contribution: Mapping[Place, Vector], sign: int = 1) -> None:
    """Add a whole contribution, or take it away with `sign` -1."""
    for place, vector in contribution.items():
        cell = into.get(place)
        if cell is None:
            into[place] = dict(vector) if sign == 1 else {number: sign * value for number, value in vector.items()}
        else:
            for number, value in vector.items():
                cell[number] = cell.get(number, 0) + sign * value


def difference(new: Mapping[Place, Vector], old: Mapping[Place, Vector]) -> Contribution:
    """new - old, without zeros."""
    changed: Contribution = {}
    add_all(changed, new)
    add_all(changed, old, -1)
    return {place: kept for place, vector in changed.items() if (kept := _without_zeros(vector))}


def _without_zeros(vector: Vector) -> Vector:
    return vector if 0 not in vector.values() else {number: value for number, value in vector.items() if value}


Cells = dict[Cell, Vector]


def cells_of(places: Mapping[Place, Vector], buckets: "BucketsOf") -> Cells:
    """Expand contributions into cells, those of every grain rolled up; zeros are left out."""
    cells: Cells = {}
    views: dict[tuple[str | None, ...], list[tuple[str, str]]] = {}
    for (store, grain, bucket, profile), vector in roll_up(places, buckets).items():
        if not vector:
            continue
        expanded = views.get(profile)
        if expanded is None:
            expanded = views[profile] = list(expand(profile))
        for by, value in expanded:
            _merge(cells, Cell(store, grain, by, bucket, value), vector)
    return {cell: kept for cell, vector in cells.items() if (kept := _without_zeros(vector))}


def roll_up(places: Mapping[Place, Vector], buckets: "BucketsOf") -> Contribution:
    """Contributions of every grain as those of their hour, day, week and month."""
    rolled: Contribution = {}
    for place, vector in places.items():
        if place.grain not in (EVERY_GRAIN, FROM_DAY):
            _merge(rolled, place, vector)
            continue
        for grain, bucket in buckets.over(place):
            _merge(rolled, Place(place.store, grain, bucket, place.profile), vector)
    return rolled


K = TypeVar("K")


def _merge(into: dict[K, Vector], key: K, vector: Mapping[int, int]) -> None:
    known = into.get(key)
    if known is None:
        into[key] = dict(vector)
        return
    for number, value in vector.items():
        known[number] = known.get(number, 0) + value


class Spans(Protocol):
    """What is needed of a calendar here."""

    def second(self, grain: str, us: int) -> int: ...


class BucketsOf:
    """(grain, start) of the buckets that a contribution counts in; remembers the roll-up of hours."""

    def __init__(self, calendars: Mapping[str, Spans]) -> None:
        self._calendars = calendars
        self._rolled: dict[tuple[str, int], tuple[tuple[str, int], ...]] = {}

    def over(self, place: Place) -> tuple[tuple[str, int], ...]:
        if place.grain not in (EVERY_GRAIN, FROM_DAY):
            return ((place.grain, place.bucket),)
        key = (place.store, place.bucket)
        longer = self._rolled.get(key)
        if longer is None:
            second, us = self._calendars[place.store].second, place.bucket * 1_000_000
            longer = self._rolled[key] = tuple((grain, second(grain, us)) for grain in ("day", "week", "month"))
        return longer if place.grain == FROM_DAY else (("hour", place.bucket), *longer)


def named_values(vector: Mapping[int, int], wanted: Iterable[str] | None = None) -> dict[tuple[str, str], int]:
    """(measure, currency) -> value of a vector, of the wanted measures only."""
    names = None if wanted is None else set(wanted)
    named = {measure_of(number): value for number, value in vector.items()}
    return {key: value for key, value in named.items() if names is None or key[0] in names}
