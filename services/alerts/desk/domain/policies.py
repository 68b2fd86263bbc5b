"""Policies: limits by class and kind, with their history; several measure one conversation (SRV-1 to SRV-4). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from services.alerts.desk.domain.hours import ALWAYS, ServiceHours

DEFAULT = "default"
"""The policy that every store has; the service figures use it (D37)."""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(9999, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """What a clock waits for."""

    FIRST_RESPONSE = "first_response"
    NEXT_RESPONSE = "next_response"
    SOLUTION = "solution"


class ServiceClass(StrEnum):
    """Whose limit holds. A conversation has one of the first three; COMPLEX comes on top of it (SRV-3)."""

    PRE_SALE = "pre_sale"
    IN_SALE = "in_sale"
    AFTER_SALE = "after_sale"
    COMPLEX = "complex"


Limits = Mapping[tuple[ServiceClass, Kind], timedelta]


@dataclass(frozen=True)
class Policy:
    """One version of a policy."""

    id: str
    limits: Limits
    since: datetime = BEGINNING
    until: datetime = END
    """When the next version took over."""
    calendar: str | None = None
    warn_at: float = 0.8
    reaches_back: bool = False
    """The first version of a policy measures what was before it too: there was none before it."""

    @property
    def begins(self) -> datetime:
        """From when on it measures."""
        return BEGINNING if self.reaches_back else self.since

    def limit(self, topic_class: ServiceClass, is_complex: bool, kind: Kind) -> tuple[ServiceClass, timedelta] | None:
        """The limit of a clock and the class that it comes from. In-sale uses the after-sale limit unless set (D40)."""
        if is_complex and (limit := self.limits.get((ServiceClass.COMPLEX, kind))) is not None:
            return ServiceClass.COMPLEX, limit
        limit = self.limits.get((topic_class, kind))
        if limit is None and topic_class is ServiceClass.IN_SALE:
            limit = self.limits.get((ServiceClass.AFTER_SALE, kind))
        return None if limit is None else (topic_class, limit)


DEFAULT_LIMITS: Limits = {
    (ServiceClass.PRE_SALE, Kind.FIRST_RESPONSE): timedelta(minutes=10),
    (ServiceClass.AFTER_SALE, Kind.FIRST_RESPONSE): timedelta(hours=2),
    (ServiceClass.COMPLEX, Kind.SOLUTION): timedelta(hours=24),
}
BUILT_IN = Policy(DEFAULT, DEFAULT_LIMITS)


@dataclass(frozen=True)
class Rulers:
    """All versions of a store's policies, and its calendars by id."""

    policies: Sequence[Policy] = (BUILT_IN,)
    calendars: Mapping[str, ServiceHours] = field(default_factory=dict)

    def in_life(self, start: datetime, end: datetime) -> Iterator[tuple[Policy, bool]]:
        """The versions that were valid at some time of a clock's life, each with whether it judges.

        Of one policy's versions the one that was valid at the start judges; what later ones say is kept beside it.
        """
        for policy in self.policies:
            judges = policy.begins <= start < policy.until
            if judges or start < policy.begins < end:
                yield policy, judges

    def hours(self, policy: Policy) -> ServiceHours:
        """The service hours of a policy; 7x24 where it names none."""
        return self.calendars.get(policy.calendar, ALWAYS) if policy.calendar is not None else ALWAYS


def history(policy_id: str, versions: Sequence[Policy]) -> tuple[Policy, ...]:
    """The versions of one policy, given in the order of their words, each until the next one holds.

    Of two from one instant on the last word holds. Of `default` the built-in version comes first.
    """
    last = {policy.since: policy for policy in versions}
    ordered = [*([BUILT_IN] if policy_id == DEFAULT else []), *(last[since] for since in sorted(last))]
    bounds = [*(policy.since for policy in ordered[1:]), END]
    return tuple(
        replace(policy, until=until, reaches_back=n == 0)
        for n, (policy, until) in enumerate(zip(ordered, bounds, strict=True))
    )
