"""Migrations of alerts."""

from libs.service.migration import run_migrations
from services.alerts.tables import METADATA

run_migrations(METADATA)
