"""`opswire dead`: what could not be handled, why, and back onto its topic once the cause is mended."""

import base64
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.command import command
from cli.installation import DataOption, Installation, find_installation
from cli.local.topology import SERVICES
from cli.output import CommandFailed, JsonOption, people, print_json, print_table
from libs.events.bus import Bus, BusError, Record
from libs.events.contracts.base import TOPICS, dead
from libs.events.dead_letters import described, requeued
from libs.events.open import open_bus

app = typer.Typer(no_args_is_help=True, help="Dead letters: events that could not be handled.")

PAGE = 500
ORDER_WARNING = (
    "an event that comes back arrives after later ones of its key: where the order within a key matters, "
    "look at the result"
)

BUS_FIX = "check OPSWIRE_KAFKA, or that the database of the bus answers; `opswire doctor` tells more"

TopicOption = Annotated[str | None, typer.Option("--topic", help="Only the dead letters of this topic.")]
StoreOption = Annotated[str | None, typer.Option("--store", help="Only those of this store.")]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: the record on `<topic>.dead` and what its headers say."""

    record: Record

    @property
    def id(self) -> str:
        """How people name it: topic and offset (a dead-letter topic has one partition)."""
        return f"{self.record.topic.removesuffix('.dead')}:{self.record.offset}"

    def header(self, name: str) -> str:
        return next((value.decode("utf-8", "replace") for key, value in self.record.headers if key == name), "")

    @property
    def summary(self) -> dict[str, str]:
        about = described(self.record)
        return {
            "id": self.id,
            "at": about.get("at", ""),
            "consumer": about.get("consumer", ""),
            "store": self.header("ce_store"),
            "type": self.header("ce_type"),
            "reason": about.get("reason", ""),
        }

    @property
    def whole(self) -> dict[str, Any]:
        """Everything, with the value as text where it is text, else in base64."""
        own = {name: value.decode("utf-8", "replace") for name, value in self.record.headers}
        try:
            value = {"value": self.record.value.decode("utf-8")}
        except UnicodeDecodeError:
            value = {"value_base64": base64.b64encode(self.record.value).decode()}
        return {**self.summary, "key": self.record.key.decode("utf-8", "replace"), **value, "headers": own}


@app.command("list")
@command
async def list_letters(
    topic: TopicOption = None,
    store: StoreOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, newest first, and the streams that are parked."""
    installation = find_installation(data)
    async with opened_bus(installation) as bus:
        letters = [letter async for letter in every_letter(bus, topic) if not store or letter.summary["store"] == store]
    items = [letter.summary for letter in sorted(letters, key=lambda one: one.summary["at"], reverse=True)[:limit]]
    async with installation.engine() as engine:
        parked = await parked_streams(engine)
    if as_json:
        print_json({"items": items, "parked": parked, "total": len(letters)})
        return
    _print_list(items, parked, len(letters))


@app.command()
@command
async def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As listed: topic:offset.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter whole: reason, raw value, headers."""
    async with opened_bus(find_installation(data)) as bus:
        letter = await one_letter(bus, letter_id)
    if as_json:
        print_json(letter.whole)
        return
    for name, value in letter.whole.items():
        people.print(f"{name:>12}  {value}", markup=False)


@app.command()
@command
async def requeue(
    letter_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As listed: topic:offset.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of --topic, and of --store if given.")] = False,
    topic: TopicOption = None,
    store: StoreOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put dead letters back onto their topic and release their streams if they are parked.

    Consumers that had handled them before skip them. May break the order within a key.
    """
    if bool(letter_ids) == every or (every and not topic):
        raise CommandFailed("which ones?", "name their ids, or --all with --topic")
    installation = find_installation(data)
    async with opened_bus(installation) as bus:
        letters = await _chosen(bus, letter_ids or [], topic, store)
        async with installation.engine() as engine:
            await release(engine, letters)
        await bus.publish([requeued(letter.record) for letter in letters])
    if as_json:
        print_json({"requeued": [letter.id for letter in letters], "warning": ORDER_WARNING})
    else:
        people.print(f"{len(letters)} put back; {ORDER_WARNING}", markup=False)


@asynccontextmanager
async def opened_bus(installation: Installation) -> AsyncIterator[Bus]:
    """The bus of an installation. Raises CommandFailed when it cannot be reached."""
    bus = open_bus(installation.database_url, kafka=installation.kafka or None, prefix=installation.topic_prefix)
    try:
        await bus.start()
        yield bus
    except BusError as problem:
        raise CommandFailed(f"the bus does not answer as it should: {problem}", BUS_FIX) from problem
    finally:
        await bus.close()


async def every_letter(bus: Bus, topic: str | None) -> AsyncIterator[Letter]:
    """The dead letters of one topic or of all, oldest first within a topic. Raises CommandFailed for no topic."""
    if topic is not None and topic not in TOPICS:
        raise CommandFailed(f"there is no topic {topic}", f"one of {', '.join(TOPICS)}")
    for name in [topic] if topic else TOPICS:
        async for record in _records(bus, dead(name)):
            yield Letter(record)


async def _records(bus: Bus, topic: str) -> AsyncIterator[Record]:
    for partition, (first, end) in (await _bounds(bus, topic)).items():
        offset = first
        while offset < end:
            records = await bus.read(topic, partition, offset, PAGE)
            for record in records:
                yield record
            offset = records[-1].offset + 1 if records else end


async def _bounds(bus: Bus, topic: str) -> dict[int, tuple[int, int]]:
    """Nothing where the topic was never made: nobody consumes what it belongs to."""
    try:
        return await bus.bounds(topic)
    except BusError as problem:
        if "no topic" in str(problem) or "Unknown" in str(problem):
            return {}
        raise


async def one_letter(bus: Bus, letter_id: str) -> Letter:
    """The dead letter of an id. Raises CommandFailed."""
    topic, _, offset = letter_id.rpartition(":")
    if topic in TOPICS and offset.isdigit():
        name = dead(topic)
        for partition, (first, end) in (await _bounds(bus, name)).items():
            if first <= int(offset) < end:
                return Letter((await bus.read(name, partition, int(offset), 1))[0])
    raise CommandFailed(f"there is no dead letter {letter_id}", "`opswire dead list` shows the ids")


async def _chosen(bus: Bus, letter_ids: Sequence[str], topic: str | None, store: str | None) -> list[Letter]:
    if letter_ids:
        return [await one_letter(bus, letter_id) for letter_id in letter_ids]
    return [letter async for letter in every_letter(bus, topic) if not store or letter.summary["store"] == store]


async def parked_streams(engine: AsyncEngine) -> list[dict[str, Any]]:
    """The streams (store and type) whose events go to the dead letters unread, by service."""
    found: list[dict[str, Any]] = []
    async with engine.connect() as session:
        for service in SERVICES:
            if await session.scalar(text("SELECT to_regclass(:name)"), {"name": f"{service}.parking"}) is None:
                continue
            rows = await session.execute(
                text(f"SELECT topic, store, type, failed, parked_at FROM {service}.parking WHERE parked_at IS NOT NULL")
            )
            found += [{"service": service, **row._mapping, "parked_at": row.parked_at.isoformat()} for row in rows]
    return found


async def release(engine: AsyncEngine, letters: Iterable[Letter]) -> None:
    """Let the streams of these letters be read again by the services that had parked them."""
    streams = {
        (_service_of(about["consumer"]), about["id"].rpartition(":")[0], about["store"], about["type"])
        for about in (letter.summary for letter in letters)
    }
    async with engine.begin() as session:
        for service, topic, store, type_ in sorted(streams):
            if service:
                await session.execute(
                    text(f"DELETE FROM {service}.parking WHERE topic = :topic AND store = :store AND type = :type"),
                    {"topic": topic, "store": store, "type": type_},
                )


def _service_of(consumer: str) -> str:
    """The service of a consumer group: groups are named after their service."""
    return next((service for service in SERVICES if consumer.split(":")[0].split("-")[0] == service), "")


def _print_list(items: Sequence[dict[str, str]], parked: Sequence[dict[str, Any]], total: int) -> None:
    if not items:
        people.print("no dead letters")
    else:
        print_table(tuple(items[0]), (list(item.values()) for item in items))
        people.print(f"{len(items)} of {total}; `opswire dead show ID`, `opswire dead requeue ID`", markup=False)
    if parked:
        people.print("\nparked: what arrives of these goes to the dead letters unread until one is requeued")
        print_table(tuple(parked[0]), (list(stream.values()) for stream in parked))
