"""How an async function becomes a command."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from cli.output import CommandFailed, fail

P = ParamSpec("P")


def command(work: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run it to its end; CommandFailed is printed with its fix and gives exit code 1."""

    @functools.wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            asyncio.run(work(*args, **kwargs))
        except CommandFailed as problem:
            fail(problem)

    return run
