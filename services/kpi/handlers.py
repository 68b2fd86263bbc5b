"""What the kpi service does with events: sort them out, fold them into the entities, write what changed."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast
from zoneinfo import ZoneInfoNotFoundError

from libs.events.codec import Envelope
from libs.events.consumer import Reactions, on_batch
from libs.events.contracts.base import Event
from libs.events.transaction import Transaction
from services.kpi import facts as sorting
from services.kpi.calendar import calendar_of, microseconds
from services.kpi.engine import Shop, Shops, fold
from services.kpi.facts import CATALOG, DOCUMENTS, LEVELS, ORDERS, STORES, TRAFFIC, TRAFFIC_ORIGINS, Facts
from services.kpi.figures import BucketsOf
from services.kpi.held_back import hold_back, release
from services.kpi.leaves import EVENTS as LEAVES
from services.kpi.marks import save_marks
from services.kpi.recording import Recorded, record
from services.kpi.records import Visited
from services.kpi.repeats import save_differing
from services.kpi.rows import PostgresRows, driver, lock_stores


class UnknownStore(ValueError):
    """An event of a store that was never made: its bucket boundaries are not known."""


async def fold_events(envelopes: Sequence[Envelope[Any]], tx: Transaction) -> None:
    """Apply a batch of events to the entities and the figures, each exactly once in effect."""
    facts = sorting.facts_of(envelopes)
    connection = await driver(tx.session)
    await lock_stores(connection, facts.stores)
    shops_before = await load_shops(connection, facts.stores)
    await _start_stores(connection, facts)
    await release(connection, envelopes, facts.stores)
    if facts.quarantined:
        await hold_back(connection, facts.quarantined, tx.now)
    await save_marks(connection, facts.marks)
    shops = await _save_documents(connection, facts, shops_before)
    outcome = await fold(facts.batch, PostgresRows(connection), shops, shops_before)
    buckets = BucketsOf({store: shop.calendar for store, shop in shops.items()})
    await save_differing(connection, {(store, "traffic"): n for store, n in outcome.differing.items()})
    await record(connection, Recorded(outcome.cells, outcome.changes, facts.batch.imports), buckets, tx.now)


async def load_shops(connection: Any, stores: Iterable[str]) -> dict[str, Shop]:
    """Calendars, and which origins have their traffic here. Raises UnknownStore."""
    wanted = sorted(set(stores))
    rows = await connection.fetch("SELECT store, timezone, currency FROM access.stores WHERE store = ANY($1)", wanted)
    zones = {store: (zone, currency) for store, zone, currency in rows}
    bodies: dict[str, list[dict[str, Any]]] = {}
    for store, body in await connection.fetch(_POLICY_VERSIONS, wanted, TRAFFIC_ORIGINS):
        bodies.setdefault(store, []).append(json.loads(body) if isinstance(body, str) else body)
    shops = {}
    for store in wanted:
        if store not in zones:
            raise UnknownStore(f"there is no store {store}")
        try:
            calendar = calendar_of(zones[store][0])
        except ZoneInfoNotFoundError as error:
            raise UnknownStore(f"store {store} has the unknown zone {zones[store][0]}") from error
        shops[store] = Shop(calendar, sorting.traffic_origins(bodies.get(store, ())), zones[store][1])
    return shops


async def _start_stores(connection: Any, facts: Facts) -> None:
    rows = sorted(facts.accepted.items())
    await connection.execute(_START_STORES, [store for store, _ in rows], [microseconds(at) for _, at in rows])


async def _save_documents(connection: Any, facts: Facts, shops: Shops) -> Shops:
    """Keep every version; where a policy says whose traffic is here, orders since then count anew."""
    if not facts.documents:
        return shops
    rows = [(d.store, d.kind, d.id, d.us, d.recorded_us, d.event_id, json.dumps(d.body)) for d in facts.documents]
    await connection.execute(_SAVE_DOCUMENTS, *(list(column) for column in zip(*rows, strict=True)))
    changed = [document for document in facts.documents if document.kind == TRAFFIC_ORIGINS]
    if not changed:
        return shops
    sorting.note_origins(facts, changed)
    return {**shops, **await load_shops(connection, {document.store for document in changed})}


_POLICY_VERSIONS = """
SELECT store, body FROM kpi.document WHERE store = ANY($1) AND kind = $2 ORDER BY store, us, recorded_us, event_id
"""
_START_STORES = """
INSERT INTO kpi.store_start (store, us) SELECT * FROM unnest($1::text[], $2::bigint[]) ON CONFLICT DO NOTHING
"""
_SAVE_DOCUMENTS = """
INSERT INTO kpi.document (store, kind, id, us, recorded_us, event_id, body)
SELECT store, kind, id, us, recorded_us, event_id, body::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[])
 AS k (store, kind, id, us, recorded_us, event_id, body)
ON CONFLICT DO NOTHING
"""

_SHORT = cast(type[Event], Visited)
"""Traffic as `records.read_record` reads it."""

REACTIONS = Reactions(
    on_batch((*TRAFFIC, _SHORT, *ORDERS, *CATALOG, *DOCUMENTS, *LEAVES, *LEVELS, *STORES), fold_events)
)
