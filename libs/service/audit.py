"""Who changed what: one append-only row a change, with masked values, in the transaction of the change."""

import json
from typing import Any

from sqlalchemy import text

from libs.events.transaction import Transaction
from libs.service import wire
from libs.service.privacy import redact


async def audit(tx: Transaction, actor: str, action: str, about: str, before: Any = None, after: Any = None) -> None:
    """Record that `actor` (`key:ID`, `person:ID`, `rule:ID`) did `action` to `about` (`order:o-1`).

    Secrets and personal data in `before` and `after` are masked before they are written.
    """
    await tx.session.execute(
        text(
            "INSERT INTO access.audit (at, store, service, actor, action, object, before, after) VALUES"
            " (:at, :store, :service, :actor, :action, :about, CAST(:before AS jsonb), CAST(:after AS jsonb))"
        ),
        {
            "at": tx.now,
            "store": tx.store,
            "service": tx.service,
            "actor": actor,
            "action": action,
            "about": about,
            "before": _masked(before),
            "after": _masked(after),
        },
    )


def _masked(value: Any) -> str | None:
    if value is None:
        return None
    return json.dumps(redact(json.loads(wire.encode(value))), ensure_ascii=False)
