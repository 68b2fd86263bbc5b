"""A visitor: what he did on each of his days, his sessions, and the channel that brought him.

One row a visitor and day. Weeks and months are counted from the days themselves, so a unique visitor of a week is one
however many days he came (KPI-1, rule 3), and an earlier first touch moves all he did to another channel (D29).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from services.kpi.calendar import Calendar, Slot, span_days
from services.kpi.figures import EVERY_GRAIN, FROM_DAY, NUMBERS, Contribution, Place, Vector, add

IDLE_US: Final = 30 * 60 * 1_000_000
"""A gap of this length starts a new session (D28)."""

MACHINE: Final = 10_000
"""A visitor with more events than this in a day is a bot (D1); none of them counts."""

VIEW, CART, FAVORITE, CHECKOUT, PRODUCT = 1, 2, 4, 8, 16
BOT, STAFF = 1, 2
IDENTITY_BYTES: Final = 6
"""Of the 8 bytes of an event's key those that stand for its identity; the others stand for its content (D1)."""

Profile = tuple[str | None, str | None, str | None, str | None]
"""Channel, source, campaign, device."""

CategoryOf = Callable[[str, int], str | None]
"""Category of a SKU at an instant."""

_PV, _UV = NUMBERS["pv"], NUMBERS["uv"]
_CART_ADDS, _CART_VISITORS = NUMBERS["cart_adds"], NUMBERS["cart_visitors"]
_FAVORITES, _FAVORITE_VISITORS = NUMBERS["favorites"], NUMBERS["favorite_visitors"]
_EITHER_VISITORS, _CHECKOUT_VISITORS = NUMBERS["fav_or_cart_visitors"], NUMBERS["checkout_visitors"]
_PRODUCT_VISITORS = NUMBERS["product_visitors"]
_SESSIONS, _BOUNCES, _CONVERTED = NUMBERS["sessions"], NUMBERS["bounces"], NUMBERS["sessions_converted"]
_BOTS, _STAFF = NUMBERS["excluded_bots"], NUMBERS["excluded_staff"]


class Visit(NamedTuple):
    """One traffic event, as far as figures need it. `key` is 8 bytes: identity, then content."""

    us: int
    id: str
    key: bytes
    flags: int
    skus: tuple[str, ...]
    profile: Profile
    excluded: int = 0


class Hour(msgspec.Struct, array_like=True, gc=False):
    """One hour of a day with an accepted event in it; its first event decides the channel of windows."""

    hour: int
    views: int
    carts: int
    favorites: int
    flags: int
    first_us: int
    first_id: str
    profile: Profile


class Session(msgspec.Struct, array_like=True, gc=False):
    """Events less than 30 minutes apart, within one day; `id` and `profile` are those of the first, the touch."""

    start_us: int
    end_us: int
    views: int
    id: str
    profile: Profile


class SkuHour(msgspec.Struct, array_like=True, gc=False):
    """What happened to one SKU in one hour of a day."""

    sku: str
    hour: int
    views: int
    carts: int
    favorites: int
    flags: int


class Day(msgspec.Struct, array_like=True):
    """The state of one visitor's day."""

    hours: list[Hour] = []
    sessions: list[Session] = []
    skus: list[SkuHour] = []
    excluded: list[tuple[int, int, int]] = []
    """(hour, events of bots, events of staff) that were left out"""
    events: int = 0
    """all of them, whoever sent them"""


Days = Mapping[int, Day]
"""Day (proleptic ordinal) -> state, of one visitor."""


# merge


def merge(old: Day | None, visits: Sequence[tuple[int, Visit]]) -> Day:
    """The day with these events (hour of the day, event) added; each must be new to it."""
    accepted = [item for item in visits if not item[1].excluded]
    base = old or Day()
    return Day(
        hours=_merge_hours(base.hours, accepted),
        sessions=_merge_sessions(base.sessions, accepted),
        skus=_merge_skus(base.skus, accepted),
        excluded=_merge_excluded(base.excluded, visits) if len(accepted) < len(visits) else base.excluded,
        events=base.events + len(visits),
    )


def counted(day: Day) -> Day:
    """The day as it counts: of a machine nothing but that its events were left out, in the day's first hour it came."""
    if day.events <= MACHINE:
        return day
    left_out = sum(bots + staff for _, bots, staff in day.excluded)
    hours = [hour.hour for hour in day.hours] or [hour for hour, _, _ in day.excluded]
    excluded = {hour: (bots, staff) for hour, bots, staff in day.excluded}
    bots, staff = excluded.get(min(hours), (0, 0))
    excluded[min(hours)] = (bots + day.events - left_out, staff)
    return Day(excluded=[(hour, *excluded[hour]) for hour in sorted(excluded)], events=day.events)


def _merge_hours(old: Sequence[Hour], visits: Sequence[tuple[int, Visit]]) -> list[Hour]:
    hours = {hour.hour: _copy_of_hour(hour) for hour in old}
    for number, (us, event_id, _, flags, _, profile, _) in visits:
        hour = hours.get(number)
        if hour is None:
            hours[number] = Hour(
                number, flags & VIEW, (flags & CART) >> 1, (flags & FAVORITE) >> 2, flags, us, event_id, profile
            )
            continue
        hour.views += flags & VIEW
        hour.carts += (flags & CART) >> 1
        hour.favorites += (flags & FAVORITE) >> 2
        hour.flags |= flags
        if us <= hour.first_us and (us, event_id) < (hour.first_us, hour.first_id):
            hour.first_us, hour.first_id, hour.profile = us, event_id, profile
    return [hours[number] for number in sorted(hours)]


def _copy_of_hour(hour: Hour) -> Hour:
    return Hour(
        hour.hour, hour.views, hour.carts, hour.favorites, hour.flags, hour.first_us, hour.first_id, hour.profile
    )


def _merge_sessions(old: Sequence[Session], visits: Sequence[tuple[int, Visit]]) -> list[Session]:
    return list(unite(sorted([*old, *_runs(sorted(visit for _, visit in visits))], key=_start)))


def _runs(visits: Sequence[Visit]) -> list[Session]:
    """Events in the order of time, those less than 30 minutes apart as one session."""
    runs: list[Session] = []
    current: Session | None = None
    for us, event_id, _, flags, _, profile, _ in visits:
        if current is not None and us - current.end_us < IDLE_US:
            current.end_us = us
            current.views += flags & VIEW
        else:
            current = Session(us, us, flags & VIEW, event_id, profile)
            runs.append(current)
    return runs


def _start(session: Session) -> tuple[int, str]:
    return session.start_us, session.id


def unite(sessions: Iterable[Session]) -> Iterator[Session]:
    """Sessions in order of their starts, those less than 30 idle minutes apart made one."""
    current: Session | None = None
    for session in sessions:
        if current is None:
            current = session
        elif session.start_us - current.end_us < IDLE_US:
            current = Session(
                current.start_us,
                max(current.end_us, session.end_us),
                current.views + session.views,
                current.id,
                current.profile,
            )
        else:
            yield current
            current = session
    if current is not None:
        yield current


def _merge_skus(old: Sequence[SkuHour], visits: Sequence[tuple[int, Visit]]) -> list[SkuHour]:
    for _, visit in visits:
        if visit.skus:
            break
    else:
        return list(old)
    skus = {
        (sku.sku, sku.hour): SkuHour(sku.sku, sku.hour, sku.views, sku.carts, sku.favorites, sku.flags) for sku in old
    }
    for number, visit in visits:
        for name in visit.skus:
            sku = skus.get((name, number))
            if sku is None:
                sku = skus[name, number] = SkuHour(name, number, 0, 0, 0, 0)
            flags = visit.flags
            sku.views += flags & VIEW
            sku.carts += (flags & CART) >> 1
            sku.favorites += (flags & FAVORITE) >> 2
            sku.flags |= flags
    return [skus[key] for key in sorted(skus)]


def _merge_excluded(
    old: Sequence[tuple[int, int, int]], visits: Sequence[tuple[int, Visit]]
) -> list[tuple[int, int, int]]:
    counts = {hour: (bots, staff) for hour, bots, staff in old}
    for hour, visit in visits:
        if visit.excluded:
            bots, staff = counts.get(hour, (0, 0))
            counts[hour] = (bots + 1, staff) if visit.excluded == BOT else (bots, staff + 1)
    return [(hour, *counts[hour]) for hour in sorted(counts)]


# contribution


class Span(NamedTuple):
    """A day, week or month: its first day, the day after its last, and the second at which it starts."""

    grain: str
    first: int
    after: int
    second: int


class Scope(NamedTuple):
    """What may change when something happens on these days: the days themselves, their weeks and months."""

    days: tuple[int, ...]
    spans: tuple[Span, ...]

    @property
    def first(self) -> int:
        return min(span.first for span in self.spans)

    @property
    def after(self) -> int:
        return max(span.after for span in self.spans)


@lru_cache(maxsize=4096)
def scope_of(calendar: Calendar, days: tuple[int, ...]) -> Scope:
    """The scope of (sorted) days."""
    spans = {
        Span(grain, first, after, calendar.day_start(first))
        for day in days
        for grain in ("day", "week", "month")
        for first, after in (span_days(grain, day),)
    }
    return Scope(days, tuple(sorted(spans)))


def contribution(
    store: str, days: Days, orders: Sequence[int], scope: Scope, calendar: Calendar, category_of: CategoryOf
) -> Contribution:
    """What this visitor adds to the figures of the scope.

    `days` holds all his days that meet the scope and those that a session of the scope runs into; `orders` the instants
    at which he placed orders that count for conversion (D30).
    """
    made: Contribution = {}
    if not days:
        return made
    for one in days.values():
        if one.events > MACHINE:
            days = {number: counted(state) for number, state in days.items()}
            break
    if len(days) == 1 and scope.days == tuple(days):
        _count_only_day(made, store, days, orders, calendar, category_of)
        return made
    ordered = sorted(days)
    started = _started(days, orders, calendar)
    for day in scope.days:
        if (state := days.get(day)) is not None:
            _count_hours(made, store, state, calendar.hours(day), started.get(day, {}))
    parts: dict[tuple[int, ...], list[tuple[tuple[str | None, ...], Vector]]] = {}
    for span in scope.spans:
        within = tuple([day for day in ordered if span.first <= day < span.after])
        part = parts.get(within)
        if part is None:
            part = parts[within] = _part(within, days, started, calendar, category_of)
        for profile, vector in part:
            made[Place(store, span.grain, span.second, profile)] = vector
    return made


def _part(
    within: Sequence[int],
    days: Days,
    started: Mapping[int, Mapping[int, Vector]],
    calendar: Calendar,
    category_of: CategoryOf,
) -> list[tuple[tuple[str | None, ...], Vector]]:
    """(profile, vector) of all that these days add to a day, week or month; a week and a month may share it."""
    touch = first_touch(days[day] for day in within)
    if touch is None:
        return []
    vector = _sum_of_hours(hour for day in within for hour in days[day].hours)
    for day in within:
        for sessions in started.get(day, {}).values():
            for number, value in sessions.items():
                vector[number] = vector.get(number, 0) + value
    part = [(visit_profile(touch), vector)]
    named = _by(within, days, lambda _, sku: sku.sku)
    if named:
        channel = touch[0] or "direct"
        part += [(("sku", channel, name), _goods_vector(*sums)) for name, sums in named.items()]
        categories = _by(within, days, lambda day, sku: category_of(sku.sku, _hour_end(calendar, day, sku.hour)))
        part += [(("category", name), _goods_vector(*sums)) for name, sums in categories.items()]
    return part


def _goods_vector(views: int, carts: int, favorites: int, flags: int) -> Vector:
    return visit_vector(views, carts, favorites, flags & ~CHECKOUT)


def _started(days: Days, orders: Sequence[int], calendar: Calendar) -> dict[int, dict[int, Vector]]:
    """day -> hour -> the sessions that began in it."""
    started: dict[int, dict[int, Vector]] = {}
    for session in sessions_of(days):
        day, hour = calendar.slot(session.start_us)
        hours = started.setdefault(day, {})
        vector = _session_vector(session, orders)
        known = hours.get(hour)
        if known is None:
            hours[hour] = vector
        else:
            for number, value in vector.items():
                known[number] = known.get(number, 0) + value
    return started


def _count_only_day(
    made: Contribution, store: str, days: Days, orders: Sequence[int], calendar: Calendar, category_of: CategoryOf
) -> None:
    """The short way for who came on one day alone, as most do: its day, week and month count the same."""
    number, day = next(iter(days.items()))
    starts = calendar.hours(number)
    _count_hours(made, store, day, starts, {})
    if not day.hours:
        return
    profile = visit_profile(day.hours[0].profile)
    vector = _sum_of_hours(day.hours)
    for session in day.sessions:
        hour = made[Place(store, "hour", starts[calendar.slot(session.start_us)[1]], profile)]
        for measure, value in _session_vector(session, orders).items():
            hour[measure] = hour.get(measure, 0) + value
            vector[measure] = vector.get(measure, 0) + value
    start = calendar.day_start(number)
    made[Place(store, FROM_DAY, start, profile)] = vector
    if day.skus:
        _count_skus_of_day(made, Place(store, FROM_DAY, start, profile), number, days, calendar, category_of)


def _count_skus_of_day(
    made: Contribution, place: Place, number: int, days: Days, calendar: Calendar, category_of: CategoryOf
) -> None:
    store, grain, start, profile = place
    named: dict[str, SkuHour] = {}
    categories: dict[str, tuple[int, int, int, int]] = {}
    for sku in days[number].skus:
        known = named.get(sku.sku)
        named[sku.sku] = sku if known is None else _both(known, sku)
        category = category_of(sku.sku, _hour_end(calendar, number, sku.hour))
        if category is not None:
            views, carts, favorites, flags = categories.get(category, (0, 0, 0, 0))
            sums = (views + sku.views, carts + sku.carts, favorites + sku.favorites, flags | sku.flags)
            categories[category] = sums
    for name, sku in named.items():
        vector = visit_vector(sku.views, sku.carts, sku.favorites, sku.flags & ~CHECKOUT)
        made[Place(store, grain, start, ("sku", profile[1], name))] = vector
    for category, (views, carts, favorites, flags) in categories.items():
        vector = visit_vector(views, carts, favorites, flags & ~CHECKOUT)
        made[Place(store, grain, start, ("category", category))] = vector


def _both(one: SkuHour, other: SkuHour) -> SkuHour:
    return SkuHour(
        one.sku,
        one.hour,
        one.views + other.views,
        one.carts + other.carts,
        one.favorites + other.favorites,
        one.flags | other.flags,
    )


def _sum_of_hours(hours: Iterable[Hour]) -> Vector:
    views = carts = favorites = flags = 0
    for hour in hours:
        views += hour.views
        carts += hour.carts
        favorites += hour.favorites
        flags |= hour.flags
    return visit_vector(views, carts, favorites, flags)


def first_touch(days: Iterable[Day]) -> Profile | None:
    """The profile of the first event on these days, which are in order."""
    for day in days:
        if day.hours:
            return day.hours[0].profile
    return None


def visit_profile(touch: Profile) -> tuple[str | None, ...]:
    """A touch without a channel is a direct one."""
    return ("visit", touch[0] or "direct", touch[1], touch[2], touch[3])


def _count_hours(
    made: Contribution, store: str, day: Day, starts: Sequence[int], started: Mapping[int, Vector]
) -> None:
    for number, bots, staff in day.excluded:
        left_out = {number: count for number, count in ((_BOTS, bots), (_STAFF, staff)) if count}
        add(made, Place(store, EVERY_GRAIN, starts[number], ("total",)), left_out)
    if not day.hours:
        return
    profile = visit_profile(day.hours[0].profile)
    for hour in day.hours:
        vector = visit_vector(hour.views, hour.carts, hour.favorites, hour.flags)
        if (sessions := started.get(hour.hour)) is not None:
            vector |= sessions
        made[Place(store, "hour", starts[hour.hour], profile)] = vector


def visit_vector(views: int, carts: int, favorites: int, flags: int) -> Vector:
    """What one visitor adds to a bucket in which he was seen."""
    vector = {_UV: 1}
    if views:
        vector[_PV] = views
    if carts:
        vector[_CART_ADDS] = carts
        vector[_CART_VISITORS] = vector[_EITHER_VISITORS] = 1
    if favorites:
        vector[_FAVORITES] = favorites
        vector[_FAVORITE_VISITORS] = vector[_EITHER_VISITORS] = 1
    if flags & CHECKOUT:
        vector[_CHECKOUT_VISITORS] = 1
    if flags & PRODUCT:
        vector[_PRODUCT_VISITORS] = 1
    return vector


@lru_cache(maxsize=4096)
def _hour_end(calendar: Calendar, day: int, hour: int) -> int:
    """The last microsecond of the hour: categories of visits are settled by the hour."""
    starts = calendar.hours(day)
    end = starts[hour + 1] if hour + 1 < len(starts) else calendar.day_start(day + 1)
    return end * 1_000_000 - 1


def _by(
    within: Sequence[int], days: Days, key: Callable[[int, SkuHour], str | None]
) -> dict[str, tuple[int, int, int, int]]:
    """Sums of what happened to SKUs, by name or category; those without one are left out."""
    sums: dict[str, tuple[int, int, int, int]] = {}
    for day in within:
        for sku in days[day].skus:
            name = key(day, sku)
            if name is not None:
                views, carts, favorites, flags = sums.get(name, (0, 0, 0, 0))
                sums[name] = (views + sku.views, carts + sku.carts, favorites + sku.favorites, flags | sku.flags)
    return sums


def sessions_of(days: Days) -> list[Session]:
    """The visitor's sessions; one may run over midnight."""
    return list(unite(session for day in sorted(days) for session in counted(days[day]).sessions))


def _session_vector(session: Session, orders: Sequence[int]) -> Vector:
    vector = {_SESSIONS: 1}
    if session.views == 1:
        vector[_BOUNCES] = 1
    for placed in orders:
        if session.start_us <= placed <= session.end_us + IDLE_US:
            vector[_CONVERTED] = 1
            break
    return vector


# what a change reaches


def affected(days: Collection[int], before: Days, after: Days, calendar: Calendar) -> set[int]:
    """The days whose figures may change when something happened on `days`: a session may run over midnight."""
    found, pending = set(days), list(days)
    while pending:
        day = pending.pop()
        for left, right, other in ((day - 1, day, day - 1), (day, day + 1, day + 1)):
            if other not in found and _joined(before, after, left, right, calendar.day_start(right) * 1_000_000):
                found.add(other)
                pending.append(other)
    return found


def _joined(before: Days, after: Days, left: int, right: int, midnight: int) -> bool:
    """Whether a session may run from one day into the next, before or after the change."""
    if left not in after or right not in after:
        return False  # days are never taken away: what is not there after was not there before
    late = _ends_within(before.get(left), midnight) or _ends_within(after[left], midnight)
    return late and (_starts_within(before.get(right), midnight) or _starts_within(after[right], midnight))


def _ends_within(day: Day | None, midnight: int) -> bool:
    return day is not None and bool(day.sessions) and day.sessions[-1].end_us > midnight - IDLE_US


def _starts_within(day: Day | None, midnight: int) -> bool:
    return day is not None and bool(day.sessions) and day.sessions[0].start_us < midnight + IDLE_US


def open_at_start(day: Day | None, start_us: int) -> bool:
    """Whether the day's first session may have begun the day before."""
    return _starts_within(day, start_us)


def open_at_end(day: Day | None, end_us: int) -> bool:
    """Whether the day's last session may go on the day after."""
    return _ends_within(day, end_us)


# alarm windows


def window_contribution(
    days: Days, slots: Mapping[int, Collection[int]], orders: Sequence[int], calendar: Calendar
) -> tuple[Profile, Vector] | None:
    """The first touch inside an alarm window (hours by day) and what he adds to it; None if not seen in it (D38)."""
    hours = [hour for day in sorted(slots) if day in days for hour in days[day].hours if hour.hour in slots[day]]
    if not hours:
        return None
    flags = 0
    for hour in hours:
        flags |= hour.flags
    sums = (sum(h.views for h in hours), sum(h.carts for h in hours), sum(h.favorites for h in hours))
    vector = visit_vector(*sums, flags)
    for session in sessions_of(days):
        slot: Slot = calendar.slot(session.start_us)
        if slot[1] in slots.get(slot[0], ()):
            for number, value in _session_vector(session, orders).items():
                vector[number] = vector.get(number, 0) + value
    return hours[0].profile, vector
