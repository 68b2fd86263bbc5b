"""Importers: real files in, through the front doors alone."""
