"""What a store has set of the rules: for all of it, or for a category, a channel, a campaign or a SKU."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from libs.events.transaction import Transaction
from libs.service.stores import StoreInfo, load_stores
from services.alerts import documents
from services.alerts.documents import Document
from services.alerts.domain.policies import POLICY
from services.alerts.rules import SCOPES, About, Numbers, Rule

POLICY_NUMBERS: Final[Mapping[str, tuple[str, str]]] = {
    "count_missing": ("hour", "count_deadline"),
    "report_late": ("hour", "report_deadline"),
    "review_overdue": ("minutes", "review_limit"),
    "slow_mover": ("days", "slow_mover_days"),
    "lock_incomplete": ("lead_days", "lock_lead"),
}
"""Rule -> its number that a policy of the store gives, unless the rule itself was set (D43)."""
SCRATCH: Final = "~"
"""Begins what is added to a store's id where its history is told once more, to nobody."""
KINDS: Final = ("rule", *sorted({kind for _, kind in POLICY_NUMBERS.values()}))


@dataclass(frozen=True, slots=True)
class Terms:
    """The numbers by which a rule judges one thing."""

    numbers: Numbers
    words: tuple[str, ...] = ()


class Rulebook:
    """The rules of the stores that one transaction is about, each store's read once."""

    def __init__(self, tx: Transaction, at: datetime | None = None) -> None:
        """`at`: whose time's settings hold (default: now)."""
        self._tx = tx
        self._at = at
        self._documents: dict[str, list[Document]] = {}
        self._stores: dict[str, StoreInfo | None] = {}

    async def terms(self, rule: Rule, of: str, about: About, *, category: str | None = None) -> Terms | None:
        """By what a rule judges this; None where the store has switched it off for it."""
        kept = await self._kept(of)
        return terms_of(rule, kept, {**about, "category": category} if category else about)

    async def has_parts(self, rule: Rule, of: str) -> bool:
        """Whether the store has set the rule for some part of it."""
        return any(d.kind == "rule" and d.key == rule.id and d.scope for d in await self._kept(of))

    async def zone(self, of: str) -> ZoneInfo:
        """The store's time zone; UTC where the store is not known."""
        info = await self._store(of)
        return info.zone if info else ZoneInfo("UTC")

    async def _store(self, of: str) -> StoreInfo | None:
        if of not in self._stores:
            real = of.partition(SCRATCH)[0]
            self._stores[of] = next(iter(await load_stores(self._tx.session, real)), None)
        return self._stores[of]

    async def _kept(self, of: str) -> list[Document]:
        if of not in self._documents:
            self._documents[of] = await documents.list_valid(of, KINDS, self._tx, at=self._at)
        return self._documents[of]


def terms_of(rule: Rule, kept: list[Document], about: About) -> Terms | None:
    """What holds for one thing: the catalogue, the policy, the store, then ever smaller parts of it."""
    numbers: dict[str, Any] = {**rule.parameters, **_of_policy(rule, kept)}
    words = tuple(getattr(rule, "words", ()))
    enabled = True
    scopes = ["", *(f"{name}={about[name]}" for name in SCOPES if name in about)]
    for setting in sorted((d for d in kept if d.kind == "rule" and d.key == rule.id and d.scope in scopes), key=_order):
        value = setting.value or {}
        enabled = bool(value.get("enabled", True))
        numbers.update(value.get("parameters", {}))
        words = tuple(value.get("words") or words)
    return Terms(numbers, words) if enabled else None


def _order(document: Document) -> int:
    """The whole store first, then its parts, the most particular last."""
    return SCOPES.index(document.scope.partition("=")[0]) if document.scope else -1


def _of_policy(rule: Rule, kept: list[Document]) -> dict[str, float]:
    name, kind = POLICY_NUMBERS.get(rule.id, ("", ""))
    if not kind:
        return {}
    policy = next((d for d in kept if d.kind == kind and d.scope == "" and d.value), None)
    value = policy.value["value"] if policy and policy.value else POLICY[kind].default
    return {name: _hour(value) if isinstance(value, str) else value}


def _hour(clock: str) -> float:
    hours, _, minutes = clock.partition(":")
    return int(hours) + int(minutes) / 60
