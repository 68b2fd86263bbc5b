"""Stores: made and changed here, told to everybody (D4)."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from libs.events.contracts import StoreChanged
from libs.events.transaction import Transaction
from libs.service.errors import Conflict, Validation, fault
from services.orders import store as db
from services.orders.store import StoreSettings


async def put_store(settings: StoreSettings, tx: Transaction) -> bool:
    """Make or change the transaction's store; whether it is new. Told only when something changed.

    Raises Validation for a zone that does not exist, Conflict when zone or currency would change after the first event.
    """
    _require_zone(settings.timezone)
    known = await db.load_store_settings(tx.session, tx.store)
    if known == settings:
        return False
    if known is not None and await _is_fixed(known, settings, tx):
        raise Conflict("zone and currency are fixed: the store has events")
    await db.save_store_settings(tx.session, tx.store, settings, tx.now)
    tx.emit(
        StoreChanged(
            store=tx.store,
            name=settings.name,
            timezone=settings.timezone,
            currency=settings.currency,
            language=settings.language,
        )
    )
    return known is None


async def _is_fixed(known: StoreSettings, wanted: StoreSettings, tx: Transaction) -> bool:
    is_other = (known.timezone, known.currency) != (wanted.timezone, wanted.currency)
    return is_other and await db.has_events(tx.session, tx.store)


def _require_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = "not an IANA time zone"
        raise Validation(message, errors=[fault("/timezone", "timezone", message)]) from error
