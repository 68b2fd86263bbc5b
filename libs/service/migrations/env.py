"""Alembic's entry for schema `access`."""

from libs.service.access import ACCESS
from libs.service.migration import run_migrations

run_migrations(ACCESS)
