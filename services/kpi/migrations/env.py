"""Alembic's entry for schema `kpi`."""

from libs.service.migration import run_migrations
from services.kpi.tables import METADATA

run_migrations(METADATA)
