"""`opswire channels list` and `test`: where people are told, and whether they would be."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli.command import command
from cli.installation import DataOption, find_installation
from cli.output import JsonOption, people, print_items, print_json
from cli.platform_client import answered, front_door

app = typer.Typer(no_args_is_help=True, help="Where people are told: chat robots, webhooks, mail.")
StoreOption = Annotated[str | None, typer.Option(help="The store; default: that of the platform.")]


@app.command("list")
@command
async def list_channels(store: StoreOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the channels; addresses and secrets stay masked."""
    installation = find_installation(data)
    async with front_door(installation, "alerts") as client:
        answer = await client.get("/v1/channels", params={"store": store or installation.store})
    items = answered(answer)["items"]
    print_items(items, ("name", "kind", "url", "language", "enabled"), as_json=as_json, none="no channels")


@app.command("test")
@command
async def try_out(
    name: Annotated[str, typer.Argument(help="The channel's name.")],
    store: StoreOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a test message and show request (secrets masked) and answer; exit code 1 when it was not taken."""
    installation = find_installation(data)
    async with front_door(installation, "alerts") as client:
        answer = await client.post(f"/v1/channels/{name}/test", params={"store": store or installation.store})
    exchange = answered(answer)
    if as_json:
        print_json(exchange)
    else:
        people.print(_said(exchange), markup=False)
    if exchange["answer"]["result"] != "sent":
        raise typer.Exit(1)


def _said(exchange: Mapping[str, Any]) -> str:
    request, answer = exchange["request"], exchange["answer"]
    body = request["body"] if isinstance(request["body"], str) else json.dumps(request["body"], ensure_ascii=False)
    status = f"HTTP {answer['status']} " if answer["status"] else ""
    return "\n".join(
        [
            f"POST {request['url']}",
            body,
            "",
            f"{status}{answer['body']}".strip(),
            f"{answer['result']}{': ' if answer['detail'] else ''}{answer['detail']}",
        ]
    )
