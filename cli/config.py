"""`opswire config`: what is in force, and where each value comes from."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from dotenv import dotenv_values
from pydantic import ValidationError

from cli.command import command
from cli.local.topology import SERVICES
from cli.output import CommandFailed, JsonOption, people, print_json, print_table
from cli.settings_catalogue import in_force

_from_file: dict[str, str] = {}


def load_file(file: Path) -> None:
    """Put the OPSWIRE_ lines of a file into the environment, for our children too; what is set there already wins."""
    for name, value in dotenv_values(file, interpolate=False).items():
        if name.startswith("OPSWIRE_") and value is not None and name not in os.environ:
            os.environ[name] = value
            _from_file[name] = value


@command
async def show(
    service: Annotated[str | None, typer.Option(help=f"One of {', '.join(SERVICES)} (default: all).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show every setting in force, with its source; secrets are masked."""
    if service is not None and service not in SERVICES:
        raise CommandFailed(f"there is no service {service}", f"one of {', '.join(SERVICES)}")
    settings = {name: _checked(name, _from_file) for name in ([service] if service else SERVICES)}
    if as_json:
        print_json(settings)
        return
    for name, rows in settings.items():
        people.print(f"\n{name}", style="bold")
        print_table(("setting", "value", "source"), (list(row.values()) for row in rows))


def _checked(service: str, files: Mapping[str, str]) -> list[dict[str, str]]:
    try:
        return in_force(service, files)
    except ValidationError as problem:
        wrong = "; ".join(f"OPSWIRE_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in problem.errors())
        raise CommandFailed(
            f"the settings of {service} are not valid: {wrong}", "correct them; see .env.example"
        ) from None
