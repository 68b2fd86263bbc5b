"""The command `opswire`: one file a command, put together here."""

import typer

app = typer.Typer(name="opswire", no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def opswire() -> None:
    """Operations platform for online stores."""


def main() -> None:
    """Entry point of the installed script."""
    app()
