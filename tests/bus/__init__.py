"""The bus: one suite for both implementations, and what is particular to each."""
