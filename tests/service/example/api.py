"""HTTP of the example."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from libs.events.contracts.base import Id, Instant
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call
from libs.service.errors import InvalidBody, OutOfStock, Overloaded, Validation, WrongState, fault
from libs.service.pagination import Page, listing
from libs.service.routes import Body, Router
from tests.service.example import store
from tests.service.example.store import Note

router = Router(tag="notes")


class Tag(Body):
    """A named value."""

    name: str
    value: int | str


class WriteNote(Body):
    """A note to be written."""

    note_id: Id | None = None
    text: Annotated[str, Field(max_length=1000)]
    weight: Annotated[int, Field(ge=0)] = 1
    at: Instant | None = None
    tags: list[Tag] = []


class ChangeNote(Body):
    """A new text."""

    text: str


class Effects:
    """What the actions did, counted outside any transaction."""

    def __init__(self) -> None:
        self.actions = 0
        self.prepared = 0


EFFECTS = Effects()


@router.post("/v1/notes", scope="orders:write", status_code=201)
async def write(body: WriteNote, call: Call) -> Response:
    """Write a note."""
    note_id = call.id_or_derived(body.note_id)
    return await call.once(lambda tx: _write(note_id, body, tx))


@router.post("/v1/natural-notes", scope="orders:write", status_code=201)
async def write_natural(body: WriteNote, call: Call) -> Response:
    """Write a note whose id makes the call repeatable."""
    note_id = call.id_or_derived(body.note_id)
    return await call.once(lambda tx: _write(note_id, body, tx), natural=("note", note_id))


@router.post("/v1/prepared-notes", scope="orders:write", status_code=201)
async def write_prepared(body: WriteNote, call: Call) -> Response:
    """Write a note after something was done outside."""

    async def prepare() -> str:
        EFFECTS.prepared += 1
        if body.text == "short":
            raise OutOfStock("nothing left", errors=[fault("/text", "short", "wanted 1, available 0", wanted=1)])
        return body.text.upper()

    async def action(tx: Transaction, text: str) -> Answer:
        return await _write(call.id_or_derived(body.note_id), body.model_copy(update={"text": text}), tx)

    return await call.once_after(prepare, action)


async def _write(note_id: str, body: WriteNote, tx: Transaction) -> Answer:
    EFFECTS.actions += 1
    await _mischief(body.text, tx)
    note = Note(note_id, body.text, body.weight, 1, body.at or tx.now)
    await store.save_note(note, tx)
    return Answer(201, note, etag=1, location=f"/v1/notes/{note_id}")


async def _mischief(text: str, tx: Transaction) -> None:
    """Texts that make the action fail in the ways an action can."""
    if text == "slow":
        await asyncio.sleep(0.5)
    if text == "very slow":
        await asyncio.sleep(6.5)
    if text == "wrong state":
        await store.save_note(Note("left over", "must be rolled back", 1, 1, tx.now), tx)
        raise WrongState("shipped", ["return"])
    if text == "overloaded":
        raise Overloaded("later", retry_after_seconds=7)
    if text == "bug":
        raise RuntimeError("the secret is 4711")
    if text == "unwelcome":
        raise Validation("unwelcome", errors=[fault("/text", "unwelcome", "say something else")])


@router.get("/v1/notes/{note_id}", scope="orders:read")
async def show(note_id: Id, call: Call) -> Response:
    """One note."""
    async with call.read() as tx:
        note = await store.load_note(note_id, tx)
    return await call.reply(Answer(200, note, etag=note.version))


@router.get("/v1/notes", scope="orders:read")
async def list_notes(call: Call, page: Page) -> Response:
    """All notes, oldest first."""
    after = page.after(datetime, str)
    async with call.read() as tx:
        rows = await store.list_notes(after, page.fetch, tx)
    shown, cursor = listing(page, rows, lambda note: (note.written_at, note.note_id))
    return await call.page(list(shown), cursor)


@router.put("/v1/notes/{note_id}", scope="orders:write")
async def change(note_id: Id, body: ChangeNote, call: Call) -> Response:
    """Change a note, if it is the version that the caller knows."""

    async def action(tx: Transaction) -> Answer:
        note = await store.load_note(note_id, tx)
        call.require_match(note.version, required=True)
        changed = Note(note_id, body.text, note.weight, note.version + 1, note.written_at)
        await store.save_note(changed, tx)
        return Answer(200, changed, etag=changed.version)

    return await call.once(action)


@router.post("/v1/notes/{note_id}/poke", scope="orders:write")
async def poke(note_id: Id, call: Call, body: ChangeNote | None = None) -> Response:
    """A step whose body may be missing."""
    return await call.reply(Answer(200, {"poked": note_id, "text": body.text if body else None}))


@router.post("/v1/files", scope="orders:write", large=True, raw=True)
async def take_file(call: Call) -> Response:
    """Bytes of any kind."""
    if not call.content:
        raise InvalidBody("an empty file")
    return await call.reply(Answer(200, {"bytes": len(call.content), "type": call.content_type}))


@router.post("/v1/collect", scope="traffic:write", raw=True, beacon=True)
async def collect(call: Call) -> Response:
    """What a browser sends."""
    return await call.reply(Answer(202, {"store": call.store}))


@router.get("/v1/whoami", scope="orders:read")
async def who(call: Call, day: Annotated[int, Field(ge=1)] = 1) -> Response:
    """What the shell knows of the caller."""
    answer: dict[str, Any] = {"store": call.store, "actor": call.actor, "language": call.language, "day": day}
    return await call.reply(Answer(200, answer))


@router.get("/v1/slow", scope="orders:read")
async def slow(call: Call, seconds: float = 0.1) -> Response:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return await call.reply(Answer(200, {"slept": seconds}))
