"""Alembic's entry for schema `orders`."""

from libs.service.migration import run_migrations
from services.orders.tables import METADATA

run_migrations(METADATA)
