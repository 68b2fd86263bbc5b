"""Ids: time-ordered ones that we make, and the identity by which a repeat is known."""

import os
import re
import time
from datetime import datetime
from hashlib import blake2b
from typing import Final

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
IDENTITY_BYTES: Final = 16


def uuid7(now: datetime | None = None) -> str:
    """A UUIDv7 (RFC 9562) of `now` (default: this moment), so that ids made later sort later, to the microsecond."""
    microseconds = time.time_ns() // 1_000 if now is None else round(now.timestamp() * 1_000_000)
    milliseconds, rest = divmod(microseconds, 1_000)
    noise = int.from_bytes(os.urandom(9), "big")
    value = milliseconds << 80 | 0x7 << 76 | rest << 66 | (noise & 3) << 64 | 0b10 << 62 | noise >> 10
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def identity_hash(store: str, source: str, event_id: str) -> bytes:
    """16 bytes that stand for an event's identity (store, source, id).

    Of a UUIDv7 the first 8 bytes, which are its time, stay in front, so that rows of one time lie together.
    """
    whole = blake2b(f"{store}\0{source}\0{event_id}".encode(), digest_size=IDENTITY_BYTES).digest()
    if _UUID7.fullmatch(event_id):
        return bytes.fromhex(event_id[:8] + event_id[9:13] + event_id[14:18]) + whole[8:]
    return whole
