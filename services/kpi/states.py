"""Entity states and vectors as bytes (msgpack), the same in the database and in a rebuild's memory."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from services.kpi.entities.customer import Customer
from services.kpi.entities.order import Order
from services.kpi.entities.sku import Sku
from services.kpi.entities.visitor import Day
from services.kpi.figures import Vector

encode: Final = msgspec.msgpack.Encoder().encode
decode_day: Final = msgspec.msgpack.Decoder(Day).decode
decode_order: Final = msgspec.msgpack.Decoder(Order).decode
decode_customer: Final = msgspec.msgpack.Decoder(Customer).decode
decode_sku: Final = msgspec.msgpack.Decoder(Sku).decode
decode_members: Final = msgspec.msgpack.Decoder(dict[str, tuple[int, int]]).decode
decode_vector: Final = msgspec.msgpack.Decoder(dict[int, int]).decode
decode_changes: Final = msgspec.msgpack.Decoder(dict[str, dict[int, int]]).decode

CROWDED: Final = 10_000
"""Ids that a visitor's day keeps in its own row."""

_encode_sorted: Final = msgspec.msgpack.Encoder(order="sorted").encode
_LENGTH: Final = 4


def canonical(state: object) -> bytes:
    """Bytes that are equal for equal states, in whatever order their parts came."""
    return _encode_sorted(state)


def canonical_vector(vector: Mapping[int, int]) -> bytes:
    """The same for the measures of a cell."""
    return encode(sorted(vector.items()))


def canonical_ids(ids: bytes) -> bytes:
    """The ids of a visitor's day without the order of their arrival; of a crowded day which they are is chance."""
    if len(ids) >= CROWDED * 8:
        return b"crowded"
    return b"".join(sorted(ids[at : at + 8] for at in range(0, len(ids), 8)))


def frame(changes: Mapping[str, Vector]) -> bytes:
    """The changes of one commit, ready to be appended to those of the same minute."""
    payload = encode(changes)
    return len(payload).to_bytes(_LENGTH, "big") + payload


def frames(stored: bytes) -> Iterable[dict[str, Vector]]:
    """The commits in a stored run of changes."""
    at = 0
    while at < len(stored):
        length = int.from_bytes(stored[at : at + _LENGTH], "big")
        yield decode_changes(stored[at + _LENGTH : at + _LENGTH + length])
        at += _LENGTH + length


def row_hash(key: tuple[str | int, ...], value: bytes) -> bytes:
    """16 bytes that stand for a row."""
    return hashlib.blake2b(repr(key).encode() + b"\0" + value, digest_size=16).digest()


def digest(hashes: Iterable[bytes]) -> str:
    """What depends on the set of rows alone: the sum of their hashes."""
    return f"{sum(int.from_bytes(one, 'big') for one in hashes) % (1 << 128):032x}"
