"""The example with a loop that ends, or hangs: `python -m tests.service.example.misfit`; OPSWIRE_MISFIT says how."""

import asyncio
import os

from fastapi import FastAPI

from libs.service.lifecycle import main
from libs.service.runtime import Runtime
from tests.service.example import app
from tests.service.example.settings import ExampleSettings


def build(settings: ExampleSettings) -> tuple[Runtime, FastAPI]:
    """The example and one loop more."""
    runtime, example = app.build(settings)
    runtime.loop(
        "misfit", {"returns": _returns, "raises": _raises, "stubborn": _stubborn}[os.environ["OPSWIRE_MISFIT"]]
    )
    return runtime, example


async def _returns() -> None:
    await asyncio.sleep(0.5)


async def _raises() -> None:
    await asyncio.sleep(0.5)
    raise RuntimeError("the loop broke; ow_abc_00112233445566778899")


async def _stubborn() -> None:
    """Does not want to be cancelled, for a while."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(60)


if __name__ == "__main__":
    main(ExampleSettings, build)
