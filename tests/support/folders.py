"""Folders for servers that run as another user."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def folder_for_servers() -> Iterator[Path]:
    """A folder of its own outside of pytest's, which every new run of pytest closes to all users but its own."""
    folder = Path(tempfile.mkdtemp(prefix="opswire-test-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
