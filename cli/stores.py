"""`opswire stores`: the stores of the installation."""

from typing import Annotated, Any

import typer

from cli.command import command
from cli.installation import DataOption, Installation, find_installation
from cli.output import JsonOption, people, print_items, print_json
from cli.platform_client import answered, front_door
from libs.service.settings import Settings
from libs.service.stores import load_stores

app = typer.Typer(no_args_is_help=True, help="The stores of this installation.")


@app.command()
@command
async def add(
    store: Annotated[str, typer.Argument(metavar="ID", help="Id of the store.")],
    name: Annotated[str | None, typer.Option(help="Its name (default: the id).")] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA zone of its days (default: OPSWIRE_TIMEZONE).")] = None,
    currency: Annotated[str | None, typer.Option(help="ISO 4217 code (default: OPSWIRE_CURRENCY).")] = None,
    language: Annotated[str | None, typer.Option(help="zh or en (default: OPSWIRE_LANGUAGE).")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a store, or change it; zone and currency are fixed once it has events."""
    made = await put_store(find_installation(data), store, name, timezone, currency, language)
    if as_json:
        print_json(made)
    else:
        people.print(f"store {made['store']}: {made['name']}, {made['timezone']}, {made['currency']}", markup=False)


@app.command("list")
@command
async def list_stores(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the stores."""
    async with find_installation(data).engine() as engine, engine.connect() as session:
        stores = await load_stores(session, None)
    items = [
        {"store": s.store, "name": s.name, "timezone": s.zone.key, "currency": s.currency, "language": s.language}
        for s in stores
    ]
    columns = ("store", "name", "timezone", "currency", "language")
    print_items(items, columns, as_json=as_json, none="no store yet: `opswire stores add ID`")


async def put_store(
    installation: Installation,
    store: str,
    name: str | None = None,
    timezone: str | None = None,
    currency: str | None = None,
    language: str | None = None,
) -> dict[str, Any]:
    """Make or change a store through the front door of the orders service; what is not given is the default."""
    usual = Settings.load()
    body = {
        "name": name or store,
        "timezone": timezone or usual.timezone,
        "currency": currency or usual.currency,
        "language": language or usual.language,
    }
    async with front_door(installation, "orders") as orders:
        answer = answered(await orders.put(f"/v1/stores/{store}", json=body))
    return {"store": store, **body, **answer}


async def ensure_store(installation: Installation, store: str, **wanted: str) -> None:
    """Make a store unless it exists; what `wanted` does not name (timezone, currency, language) is the default."""
    async with installation.engine() as engine, engine.connect() as session:
        known = await load_stores(session, store)
    if not known:
        await put_store(installation, store, **wanted)
