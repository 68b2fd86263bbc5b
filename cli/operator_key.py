"""The operator's key of an installation: made once, kept beside the data with mode 0600, shown by `opswire up`."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from cli.local.processes import write_private
from libs.service.auth import EVERY_STORE, SCOPES, NewKey, add_key, key_hash, load_key

OPERATOR_SCOPES = tuple(scope for scope in SCOPES if scope not in ("internal", "orders:pii"))
"""Everything but what only services need, and unmasked personal data: whoever must see that makes a key for it."""

KEY_FILE = "operator.key"


async def operator_key(engine: AsyncEngine, data: Path) -> str:
    """The key kept in the data folder while it is good, else a new one that is kept there from now on."""
    file = data / KEY_FILE
    with contextlib.suppress(OSError):
        kept = file.read_text(encoding="utf-8").strip()
        if await is_good(engine, kept):
            return kept
    made = await _add(engine, note="made by opswire up")
    write_private(file, made.key)
    return made.key


async def short_lived_key(engine: AsyncEngine) -> str:
    """An operator's key for one command, good for an hour."""
    made = await _add(engine, note="made by a command", lasts=timedelta(hours=1))
    return made.key


async def is_good(engine: AsyncEngine, key: str) -> bool:
    """Whether the database knows this key and would let it in."""
    key_id = key.split("_")[1] if key.count("_") >= 2 else ""
    async with engine.connect() as session:
        known = await load_key(session, key_id)
    return known is not None and known.hash == key_hash(key) and known.is_good(datetime.now(UTC))


async def _add(engine: AsyncEngine, *, note: str, lasts: timedelta | None = None) -> NewKey:
    expires_at = datetime.now(UTC) + lasts if lasts else None
    async with engine.begin() as session:
        return await add_key(session, EVERY_STORE, OPERATOR_SCOPES, expires_at=expires_at, note=note)
