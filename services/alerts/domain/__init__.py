"""Decisions about incidents and people. Pure."""
