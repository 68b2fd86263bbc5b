"""What a store sets, with its history: rules, policies, people, rotas, calendars, silences. Pure."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Value = Mapping[str, Any]
Scope = Mapping[str, str]

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Setting:
    """What somebody sets: `value` None takes it back. `valid_from` None: from now on.

    `told` is what the event and the audit log say instead of the value, where that holds personal data.
    """

    kind: str
    key: str
    value: Value | None
    scope: Scope = field(default_factory=dict)
    valid_from: datetime | None = None
    told: Value | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One version of a setting. The greatest (valid_from, decided_at, recorded_at, event_id) that is valid holds."""

    store: str
    kind: str
    key: str
    scope: str
    version: int
    valid_from: datetime
    value: Value | None
    decided_at: datetime
    recorded_at: datetime
    event_id: str
    by: str

    @property
    def scope_values(self) -> dict[str, str]:
        """The scope as it was given."""
        return dict(part.split("=", 1) for part in self.scope.split("\n") if part)


def scope_key(scope: Scope) -> str:
    """Such as `category=dress`; '' for the whole store."""
    return "\n".join(f"{name}={scope[name]}" for name in sorted(scope))


def policy_id(kind: str, key: str, scope: Scope) -> str:
    """The id under which a setting travels: one a kind, key and scope, so that the last word of each is kept."""
    parts = [kind] if key == kind else [kind, key]
    whole = ":".join([*parts, *(f"{name}:{scope[name]}" for name in sorted(scope))])
    if _ID.fullmatch(whole):
        return whole
    return f"{kind}:{hashlib.sha256(whole.encode()).hexdigest()[:32]}"


def changes_nothing(setting: Setting, latest: Document | None, holds: Document | None) -> bool:
    """Whether the setting says again what was said last; `holds` is what is valid where the setting begins."""
    if latest is None:
        return setting.value is None
    if latest.value != setting.value:
        return False
    if setting.valid_from is None:
        return holds is not None and holds.version == latest.version
    return latest.valid_from == setting.valid_from
