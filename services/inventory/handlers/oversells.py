"""What is done for customers whose orders are short (INV-5)."""

from dataclasses import asdict, dataclass
from typing import Any

from libs.events.transaction import Transaction
from libs.service.audit import audit
from libs.service.errors import NotFound
from services.inventory.store import oversells


@dataclass(frozen=True, slots=True)
class Compensation:
    """One thing done for the customer of one order and SKU; `by` is who recorded it."""

    compensation_id: str
    order_id: str
    sku: str
    remedy: str
    amount_cents: int | None
    note: str | None
    by: str

    def told(self) -> dict[str, Any]:
        """As callers see it."""
        return asdict(self)


async def compensate(given: Compensation, tx: Transaction) -> None:
    """Keep it. Raises NotFound where the order never wanted that SKU."""
    if not await oversells.has_line(tx.session, tx.store, given.order_id, given.sku):
        raise NotFound("no such order of this SKU")
    await oversells.save_compensation(tx.session, tx.store, tx.now, **given.told())
    await audit(tx, given.by, "oversell.compensate", f"order:{given.order_id}", after=given.told())
