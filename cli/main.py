"""The command `opswire`: one file a command, put together here."""

from pathlib import Path
from typing import Annotated

import typer

from cli import channels, config, dead, keys, stores
from cli.demo.command import demo
from cli.doctor import doctor
from cli.importers.command import app as importers
from cli.migrate import migrate
from cli.rebuild import rebuild
from cli.up import up
from cli.verify import verify

app = typer.Typer(
    name="opswire",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # they print local variables, keys among them
)
app.command()(up)
app.command()(demo)
app.command()(doctor)
app.command()(verify)
app.command()(rebuild)
app.command()(migrate)
app.command("config")(config.show)
app.add_typer(importers, name="import")
app.add_typer(stores.app, name="stores")
app.add_typer(keys.app, name="keys")
app.add_typer(channels.app, name="channels")
app.add_typer(dead.app, name="dead")


@app.callback()
def opswire(
    file: Annotated[
        Path | None,
        typer.Option("--config", help="File with OPSWIRE_... lines; the environment wins over it.", exists=True),
    ] = None,
) -> None:
    """Operations platform for online stores: orders, stock, figures, alerts and reports on one event log."""
    if file is not None:
        config.load_file(file)


def main() -> None:
    """Entry point of the installed script."""
    app()
