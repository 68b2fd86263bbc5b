"""Keeps a set of programs running: restarts what dies, with a growing pause, and ends all of them in an orderly way."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from cli.local.processes import die_with_parent
from cli.output import CommandFailed

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""Whoever ran this long before he died starts again with the first pause."""
STOP_SECONDS = 12.0
LOG_LIMIT_BYTES = 20_000_000
EXIT_CONFIGURATION = 78
"""A service says by it that starting it again changes nothing (libs.service.lifecycle)."""
FATAL_STARTS = 3
"""So many deaths in a row without having been ready once: it is not going to work."""


@dataclass(frozen=True, slots=True)
class Program:
    """A child process: its command line, its environment, and the file that takes its output."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path


class GaveUp(CommandFailed):
    """A program died again and again before it was ever ready; the message names it and ends with its log."""


@dataclass(slots=True)
class Child:
    """One supervised program and what became of it so far."""

    program: Program
    died: Callable[["Child", int], None] = lambda _child, _code: None
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    was_ready: bool = False
    _pause: float = FIRST_PAUSE_SECONDS

    async def run(self) -> None:
        """Start it, again and again, until cancelled. Raises GaveUp."""
        while True:
            began = monotonic()
            self.process = await _spawn(self.program, again=self.restarts > 0)
            code = await self.process.wait()
            self.restarts += 1
            self.died(self, code)
            if code == EXIT_CONFIGURATION or (not self.was_ready and self.restarts >= FATAL_STARTS):
                raise GaveUp(f"{self.program.name} ended with code {code}:\n{tail(self.program.log)}")
            await asyncio.sleep(self._next_pause(ran_seconds=monotonic() - began))

    async def stop(self) -> None:
        """Ask it to end (SIGTERM), and end it (SIGKILL) when it does not within STOP_SECONDS."""
        if self.process is None or self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def _next_pause(self, ran_seconds: float) -> float:
        pause = FIRST_PAUSE_SECONDS if ran_seconds > STEADY_SECONDS else self._pause
        self._pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        return pause


@asynccontextmanager
async def supervised(children: Sequence[Child], *others: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Keep the children running, and `others` with them, while the body runs; afterwards end them all.

    When one of them gives up, the body is cancelled and its reason raised.
    """
    try:
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(work) for work in (*(child.run() for child in children), *others)]
            yield
            for keeper in keepers:
                keeper.cancel()
    except BaseExceptionGroup as problems:
        raise _first(problems) from None
    finally:
        await asyncio.gather(*(child.stop() for child in children))


def _first(problems: BaseExceptionGroup) -> BaseException:
    """The first of what went wrong: the others followed from it."""
    problem = problems.exceptions[0]
    return _first(problem) if isinstance(problem, BaseExceptionGroup) else problem


async def _spawn(program: Program, *, again: bool) -> asyncio.subprocess.Process:
    rotate(program.log)
    environment = {**os.environ, **program.environment}
    if again:
        environment.pop("OPSWIRE_CRASH_POINT", None)  # whoever was killed there comes back to go on
    with program.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *program.command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the supervisor, who stops the others in order
            preexec_fn=die_with_parent(),
        )


def rotate(log: Path) -> None:
    """Keep a log from growing for ever: one older generation is kept."""
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".1.log"))


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log."""
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    return ""
