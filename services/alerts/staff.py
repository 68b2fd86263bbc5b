"""The people and rotas of a store as they are kept (STF-1)."""

from datetime import datetime
from zoneinfo import ZoneInfo

from libs.events.transaction import Transaction
from libs.service.stores import load_stores
from services.alerts import documents
from services.alerts.domain.people import Person, Rota, Staff, person_of, rota_of

PERSON, ROTA = "person", "rota"


async def load(of: str, tx: Transaction, *, at: datetime | None = None) -> Staff:
    """Everybody who works for the store, and when they are on duty."""
    found = await documents.list_valid(of, (PERSON, ROTA), tx, at=at)
    values = [(document.kind, document.key, document.value or {}) for document in found]
    people: list[Person] = [
        person_of(key, value) for kind, key, value in values if kind == PERSON and of in value.get("stores", (of,))
    ]
    rotas: list[Rota] = [rota_of(key, value) for kind, key, value in values if kind == ROTA]
    info = next(iter(await load_stores(tx.session, of)), None)
    return Staff({person.id: person for person in people}, rotas, info.zone if info else ZoneInfo("UTC"))
