"""The demo: a store, its story, and what the platform makes of it."""
