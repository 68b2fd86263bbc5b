"""What is held back: events from the future, and dead letters, with their money (D5, D64).

A dead letter that is put back and accepted after all is no longer held back.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

import msgspec

from libs.events.bus import Record
from libs.events.codec import Envelope
from libs.events.contracts import parse_instant
from libs.events.ids import IDENTITY_BYTES, identity_hash
from libs.events.transaction import Transaction
from services.kpi.facts import cents_of
from services.kpi.rows import driver

MONEY: Final = ("total_cents", "amount_cents", "spend_cents")
_MOST_CENTS: Final = 10**15

Row = tuple[str, bytes, str, str, datetime, int]
"""Store, identity, topic, subject, time, cents."""


async def hold_back(connection: Any, envelopes: Sequence[Envelope[Any]], now: datetime) -> None:
    """Keep events from the future out of every figure."""
    rows = [
        (e.store, identity_hash(e.store, e.source, e.id), e.topic, e.subject, e.time, cents_of(e.data))
        for e in envelopes
    ]
    await _save(connection, rows, now)


async def hold_back_dead(records: Sequence[Record], tx: Transaction) -> None:
    """Note the dead letters of a batch, in its transaction; what can be told of them without reading the event."""
    await _save(await driver(tx.session), [_row(record, tx.now) for record in records], tx.now)


async def release(connection: Any, envelopes: Iterable[Envelope[Any]], stores: Iterable[str]) -> None:
    """These events are accepted: what was a dead letter among them is held back no more."""
    held = {tuple(row) for row in await connection.fetch(_HELD, sorted(stores))}
    if not held:
        return
    keys: dict[str, list[bytes]] = defaultdict(list)
    for e in envelopes:
        if (e.store, e.topic) in held:
            keys[e.store].append(identity_hash(e.store, e.source, e.id))
    for store, of_store in sorted(keys.items()):
        await connection.execute(_RELEASE, store, of_store)


def _row(record: Record, now: datetime) -> Row:
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    store, _, subject = record.key.decode("utf-8", "replace").partition("/")
    store = headers.get("ce_store") or store or "?"
    if "ce_id" in headers and "ce_source" in headers:
        key = identity_hash(store, headers["ce_source"], headers["ce_id"])
    else:
        key = blake2b(record.key + record.value, digest_size=IDENTITY_BYTES).digest()
    return store, key, record.topic, subject.replace("\0", ""), _time(headers.get("ce_time"), now), _cents(record.value)


def _time(given: str | None, now: datetime) -> datetime:
    try:
        return parse_instant(given or "")
    except ValueError:
        return now


def _cents(value: bytes) -> int:
    """The money that a body names, as far as it can be read."""
    try:
        body = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return 0
    named = (body.get(name) for name in MONEY) if isinstance(body, dict) else ()
    return next((cents for cents in named if type(cents) is int and 0 <= cents <= _MOST_CENTS), 0)


async def _save(connection: Any, rows: Sequence[Row], now: datetime) -> None:
    if rows:
        await connection.execute(_HOLD, now, *(list(column) for column in zip(*rows, strict=True)))


_HOLD: Final = """
INSERT INTO kpi.quarantined (quarantined_at, store, key, topic, subject, time, cents)
SELECT $1, * FROM unnest($2::text[], $3::bytea[], $4::text[], $5::text[], $6::timestamptz[], $7::bigint[])
ON CONFLICT DO NOTHING
"""
_HELD: Final = "SELECT DISTINCT store, topic FROM kpi.quarantined WHERE store = ANY($1)"
_RELEASE: Final = "DELETE FROM kpi.quarantined WHERE store = $1 AND key = ANY($2)"
