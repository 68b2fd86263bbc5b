"""Migrations of reporting."""

from libs.service.migration import run_migrations
from services.reporting.tables import METADATA

run_migrations(METADATA)
