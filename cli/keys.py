"""`opswire keys`: who may call, for which store, with which scopes."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cli.command import command
from cli.installation import DataOption, find_installation
from cli.output import CommandFailed, JsonOption, people, print_items, print_json
from libs.service.auth import EVERY_STORE, SCOPES, NewKey, add_key, revoke_key
from libs.service.stores import load_stores

app = typer.Typer(no_args_is_help=True, help="Keys for the HTTP API.")

_SPAN = re.compile(r"^(\d{1,5})([dhm])$")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


@app.command()
@command
async def add(
    store: Annotated[str, typer.Option(help="The store it belongs to, or '*' for an operator.")],
    scopes: Annotated[str, typer.Option(help=f"Comma separated, of: {', '.join(SCOPES)}.", show_default=False)] = "",
    expires: Annotated[str | None, typer.Option(help="For how long it is good: 90d, 12h, 30m.")] = None,
    public: Annotated[bool, typer.Option("--public", help="A write-only key for the browser's beacon.")] = False,
    note: Annotated[str, typer.Option(help="Who or what it is for.")] = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key. It is shown once: only a digest is kept."""
    if public and (scopes or store == EVERY_STORE):
        raise CommandFailed("a public key writes the traffic of one store", "leave out --scopes and name the store")
    expires_at = datetime.now(UTC) + span(expires) if expires else None
    async with find_installation(data).engine() as engine:
        made = await add_checked(engine, store, parsed_scopes(scopes), expires_at, is_public=public, note=note)
    _print_new(made, expires_at, as_json=as_json)


@app.command("list")
@command
async def list_keys(
    store: Annotated[str | None, typer.Option(help="Only the keys of this store.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the keys: never the secret, which nobody has."""
    async with find_installation(data).engine() as engine, engine.connect() as session:
        items = await load_keys(session, store)
    columns = ("id", "store", "scopes", "state", "expires_at", "last_used_at", "note")
    print_items(items, columns, as_json=as_json, none="no keys")


@app.command()
@command
async def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, the part between `ow_` and `_`.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a key; the services refuse it within seconds."""
    async with find_installation(data).engine() as engine, engine.begin() as session:
        if not await revoke_key(session, key_id, datetime.now(UTC)):
            raise CommandFailed(f"there is no key {key_id}", "`opswire keys list` shows the ids")
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        people.print(f"key {key_id} is revoked", markup=False)


async def add_checked(
    engine: AsyncEngine,
    store: str,
    scopes: list[str],
    expires_at: datetime | None = None,
    *,
    is_public: bool = False,
    note: str = "",
) -> NewKey:
    """Make a key for a store that exists. Raises CommandFailed."""
    async with engine.begin() as session:
        if store != EVERY_STORE and not await load_stores(session, store):
            raise CommandFailed(f"there is no store {store}", f"make it first: `opswire stores add {store}`")
        try:
            return await add_key(session, store, scopes, expires_at=expires_at, is_public=is_public, note=note)
        except ValueError as problem:
            raise CommandFailed(str(problem), "name them by --scopes orders:read,orders:write") from problem


async def load_keys(session: AsyncConnection, store: str | None) -> list[dict[str, Any]]:
    """All keys, or one store's, oldest first, with what state they are in."""
    rows = await session.execute(
        text(
            "SELECT id, store, scopes, is_public, note, created_at, expires_at, revoked_at, last_used_at,"
            " CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired'"
            " ELSE 'good' END AS state FROM access.keys"
            " WHERE CAST(:store AS text) IS NULL OR store = :store ORDER BY created_at, id"
        ),
        {"store": store},
    )
    return [{name: _plain(value) for name, value in row._mapping.items()} for row in rows]


def parsed_scopes(listed: str) -> list[str]:
    """The scopes of a comma separated list."""
    return [scope.strip() for scope in listed.split(",") if scope.strip()]


def span(written: str) -> timedelta:
    """A length of time such as 90d. Raises CommandFailed."""
    match = _SPAN.match(written)
    if match is None:
        raise CommandFailed(f"{written!r} is no length of time", "write it like 90d, 12h or 30m")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _plain(value: Any) -> Any:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value


def _print_new(made: NewKey, expires_at: datetime | None, *, as_json: bool) -> None:
    document = {"id": made.id, "key": made.key, "store": made.store, "scopes": list(made.scopes)}
    if as_json:
        print_json({**document, "expires_at": expires_at.isoformat()} if expires_at else document)
        return
    people.print(made.key, markup=False)
    people.print(f"id {made.id}, store {made.store}, {', '.join(made.scopes)}; it is not shown again", markup=False)
