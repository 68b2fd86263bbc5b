"""Crash points: named places where a test may kill the process, so that crash safety is shown and not believed (P3)."""

import os
import signal

_passages: dict[str, int] = {}


def crash_point(name: str) -> None:
    """Kill this process (SIGKILL) at its n-th passage here when `OPSWIRE_CRASH_POINT` is `name:n`; else do nothing."""
    wanted = os.environ.get("OPSWIRE_CRASH_POINT")
    if wanted is None:
        return
    chosen, _, passage = wanted.partition(":")
    if chosen != name:
        return
    _passages[name] = _passages.get(name, 0) + 1
    if _passages[name] == int(passage or 1):
        os.kill(os.getpid(), signal.SIGKILL)
