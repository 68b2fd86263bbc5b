"""A service's life: server and loops in one supervised group; what ends unexpectedly takes the process down (P11)."""

import argparse
import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import uvicorn
import uvloop
from fastapi import FastAPI
from pydantic import ValidationError

from libs.events.bus import BusRefused
from libs.events.failures import Stop, Verdict, decide
from libs.service import logging
from libs.service.migration import MissingMigration
from libs.service.protocol import guarded
from libs.service.runtime import Loop, LoopEnded, Runtime
from libs.service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

S = TypeVar("S", bound=Settings)
Build = Callable[[S], tuple[Runtime, FastAPI]]

EXIT_FAILED = 70
"""Something that should run for ever ended; a supervisor starts the process again."""
GARBAGE_AFTER = 50_000
"""So many more containers made than let go begin a search for cycles; Python's own figure is 700."""
HANGING_SECONDS = 2.5
"""How long loops may take to end after the last call was answered or cut off."""
EXIT_CONFIGURATION = 78
"""Starting again changes nothing: the deployment is wrong, and one line on standard error says how."""


def main(settings_class: type[S], build: Build[S]) -> NoReturn:
    """The whole of a service's `__main__`."""
    given = _arguments(settings_class.SERVICE)
    try:
        settings = settings_class.load(given.config, **({"port": given.port} if given.port is not None else {}))
    except ValidationError as error:
        _refuse("; ".join(f"OPSWIRE_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()))
    if dangers := settings.dangers():
        _refuse(f"{settings_class.SERVICE}: unsafe in production: {'; '.join(dangers)}")
    logging.configure(settings_class.SERVICE, settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_live(settings, build)))


def _arguments(service: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m services.{service}")
    parser.add_argument("--config", type=Path, help="file of OPSWIRE_... lines")
    parser.add_argument("--port", type=int, help="overrides OPSWIRE_PORT")
    return parser.parse_args()


async def _live(settings: S, build: Build[S]) -> int:
    runtime, app = build(settings)
    return await serve(runtime, app)


def _refuse(line: str, code: int = EXIT_CONFIGURATION) -> NoReturn:
    sys.stderr.write(line + "\n")
    sys.exit(code)


async def serve(runtime: Runtime, app: FastAPI) -> int:
    """Start, serve until SIGTERM or SIGINT, drain, stop. The exit code is returned."""
    await _start(runtime)
    _calm_collector()
    server = Server(_config(runtime, app))
    code = 0
    try:
        async with asyncio.TaskGroup() as group:
            _supervise(group, runtime, server)
    except* Exception as failed:  # noqa: BLE001 - whatever it is, it is logged and ends the process
        for reason in failed.exceptions:
            logging.get_logger(__name__).critical("the process ends", exc_info=reason)
        code = EXIT_FAILED
    finally:
        await runtime.close()
    return code


def _calm_collector() -> None:
    """Leave what was made so far out of the search for cycles, and search seldom.

    Hundreds of calls at once keep tens of thousands of objects alive that are no cycles: at Python's own pace walking
    over them took a third of the CPU time of an answer (measured in `bench/`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER, 20, 20)


async def _start(runtime: Runtime) -> None:
    """Start or exit: 78 where the deployment is wrong, 70 where something is away and may come back."""
    try:
        await runtime.start()
    except (MissingMigration, BusRefused, Stop) as error:
        await runtime.engine.dispose()
        _refuse(f"{runtime.name}: {error}")
    except Exception as error:
        if decide(error) is not Verdict.RETRY:
            raise
        await runtime.engine.dispose()
        _refuse(f"{runtime.name}: the database or the bus is away ({type(error).__name__})", EXIT_FAILED)


def _supervise(group: asyncio.TaskGroup, runtime: Runtime, server: "Server") -> None:
    loops = [group.create_task(_forever(name, run), name=name) for name, run in runtime.loops.items()]

    async def listen() -> None:
        await server.serve()
        if not server.asked_to_stop:
            raise LoopEnded("the server ended")
        for task in loops:
            task.cancel()

    group.create_task(listen(), name="server")
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)


async def _forever(name: str, run: Loop) -> None:
    await run()
    raise LoopEnded(f"the loop {name} ended")


class Server(uvicorn.Server):
    """uvicorn without its own signal handling: the group above decides when to stop."""

    asked_to_stop = False

    def stop(self) -> None:
        """Take no new calls, let the running ones finish; what hangs is left behind (nothing committed is lost)."""
        self.asked_to_stop = True
        self.should_exit = True
        last = threading.Timer((self.config.timeout_graceful_shutdown or 0) + HANGING_SECONDS, os._exit, [EXIT_FAILED])
        last.daemon = True
        last.start()

    @contextmanager
    def capture_signals(self) -> "Iterator[None]":
        """Signals are the group's."""
        yield


def _config(runtime: Runtime, app: Any) -> uvicorn.Config:
    settings = runtime.settings
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=guarded(runtime.gate, runtime.name),
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=2048,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(settings.drain_seconds),
    )
