"""SQL of the example."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, tuple_, update

from libs.events.transaction import Transaction
from libs.service.errors import NotFound
from tests.service.example.tables import notes


@dataclass(frozen=True)
class Note:
    """A text with a weight."""

    note_id: str
    text: str
    weight: int
    version: int
    written_at: datetime


async def save_note(note: Note, tx: Transaction) -> None:
    """Insert or replace."""
    values = {"text": note.text, "weight": note.weight, "version": note.version, "written_at": note.written_at}
    if note.version == 1:
        await tx.session.execute(insert(notes).values(store=tx.store, note_id=note.note_id, **values))
    else:
        await tx.session.execute(update(notes).where(notes.c.note_id == note.note_id).values(**values))


async def load_note(note_id: str, tx: Transaction) -> Note:
    """Raises NotFound. Deliberately without the store: row-level security alone must keep stores apart."""
    row = (await tx.session.execute(select(notes).where(notes.c.note_id == note_id))).one_or_none()
    if row is None:
        raise NotFound("there is no such note")
    return _note(row)


async def list_notes(after: tuple[Any, ...] | None, limit: int, tx: Transaction) -> list[Note]:
    """By time and id."""
    query = select(notes).order_by(notes.c.written_at, notes.c.note_id).limit(limit)
    if after is not None:
        query = query.where(tuple_(notes.c.written_at, notes.c.note_id) > after)
    return [_note(row) for row in await tx.session.execute(query)]


def _note(row: Any) -> Note:
    return Note(row.note_id, row.text, row.weight, row.version, row.written_at)
