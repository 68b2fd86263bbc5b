"""Processes of our own under measurement, each of which prints its figures as JSON."""
