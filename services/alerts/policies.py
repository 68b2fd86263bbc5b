"""What a store's policies say at a time, with the defaults of the operating rules (D43)."""

from datetime import datetime
from typing import Any

from libs.events.transaction import Transaction
from services.alerts import documents
from services.alerts.domain.policies import POLICY


async def value(of: str, kind: str, tx: Transaction, *, at: datetime | None = None) -> Any:
    """The store's value of a policy that is valid at a time (default: now), or its default."""
    document = await documents.load(of, kind, kind, tx, at=at)
    return document.value["value"] if document and document.value else POLICY[kind].default
