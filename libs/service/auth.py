"""Keys: `ow_<id>_<secret>`, shown once, kept hashed, bound to a store (or `*`) and to scopes (P7)."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.service.errors import Forbidden, Unauthenticated

SCOPES = (
    "orders:read",
    "orders:write",
    "orders:pii",
    "inventory:read",
    "inventory:write",
    "traffic:write",
    "service:write",
    "kpi:read",
    "kpi:write",
    "alerts:read",
    "alerts:write",
    "reports:read",
    "reports:write",
    "metrics:read",
    "internal",
    "admin",
)
EVERY_STORE = "*"
INTERNAL_KEY_ID = "internal"
INTERNAL_SCOPES = ("internal", "inventory:read", "inventory:write")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: the key, what it may do, and where."""

    key_id: str
    store: str
    scopes: frozenset[str]
    is_public: bool = False

    @property
    def actor(self) -> str:
        """How the audit log names the caller."""
        return f"key:{self.key_id}"

    def may(self, scope: str) -> bool:
        """Whether the key carries this scope; no scope implies another."""
        return scope in self.scopes

    def require(self, scope: str) -> None:
        """Raises Forbidden."""
        if not self.may(scope):
            raise Forbidden(f"the key lacks the scope {scope}")

    def require_store(self, store: str | None) -> None:
        """Raises Forbidden when a store's key comes with another store's name."""
        if store is not None and self.store not in (EVERY_STORE, store):
            raise Forbidden("the key belongs to another store")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; `key` is known only here."""

    id: str
    key: str
    store: str
    scopes: tuple[str, ...]


def internal_key(secret: bytes) -> str:
    """The key with which orders calls inventory, from the installation's secret (D50)."""
    return f"ow_{INTERNAL_KEY_ID}_{hmac.new(secret, b'internal key', hashlib.sha256).hexdigest()}"


def sealing_key(secret: bytes) -> bytes:
    """256 bits that encrypt personal data at rest, from the installation's secret."""
    return hmac.new(secret, b"sealing key", hashlib.sha256).digest()


def key_hash(key: str) -> bytes:
    """What is kept of a key: with 256 random bits there is nothing to guess, so a plain digest is enough."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def new_key(store: str, scopes: Iterable[str]) -> NewKey:
    """Make a key with 256 random bits. Raises ValueError for a scope that does not exist."""
    wanted = tuple(dict.fromkeys(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        raise ValueError(f"unknown scopes: {', '.join(unknown) or 'none given'}; there are {', '.join(SCOPES)}")
    key_id = secrets.token_hex(6)
    return NewKey(key_id, f"ow_{key_id}_{secrets.token_hex(32)}", store, wanted)


async def add_key(
    session: AsyncConnection,
    store: str,
    scopes: Iterable[str],
    *,
    expires_at: datetime | None = None,
    is_public: bool = False,
    note: str = "",
) -> NewKey:
    """Make and keep a key; the session must be the owner's. A public key writes traffic and nothing else."""
    made = new_key(store, ("traffic:write",) if is_public else scopes)
    await session.execute(
        text(
            "INSERT INTO access.keys (id, hash, store, scopes, is_public, expires_at, note)"
            " VALUES (:id, :hash, :store, :scopes, :is_public, :expires_at, :note)"
        ),
        {
            "id": made.id,
            "hash": key_hash(made.key),
            "store": store,
            "scopes": list(made.scopes),
            "is_public": is_public,
            "expires_at": expires_at,
            "note": note,
        },
    )
    return made


async def revoke_key(session: AsyncConnection, key_id: str, now: datetime) -> bool:
    """Revoke by id; False when there is no such key. Services know it within `CACHE_SECONDS`."""
    done = await session.execute(
        text("UPDATE access.keys SET revoked_at = coalesce(revoked_at, :now) WHERE id = :id"),
        {"id": key_id, "now": now},
    )
    return done.rowcount > 0


CACHE_SECONDS = 3.0
_CACHE_ENTRIES = 10_000
_NOBODY = key_hash("nobody")


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A row of `access.keys`."""

    principal: Principal
    hash: bytes
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


LoadKey = Callable[[str], Awaitable[KeptKey | None]]


class Keyring:
    """Tells who calls. Keys are looked up at most once in `CACHE_SECONDS`, several callers sharing one look-up."""

    def __init__(self, load: LoadKey, clock: Callable[[], datetime]) -> None:
        self._load = load
        self._clock = clock
        self._cache: dict[str, tuple[float, asyncio.Future[KeptKey | None]]] = {}
        self.used: dict[str, datetime] = {}
        """Last uses since they were last written down; a ticker empties it."""

    async def principal(self, key: str | None) -> Principal:
        """The caller of a presented key. Raises Unauthenticated; which part was wrong is not told."""
        key_id = _id_of(key)
        kept = await self._find(key_id) if key_id else None
        expected = kept.hash if kept else _NOBODY
        matches = hmac.compare_digest(key_hash(key or ""), expected)
        now = self._clock()
        if kept is None or not matches or not kept.is_good(now):
            raise Unauthenticated
        self.used[kept.principal.key_id] = now
        return kept.principal

    async def _find(self, key_id: str) -> KeptKey | None:
        now = monotonic()
        cached = self._cache.get(key_id)
        if cached is not None and cached[0] > now:
            return cached[1].result() if cached[1].done() else await asyncio.shield(cached[1])
        if len(self._cache) >= _CACHE_ENTRIES:
            self._cache.clear()
        future: asyncio.Future[KeptKey | None] = asyncio.ensure_future(self._load(key_id))
        self._cache[key_id] = (now + CACHE_SECONDS, future)
        try:
            return await asyncio.shield(future)
        except BaseException:
            self._cache.pop(key_id, None)
            raise


def _id_of(key: str | None) -> str | None:
    """The id part of a well-formed key."""
    parts = (key or "").split("_", 2)
    if len(parts) != 3 or parts[0] != "ow" or len(parts[2]) != 64:
        return None
    return parts[1] if parts[1].isascii() and parts[1].isalnum() and len(parts[1]) <= 32 else None


async def load_key(session: AsyncConnection, key_id: str) -> KeptKey | None:
    """Read one key."""
    row = (
        await session.execute(
            text("SELECT hash, store, scopes, is_public, expires_at, revoked_at FROM access.keys WHERE id = :id"),
            {"id": key_id},
        )
    ).one_or_none()
    if row is None:
        return None
    principal = Principal(key_id, row.store, frozenset(row.scopes), row.is_public)
    return KeptKey(principal, bytes(row.hash), row.expires_at, row.revoked_at)


async def save_last_uses(session: AsyncConnection, used: dict[str, datetime]) -> None:
    """Write the last uses, in key order so that two processes do not deadlock."""
    if not used:
        return
    ids = sorted(used)
    await session.execute(
        text(
            "UPDATE access.keys k SET last_used_at = greatest(k.last_used_at, u.at)"
            " FROM unnest(CAST(:ids AS text[]), CAST(:ats AS timestamptz[])) AS u(id, at) WHERE k.id = u.id"
        ),
        {"ids": ids, "ats": [used[key_id] for key_id in ids]},
    )
