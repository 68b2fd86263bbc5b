"""For developers: write the next migration of a service from the difference between its tables and its revisions.

    python -m cli.revise orders "first tables"
    python -m cli.revise orders --replace        the newest revision, while nobody has it yet

It runs a database server of its own in a temporary folder. Read what it wrote: rights and moved data are yours.
"""

import asyncio
import re
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import MetaData

from cli.local.postgres import LocalPostgres
from libs.service.database import create_engine
from libs.service.migration import migrate, migrations_of, revision_code

_TEMPLATE = '''"""{message}."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from libs.service.database import drop_tables, enable_row_security

revision = "{number}"
down_revision = {before}
branch_labels = None
depends_on = None


def upgrade() -> None:
{code}{policies}


def downgrade() -> None:
    {down}
'''


def main(
    service: Annotated[str, typer.Argument(help="Whose tables: orders, inventory, ...")],
    message: Annotated[str, typer.Argument(help="What the revision adds.")] = "First tables",
    replace: Annotated[bool, typer.Option("--replace", help="Write the newest revision anew.")] = False,
) -> None:
    """Write the next revision."""
    metadata = import_module(f"services.{service}.tables").METADATA
    typer.echo(write(metadata, migrations_of(service), message, replace=replace))


def write(metadata: MetaData, folder: Path, message: str, *, replace: bool) -> Path:
    """Write the next revision (`replace`: the newest anew) and give its path."""
    versions = folder / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    kept = sorted(versions.glob("[0-9]*.py"))
    if replace and kept:
        kept.pop().unlink()
    number = f"{len(kept) + 1:04}"
    path = versions / f"{number}_{re.sub(r'[^a-z0-9]+', '_', message.lower())}.py"
    path.write_text(_revision(metadata, number, message, _code(metadata, folder)), encoding="utf-8")
    for action in (["check", "--fix-only", "-q"], ["format", "-q"]):
        subprocess.run([sys.executable, "-m", "ruff", *action, str(path)], check=True)
    return path


def _code(metadata: MetaData, folder: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="opswire-revise-") as place:
        server = LocalPostgres(Path(place), sync_files=False)
        server.start()
        try:
            return asyncio.run(_difference(server.url(), metadata, folder))
        finally:
            server.stop()


async def _difference(url: str, metadata: MetaData, folder: Path) -> str:
    await migrate(url, str(metadata.schema), folder=folder)
    engine = create_engine(url, pool_size=1)
    try:
        return await revision_code(engine, metadata)
    finally:
        await engine.dispose()


def _revision(metadata: MetaData, number: str, message: str, code: str) -> str:
    first = number == "0001"
    secured = ", ".join(f'"{name}"' for name in (metadata.schema, *_of_stores(metadata)))
    return _TEMPLATE.format(
        message=message[:1].upper() + message[1:],
        number=number,
        before="None" if first else f'"{int(number) - 1:04}"',
        code=_tidy(code),
        policies=f"\n    enable_row_security(op, {secured})" if first else "",
        down=f'drop_tables(op, "{metadata.schema}")' if first else "raise NotImplementedError",
    )


def _tidy(code: str) -> str:
    lines = [line for line in code.splitlines() if not line.strip().startswith("# ###")]
    tidy = "\n".join(lines).replace("astext_type=Text()", "").replace("sa.text('now()')", "sa.func.now()")
    return re.sub(r"\bARRAY\(([A-Z]\w*)\(", r"ARRAY(sa.\1(", tidy)


def _of_stores(metadata: MetaData) -> list[str]:
    """Tables whose rows belong to a store."""
    return sorted(table.name for table in metadata.tables.values() if "store" in table.c and table.name != "parking")


if __name__ == "__main__":
    typer.run(main)
