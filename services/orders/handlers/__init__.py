"""What orders does: load, decide, save, tell; one transaction each. Who reacts to what is in `reactions.py`."""
