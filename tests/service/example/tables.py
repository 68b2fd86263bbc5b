"""The tables of the example."""

from sqlalchemy import Column, DateTime, Integer, Table, Text

from libs.service.database import metadata
from libs.service.runtime import service_tables

METADATA = metadata("example")
SHARED = service_tables(METADATA)

notes = Table(
    "notes",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("note_id", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("written_at", DateTime(timezone=True), nullable=False),
)
