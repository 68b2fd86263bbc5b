"""`opswire demo`: a store with history, live trade, a stock-out and a conversion drop; told once to a chat target."""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.command import command
from cli.demo import story
from cli.demo.inbox import Inbox, listening
from cli.demo.shop import Shop, open_shop
from cli.local.topology import FIRST_PORT
from cli.output import CommandFailed, JsonOption, people, print_json, print_table
from cli.up import announce, running_platform, until_stopped, wish_of

SEED = 7
DAYS = 14
PATIENCE_SECONDS = 120.0
Say = Callable[[str], None]
EXPECTED_RULES = ("sold_out", "conversion_below_target")


@command
async def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Run the story through, print report and incidents, end.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Folder of the demo (default: a new one that is removed).")] = None,
    ports_from: Annotated[int, typer.Option(help="Port of the first service; the others follow.")] = FIRST_PORT,
    as_json: JsonOption = False,
) -> None:
    """Show the platform alive, on a store with two weeks behind it."""
    with until_stopped(), folder(data) as place:
        async with listening(_quiet if as_json else _show) as inbox:
            os.environ["OPSWIRE_WEBHOOK_ALLOW"] = "127.0.0.1"
            os.environ["OPSWIRE_KPI_SETTLE_SECONDS"] = "0"
            async with (
                running_platform(wish_of(place, ports_from, "demo")) as platform,
                open_shop(platform, platform.store) as shop,
            ):
                if not as_json:
                    announce(platform, as_json=False)
                told = await tell_the_story(shop, inbox, say=_silent if as_json else _say)
                _print(told, as_json=as_json)
                if not once:
                    await trade_for_ever(shop)


@dataclass(frozen=True, slots=True)
class Told:
    """How the story ended."""

    report: dict[str, Any]
    incidents: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    refused: int


async def tell_the_story(shop: Shop, inbox: Inbox, say: Say) -> Told:
    """Set the store up, bring its history in, let the trouble happen, and wait for what the platform makes of it."""
    now = datetime.now(UTC)
    yesterday = (now.astimezone(story.ZONE) - timedelta(days=1)).date()
    say(f"a store with {len(story.GOODS) + 1} goods, a conversion target of 3 %, and a chat target")
    await shop.stock((*story.GOODS, story.BEST_SELLER))
    await shop.set_target("conversion-2024", "conversion.order_uv", story.TARGET_CONVERSION, "2000-01-01", "2099-12-31")
    await shop.tell("chat", inbox.url, inbox.secret)
    await bring_history(shop, now, say)
    say("now the best seller sells out, while the platform watches")
    refused = await sell_out(shop)
    report, incidents = await outcome(shop, yesterday)
    return Told(report, incidents, list(inbox.messages.values()), refused)


async def bring_history(shop: Shop, now: datetime, say: Say) -> None:
    """Two weeks of visitors and orders through the front doors, as one import; its last hour goes badly."""
    import_id = f"history-{now:%Y%m%d%H%M%S}"
    hours = story.history(now, DAYS, SEED)
    started = time.monotonic()
    await shop.open_import(import_id)
    async with asyncio.TaskGroup() as group:
        group.create_task(shop.visit([event for hour in hours for event in hour.events], import_id))
        group.create_task(shop.sell([order for hour in hours for order in hour.orders], import_id))
    await shop.end_import(import_id)
    say(f"{DAYS} days of history came in through the front doors in {time.monotonic() - started:.0f} s")


async def sell_out(shop: Shop) -> int:
    """Sixty buyers at once for forty units; how many were told that it is gone."""
    rng = random.Random(SEED)
    stamp = f"{datetime.now(UTC):%Y%m%d%H%M%S}"
    orders = [story.order(f"B{stamp}-{n}", story.BEST_SELLER, 1, None, f"v-b{n}", rng) for n in range(60)]
    bought = await asyncio.gather(*(shop.buy(order) for order in orders))
    return bought.count(False)


async def outcome(shop: Shop, day: date) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Yesterday's published report and the incidents, as soon as both are there. Raises CommandFailed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        report = await shop.daily_report(day.isoformat())
        incidents = await shop.incidents()
        rules = {alert["rule"] for incident in incidents for alert in incident["alerts"]}
        if report is not None and rules.issuperset(EXPECTED_RULES):
            await asyncio.sleep(1)
            return report, await shop.incidents()
        if time.monotonic() > deadline:
            raise CommandFailed(
                f"after {PATIENCE_SECONDS:.0f} s: report {report is not None}, incidents {sorted(rules)}"
            )
        await asyncio.sleep(0.5)


async def trade_for_ever(shop: Shop) -> None:
    """An ordinary visitor every few seconds, until somebody stops it."""
    people.print("\nlive trade goes on; Ctrl-C ends it")
    rng = random.Random()
    while True:
        now = datetime.now(UTC).astimezone(story.ZONE)
        hour = story.usual_hour(now.replace(minute=0, second=0, microsecond=0), rng.randrange(10**9))
        run = f"{now:%Y%m%d%H%M%S}"
        event = rng.choice(hour.events)
        await shop.visit([{**event, "id": f"live-{run}-{event['id']}", "time": now.isoformat()}])
        if rng.random() < story.USUAL_CONVERSION:
            await shop.buy(story.order(f"L{run}", rng.choice(story.GOODS), 1, None, event["visitor_id"], rng))
        await asyncio.sleep(rng.uniform(0.2, 1.5))


@contextmanager
def folder(named: Path | None) -> Iterator[Path]:
    """The folder named, or a new one that is removed at the end."""
    if named is not None:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="opswire-demo-") as made:
        yield Path(made)


def _silent(_line: str) -> None:
    """Scripts want the end alone."""


def _say(line: str) -> None:
    people.print(f"· {line}", markup=False)


def _quiet(_message: dict[str, Any]) -> None:
    """Scripts read the messages at the end."""


def _show(message: dict[str, Any]) -> None:
    data = message["data"]
    people.print(f"  chat ← [{data.get('severity', '')}] {message['type']}: {data.get('title', '')}", markup=False)


def _print(told: Told, *, as_json: bool) -> None:
    if as_json:
        print_json({"report": told.report, "incidents": told.incidents, "messages": told.messages})
        return
    row = told.report["rows"][0]["text"]
    people.print(f"\nDaily report {told.report['period']}, edition {told.report['edition']}")
    print_table(["date", "UV", "PV", "orders", "conversion", "AOV", "main source", "note"], [list(row.values())])
    people.print(f"Incidents ({told.refused} buyers of the best seller were told that it is gone)")
    print_table(
        ["severity", "rule", "status", "title", "told"],
        [
            [i["severity"], i["rule"], i["status"], i["title"], len(i["notifications"])]
            for i in told.incidents
            if not i["retroactive"]
        ],
    )
