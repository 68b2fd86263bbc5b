"""Alembic's entry for schema `example`."""

from libs.service.migration import run_migrations
from tests.service.example.tables import METADATA

run_migrations(METADATA)
