"""Service processes that start in a tenth of a second, so that every crash point can be tried in minutes.

`python -m tests.faults.warm` imports all services once and then forks one process a start: the same `main` on the same
settings, in a process of its own that can be killed. A crash point is armed while the process runs, by a signal, so
that nothing is counted before the test begins.
"""

import ctypes
import gc
import importlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

ARMED = "OPSWIRE_TEST_ARMED"
"""Names the file that holds the crash point at the signal; it is gone once the process is armed."""
BEAT_EVERY = timedelta(seconds=2)
"""Figures are measured when a beat after them was heard; these tests wait for many."""
SERVICES = ("orders", "inventory", "alerts", "kpi", "reporting")


def main() -> None:
    """Read one wish a line, `{"service", "environment", "log"}`; answer with the process id. Ends with its input."""
    from libs.events import outbox

    outbox.BEAT_EVERY = BEAT_EVERY
    for service in SERVICES:
        importlib.import_module(f"services.{service}.app")
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the system
    print("ready", flush=True)
    for line in sys.stdin:
        wish = json.loads(line)
        child = os.fork()
        if child == 0:
            _live(wish["service"], wish["environment"], Path(wish["log"]))
        print(child, flush=True)


def _live(service: str, environment: Mapping[str, str], log: Path) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)  # die with the parent
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [service]
    signal.signal(signal.SIGUSR1, _arm)
    from libs.service import lifecycle

    module: Any = importlib.import_module(f"services.{service}.__main__")
    settings, build = _parts(service, module)
    try:
        lifecycle.main(settings, build)
    except SystemExit as ended:
        os._exit(ended.code if isinstance(ended.code, int) else 1)


def _parts(service: str, module: Any) -> tuple[Any, Any]:
    """What the service's `__main__` would give to `lifecycle.main`."""
    [settings] = [v for v in vars(module).values() if isinstance(v, type) and getattr(v, "SERVICE", "") == service]
    return settings, module.build


def _arm(_number: int, _frame: object) -> None:
    armed = Path(os.environ[ARMED])
    os.environ["OPSWIRE_CRASH_POINT"] = armed.read_text()
    armed.unlink()


if __name__ == "__main__":
    main()
