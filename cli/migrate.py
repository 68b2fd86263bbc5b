"""`opswire migrate`: bring every schema to the version of this program, or say what that would do."""

from typing import Annotated

import typer

from cli.command import command
from cli.installation import DataOption, find_installation, owner_engine
from cli.output import JsonOption, people, print_items
from libs.service.migration import SERVICES, migrate_all, migrations_of, pending


async def planned(database_url: str) -> list[dict[str, str | None]]:
    """The schemas that are not at the version of this program: where they are, where they must come."""
    async with owner_engine(database_url) as engine:
        versions = {schema: await pending(engine, schema) for schema in schemas()}
    return [
        {"schema": schema, "present": present, "needed": needed}
        for schema, (present, needed) in versions.items()
        if present != needed
    ]


def schemas() -> list[str]:
    """Every schema that has migrations."""
    return [schema for schema in ("access", *SERVICES) if (migrations_of(schema) / "env.py").exists()]


@command
async def migrate(
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the database to the version of this program."""
    url = find_installation(data).database_url
    steps = await planned(url)
    if not plan:
        await migrate_all(url)
    print_items(steps, ("schema", "present", "needed"), as_json=as_json, none="every schema is up to date")
    if steps and not plan and not as_json:
        people.print("done")
