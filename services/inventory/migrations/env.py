"""Alembic's entry for schema `inventory`."""

from libs.service.migration import run_migrations
from services.inventory.tables import METADATA

run_migrations(METADATA)
