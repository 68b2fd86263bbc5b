"""What inventory does: lock and load, decide, save, tell. Everybody who changes stock goes through `apply`."""
