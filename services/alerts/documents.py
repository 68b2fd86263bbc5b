"""What a store sets: saved with its history, told as `policy.changed.v1`, and loaded as it was valid at a time (D10).

Kinds: `rule` (key: the rule's id), `sla_policy`, `calendar`, `person`, `rota`, `silence`, and the policies of D43 (kind
and key are the same).
"""

from collections.abc import Collection
from datetime import datetime

from libs.events.contracts import PolicyChanged
from libs.events.ids import uuid7
from libs.events.transaction import Transaction
from libs.service.audit import audit
from services.alerts.domain.documents import Document, Scope, Setting, changes_nothing, policy_id, scope_key
from services.alerts.store import documents as kept

__all__ = ["Document", "Setting", "history", "latest", "list_valid", "load", "save", "versions"]


async def save(setting: Setting, *, of: str, by: str, tx: Transaction) -> Document:
    """Write the next version and tell it; saying the same again writes and tells nothing."""
    scope = scope_key(setting.scope)
    await kept.lock_document(of, setting.kind, setting.key, scope, tx)
    last = await kept.load_latest(of, setting.kind, setting.key, scope, tx)
    since = setting.valid_from or tx.now
    before = await kept.load_valid(of, setting.kind, setting.key, scope, since, tx)
    if last is not None and changes_nothing(setting, last, before):
        return last
    document = Document(
        store=of,
        kind=setting.kind,
        key=setting.key,
        scope=scope,
        version=last.version + 1 if last else 1,
        valid_from=since,
        value=setting.value,
        decided_at=tx.now,
        recorded_at=tx.now,
        event_id=uuid7(tx.now),
        by=by,
    )
    await kept.add_document(document, tx)
    await _tell(setting, document, before, tx)
    return document


async def _tell(setting: Setting, document: Document, before: Document | None, tx: Transaction) -> None:
    after = setting.told if setting.told is not None else setting.value
    was = before.value if before and setting.told is None else None
    name = policy_id(setting.kind, setting.key, setting.scope)
    tx.emit(
        PolicyChanged(
            policy_id=name,
            kind=setting.kind,
            scope=dict(setting.scope) or None,
            before=dict(was) if was is not None else None,
            after=dict(after) if after is not None else None,
            by=document.by,
            valid_from=document.valid_from,
        ),
        store=document.store,
        event_id=document.event_id,
    )
    await audit(tx, document.by, f"{setting.kind}.set", name, was, after)


async def load(
    of: str, kind: str, key: str, tx: Transaction, *, at: datetime | None = None, scope: Scope | None = None
) -> Document | None:
    """What is valid at a time (default: now) for exactly this scope; None where nothing is, or it was taken back."""
    document = await kept.load_valid(of, kind, key, scope_key(scope or {}), at or tx.now, tx)
    return document if document and document.value is not None else None


async def latest(of: str, kind: str, key: str, tx: Transaction, *, scope: Scope | None = None) -> Document | None:
    """The version that was written last, valid or not yet, taken back or not: the one that an ETag names."""
    return await kept.load_latest(of, kind, key, scope_key(scope or {}), tx)


async def list_valid(
    of: str,
    kinds: str | Collection[str],
    tx: Transaction,
    *,
    at: datetime | None = None,
    keys: Collection[str] | None = None,
) -> list[Document]:
    """What is valid at a time (default: now) of these kinds, for all keys (or these) and scopes, by key and scope."""
    wanted = [kinds] if isinstance(kinds, str) else kinds
    found = await kept.list_valid(of, wanted, at or tx.now, tx, keys=keys)
    return [document for document in found if document.value is not None]


async def history(of: str, kind: str, key: str, tx: Transaction) -> list[Document]:
    """Every version of every scope, in the order of writing."""
    return await kept.list_history(of, kind, key, tx)


async def versions(of: str, kind: str, tx: Transaction) -> list[Document]:
    """Every version of a kind, for those who judge the past by what was valid then; what holds comes last."""
    return await kept.list_versions(of, kind, tx)
